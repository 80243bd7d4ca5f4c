"""Open what is to be measured and encode it: collections, encoders, and an encoder of panglot for mteb."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import require
from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.data.language import canonical, canonical_codes
from panglot.data.transform import check_languages
from panglot.encoders.protocol import CutTexts, LanguageAware, by_id

if TYPE_CHECKING:
    from panglot._environment import Precision
    from panglot.encoders.protocol import Encoder, Side, Vectors

Sets = str | Path | Collection


def open_sets(
    collections: Sets | Sequence[Sets],
    *,
    data_dir: str | Path | None = None,
    candidates: str | None = None,
    context: bool = False,
    languages: Sequence[str] | None = None,
) -> dict[str, Collection]:
    """Return collections by name, and read those that are given by name or path. A suite has several.

    A collection without questions or passages, or with the name of another, is refused.
    """
    from panglot.datasets.registry import read
    from panglot.datasets.suite import is_suite, read_suite

    given = [collections] if isinstance(collections, str | Path | Collection) else list(collections)
    languages = canonical_codes(languages)
    found: dict[str, Collection] = {}
    for item in given:
        if isinstance(item, Collection):
            parts = [item.select(languages) if languages else item]
        elif is_suite(item):
            forms = read_suite(item).read(data_dir).values()
            parts = [each.select(languages) if languages else each for each in forms]
        else:
            parts = [read(item, data_dir=data_dir, candidates=candidates, context=context, languages=languages or None)]
        for collection in parts:
            name = collection.name
            if name in found:
                raise PanglotError(f"two data sets have the name {name}", hint="measure them one after the other")
            for side, texts in (("questions", collection.questions), ("passages", collection.passages)):
                if not texts.num_rows:
                    raise PanglotError(f"{name} has no {side}", hint="check the file that it was read from")
            found[name] = collection
    if not found:
        hint = "choose one from `panglot data list`"
        raise PanglotError("expected at least one data set, got none", field="datasets", hint=hint)
    check_languages(found.values(), languages)
    return found


def open_encoder(
    encoder: Encoder | str | Path, *, trust_remote_code: bool = False, precision: Precision = "auto"
) -> Encoder:  # fmt: skip
    """Return an encoder. Names and paths are loaded, with the cache of vectors in between."""
    if not isinstance(encoder, str | Path):
        # A cache holds its encoder.
        own = getattr(getattr(encoder, "encoder", encoder), "precision", None)
        if precision not in ("auto", own):
            problem = f"{precision} was asked for, but {encoder.name} is loaded already" + (
                f" with {own}" if own else ""
            )
            raise PanglotError(problem, field="precision", hint="load it with that precision, or give its name")
        return encoder
    from panglot.encoders.cache import cached
    from panglot.encoders.load import load

    # Encoders without remote code or products do not know the options, so they are passed only if set.
    options: dict[str, Any] = {"trust_remote_code": True} if trust_remote_code else {}
    if precision != "auto":
        options |= {"precision": precision, "backend": "auto" if precision == "int8" else "torch"}
    return cached(load(encoder, **options))


def encode(encoder: Encoder, collection: Collection) -> tuple[Vectors, Vectors]:
    """Return the vectors of questions and passages, shape ``[texts, dimension]`` each.

    Equal texts of one side are encoded once. An encoder that uses languages gets those of the collection, and encodes a
    text once per language.
    """
    return _encode(encoder, collection, "question"), _encode(encoder, collection, "passage")


def _encode(encoder: Encoder, collection: Collection, side: Side) -> Vectors:
    table = collection.questions if side == "question" else collection.passages
    columns = [table[name].to_pylist() for name in ("text", "id", "language")]
    aware = isinstance(encoder, LanguageAware)
    keys = columns[1] if by_id(encoder) else list(zip(columns[0], columns[2], strict=True)) if aware else columns[0]
    first: dict[Any, int] = {}
    index = [first.setdefault(key, len(first)) for key in keys]
    rows = np.unique(index, return_index=True)[1].tolist()
    texts, ids, languages = ([column[row] for row in rows] for column in columns)
    options: dict[str, Any] = {"languages": languages} if aware else {}
    cuts = CutTexts(encoder, side)
    cuts.add(texts)
    cuts.warn()
    vectors = np.asarray(encoder.encode(texts, side, ids=ids, **options), np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        problem = f"{encoder.name} returned an array of shape {vectors.shape} for {len(texts)} {side}s"
        raise PanglotError(problem, hint="return one row per text")
    return vectors[index] if len(texts) < len(index) else vectors


class MtebModel:
    """An encoder as ``mteb.evaluate`` takes models (mteb's ``EncoderProtocol``). :func:`mteb_model` makes it.

    Queries get the model's prompt of questions and documents that of passages. Texts that are neither, as in sentence
    similarity, get that of questions.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._dimension: int | None = None

    def encode(
        self, inputs: Iterable[Mapping[str, Sequence[str]]], *, task_metadata: Any, hf_split: str, hf_subset: str,
        prompt_type: Any = None, **options: Any,
    ) -> Vectors:  # fmt: skip
        """Return one unit-length row per text of mteb's batches, shape ``[texts, dimension]``, float32.

        The split and mteb's options of batches and progress change nothing.
        """
        del hf_split, options
        texts = [text for batch in inputs for text in batch["text"]]
        side: Side = "passage" if getattr(prompt_type, "value", prompt_type) == "document" else "question"
        known: dict[str, Any] = {}
        if isinstance(self.encoder, LanguageAware) and (code := _language(task_metadata, hf_subset)):
            known["languages"] = [code] * len(texts)
        vectors = np.asarray(self.encoder.encode(texts, side, **known), np.float32)
        self._dimension = vectors.shape[1]
        return vectors

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the dot products of all rows with all rows, shape ``[rows, rows]``, as a tensor."""
        a, b = _tensors(embeddings1, embeddings2)
        return a @ b.T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the dot products row by row, shape ``[rows]``, as a tensor."""
        a, b = _tensors(embeddings1, embeddings2)
        return (a * b).sum(dim=-1)

    @property
    def mteb_model_meta(self) -> Any:
        """What mteb records of the model: its name, and its fingerprint as the revision."""
        name = self.encoder.name
        about = {"name": name if "/" in name else f"panglot/{name}", "revision": self.encoder.fingerprint,
                 "similarity_fn_name": "dot", "embed_dim": self._dimension}  # fmt: skip
        return import_module("mteb.models.model_meta").ModelMeta.create_empty(about)


def mteb_model(model: Encoder | str | Path, **options: Any) -> MtebModel:
    """Return a model for ``mteb.evaluate``.

    .. code-block:: python

        import mteb, panglot

        task = mteb.get_task("BelebeleRetrieval", languages=["deu"])
        mteb.evaluate(panglot.mteb_model("panglot-small"), task)

    Args:
        model: An encoder, or what :func:`panglot.load` accepts, such as a run folder.
        options: ``precision`` and ``trust_remote_code``, for a model that is given by its name.

    Raises:
        PanglotError: mteb is not installed (``pip install 'panglot[mteb]'``), or the model cannot be opened.
    """
    require("a model for mteb", "mteb", extra="mteb")
    return MtebModel(open_encoder(model, **options))


def _language(metadata: Any, subset: str) -> str | None:
    """Return the language of a subset, or None if it has several."""
    found = metadata.eval_langs.get(subset, ()) if isinstance(metadata.eval_langs, dict) else metadata.eval_langs
    codes = {canonical(code) for code in found}
    return codes.pop() if len(codes) == 1 else None


def _tensors(*sides: Any) -> list[Any]:
    import torch

    return [torch.atleast_2d(torch.as_tensor(np.asarray(side, np.float32))) for side in sides]
