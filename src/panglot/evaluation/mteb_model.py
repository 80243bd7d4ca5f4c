"""Give an encoder of panglot to mteb."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import require
from panglot.data.language import canonical
from panglot.encoders.protocol import LanguageAware
from panglot.evaluation.evaluate import open_encoder

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.encoders.protocol import Encoder, Side, Vectors


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
