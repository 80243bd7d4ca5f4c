"""Open the encoder that a user names, or the vectors of texts that were computed elsewhere."""

from __future__ import annotations

import inspect
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError, first_line
from panglot._files import digest, known_digest
from panglot.data.letters import lines_of
from panglot.encoders.protocol import Encoder, Side, Vectors

_BACKENDS = ("auto", "torch", "openvino")
_CHECKED, _ALIKE = 16, 0.8  # Texts that are encoded to check a model, and the least median cosine to stored vectors.


def load(model: str | Path, *, backend: str = "torch", **options: Any) -> Encoder:
    """Return the encoder that ``model`` names.

    ============================  =============================================================
    ``bundled``                   multilingual-e5-small, which comes with the package
    ``panglot-small``             panglot's own, trained from it, if this installation has its weights
    a folder                      a sentence-transformers or transformers model, or one of ``panglot debias``
    ``owner/model``               one of the hub, fetched once
    ``http(s)://host/v1#name``    a model behind an OpenAI-compatible endpoint
    ``vectors:FOLDER`` or NPZ     vectors computed elsewhere
    ============================  =============================================================

    Args:
        model: A name from the table.
        backend: The library that runs the transformer of a model: ``torch``, or ``openvino``, which is somewhat faster
            on CPUs (``pip install 'panglot[openvino]'``). ``auto`` uses numpy until there is much to encode, and does
            not import torch before, if the model is a supported one and no option is given but ``name`` and a
            ``precision`` of ``auto`` or ``fp32``. See :mod:`panglot.encoders.light`. For ``int8``, it is ``openvino``.
        options: Arguments of the encoder's class. Models take ``device``, ``precision``, ``max_length``,
            ``batch_tokens``, ``trust_remote_code`` and ``name``. See :mod:`panglot.encoders.sentence_transformer`,
            :mod:`panglot.encoders.endpoint` and :class:`PrecomputedVectors`.

    Raises:
        PanglotError: There is no such model, it cannot be loaded safely, or an option is unknown.
    """
    text = str(model)
    if not text:
        raise PanglotError("no model was named", field="model", hint="name a folder, or bundled")
    if backend not in _BACKENDS:
        raise PanglotError(f"unknown backend {backend!r}", field="backend", hint=f"use one of {', '.join(_BACKENDS)}")
    if backend == "openvino" and text.startswith(("vectors:", "http://", "https://")):
        raise PanglotError(f"{text} does not run on this machine", field="backend", hint="leave the backend out")
    if text.startswith("vectors:"):
        return _make(PrecomputedVectors, text.removeprefix("vectors:"), options)
    if text.startswith(("http://", "https://")):
        from panglot.encoders.endpoint import EndpointEncoder

        return _make(EndpointEncoder, text, options)
    from panglot.encoders.model_folders import SHIPPED
    from panglot.encoders.openvino import OpenVinoEncoder
    from panglot.encoders.sentence_transformer import SentenceTransformerEncoder

    precision = options.get("precision", "auto")
    if backend == "auto" and precision == "int8":
        backend = "openvino"
    kind: Callable[..., Encoder] = OpenVinoEncoder if backend == "openvino" else SentenceTransformerEncoder
    if backend == "auto" and options.keys() <= {"name", "precision"} and precision in ("auto", "fp32"):
        from panglot.encoders.light import open_light

        kind = open_light
    if text in SHIPPED:
        return _make(kind, text, options)
    folder = Path(model).expanduser()
    # "remedy.json" is what folders written before version 0.1 have.
    if any((folder / name).is_file() for name in ("debiasing.json", "remedy.json")):
        # Debiasing is a later stage, but a user opens every model by this one function.
        from panglot.debiasing.correction import MODEL, Debiased, open_debiasing

        named = {"name": folder.name} | options
        debiasing = open_debiasing(folder)
        return Debiased(_make(kind, folder / MODEL, named), debiasing, name=named["name"])
    return _make(kind, model, options)


def _make(kind: Callable[..., Encoder], model: str | Path, options: dict[str, Any]) -> Encoder:
    # Without the first parameter, which is the model itself.
    known = list(inspect.signature(kind).parameters)[1:]
    for name in options:
        if name not in known:
            raise PanglotError(f"{model} has no option `{name}`", field=name, hint=f"use one of {', '.join(known)}")
    return kind(model, **options)


_HINT = (
    "give a folder with questions.npy and questions.txt (one id per line) or questions.json (a list of ids), "
    "and the same for passages, or an .npz with questions, question_ids, passages, passage_ids"
)
_SIDES: tuple[Side, ...] = ("question", "passage")
_Table = tuple[dict[str, int], "npt.NDArray[np.float32]"]


class PrecomputedVectors:
    """Look up the vectors of questions and passages by id.

    Rows are scaled to unit length. Nothing is unpickled, so that ids in an ``.npz`` must be an array of texts.

    Args:
        path: A folder with ``questions.npy`` beside ``questions.txt`` or ``questions.json`` and the same for
            passages, or an ``.npz`` with ``questions``, ``question_ids``, ``passages``, ``passage_ids``.
        name: The name in tables. By default the name of the folder or file.

    Raises:
        PanglotError: A file is missing or damaged, ids and rows do not match, an id occurs twice, or a vector is zero
            or not finite.
    """

    by_id = True
    """Vectors depend on ids and not on texts, so that a cache by text must not be used."""

    def __init__(self, path: str | Path, *, name: str | None = None) -> None:
        path = Path(path).expanduser()
        self.path = path
        self.name = name or path.stem
        if path.is_dir():
            tables = {side: _folder_table(path, side) for side in _SIDES}
            files = sorted(file for file in path.iterdir() if file.stem in ("questions", "passages"))
        elif path.is_file():
            tables = _archive_tables(path)
            files = [path]
        else:
            raise PanglotError("there is no such folder or file", file=path, hint=_HINT)
        self._tables = {side: table for side, table in tables.items() if table is not None}
        if not self._tables:
            raise PanglotError("there are no vectors here", file=path, hint=_HINT)
        widths = {vectors.shape[1] for _, vectors in self._tables.values()}
        if len(widths) > 1:
            problem = f"questions and passages have vectors of different lengths, {sorted(widths)}"
            raise PanglotError(problem, file=path, hint="compute both with one model")
        self.dimension = widths.pop()
        self.fingerprint = digest("vectors", *(part for file in files for part in (file.name, known_digest(file))))

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return the rows of ``ids``, shape ``[ids, dimension]``, float32, unit length."""
        if ids is None:
            hint = "pass the ids of the texts"
            raise PanglotError("precomputed vectors need the ids of the texts", field="ids", hint=hint)
        if len(ids) != len(texts):
            raise PanglotError(f"got {len(ids)} ids for {len(texts)} texts", field="ids", hint="pass one id per text")
        if side not in self._tables:
            raise PanglotError(f"there are no vectors of {side}s", file=self.path, hint=_HINT)
        rows, vectors = self._tables[side]
        if missing := [key for key in ids if key not in rows]:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            problem = f"there is no vector for the {side} {missing[0]!r}{more}"
            hint = "compute the vectors of every text of the collection"
            raise PanglotError(problem, file=self.path, field="ids", hint=hint)
        return vectors[[rows[key] for key in ids]]


class StoredVectors:
    """Give the stored vectors of documents by their ids, and encode everything else with a model.

    Args:
        base: The model.
        rows: The row of ``vectors`` of each id.
        vectors: Unit rows, shape ``[documents, dimension]``.
    """

    by_id = True

    def __init__(self, base: Encoder, rows: Mapping[str, int], vectors: Vectors) -> None:
        self.base, self.rows, self.vectors, self.name = base, rows, vectors, base.name
        self.fingerprint = digest("stored", base.fingerprint, *rows, vectors.tobytes())

    @classmethod
    def of(cls, base: Encoder, rows: Sequence[Mapping[str, Any]], vectors: Vectors, address: str) -> StoredVectors:
        """Return the encoder, after checking on some texts that the vectors are those of the model.

        Raises:
            PanglotError: The model is another one.
        """
        chosen = np.linspace(0, len(rows) - 1, min(_CHECKED, len(rows))).astype(int).tolist()
        found = base.encode([str(rows[row]["text"]) for row in chosen], "passage")
        hint = "name the model that encoded the collection with --model"
        if found.shape[1] != vectors.shape[1]:
            problem = f"the vectors have {vectors.shape[1]} numbers, and those of {base.name} have {found.shape[1]}"
            raise PanglotError(problem, file=address, field="model", hint=hint)
        cosine = float(np.median((found * vectors[chosen]).sum(axis=1)))
        if cosine < _ALIKE:
            problem = (
                f"the vectors are not those of {base.name}: their median cosine on {len(chosen)} texts is {cosine:.2f}"
            )
            raise PanglotError(problem, file=address, field="model", hint=hint)
        return cls(base, {str(row["id"]): place for place, row in enumerate(rows)}, vectors)

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return the stored vectors of documents that are named by ``ids``, or encode the texts."""
        if side == "passage" and ids is not None and all(name in self.rows for name in ids):
            return self.vectors[[self.rows[name] for name in ids]]
        return self.base.encode(texts, side)


def _folder_table(folder: Path, side: Side) -> _Table | None:
    path = folder / f"{side}s.npy"
    if not path.exists():
        return None
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        problem = f"this is not an array of numbers: {error}"
        raise PanglotError(problem, file=path, hint="write it with numpy.save, float32") from error
    listed, plain = folder / f"{side}s.json", folder / f"{side}s.txt"
    file = listed if listed.exists() else plain
    try:
        text = file.read_text(encoding="utf-8")
        ids = json.loads(text) if file is listed else lines_of(text)
    except (OSError, ValueError) as error:
        problem = f"the ids of {path.name} cannot be read: {error}"
        raise PanglotError(problem, file=file, hint="write one id per line, in row order") from error
    return _table(vectors, ids, path, file)


def _archive_tables(path: Path) -> dict[Side, _Table | None]:
    tables: dict[Side, _Table | None] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for side in _SIDES:
                if f"{side}s" in archive:
                    ids = archive[f"{side}_ids"].tolist()
                    tables[side] = _table(archive[f"{side}s"], ids, path, path)
    except (OSError, ValueError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise PanglotError(f"the archive cannot be read: {first_line(error)}", file=path, hint=_HINT) from error
    return tables


def _table(vectors: npt.NDArray[Any], ids: object, path: Path, id_file: Path) -> _Table:
    if not isinstance(ids, list):
        raise PanglotError("this is not a list of ids", file=id_file, hint="write a JSON list of ids, in row order")
    names = [str(key) for key in ids]
    if not np.issubdtype(vectors.dtype, np.floating) or vectors.ndim != 2 or vectors.shape[1] == 0:
        problem = f"vectors must be floats of shape [texts, dimension], got {vectors.dtype} of shape {vectors.shape}"
        raise PanglotError(problem, file=path, hint="write an array of float32 with one row per text")
    if len(names) != len(vectors):
        raise PanglotError(f"got {len(names)} ids for {len(vectors)} rows", file=id_file, hint="write one id per row")
    rows = {key: row for row, key in enumerate(names)}
    if len(rows) < len(names):
        repeated = next(key for row, key in enumerate(names) if rows[key] != row)
        raise PanglotError(f"the id {repeated!r} occurs twice", file=id_file, hint="give each row its own id")
    # The norm of float16 vectors would overflow in their own precision.
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
    if len(bad):
        problem = f"the vector of {names[bad[0]]!r} is zero or not finite ({len(bad)} of {len(names)} are)"
        raise PanglotError(problem, file=path, line=int(bad[0]) + 1, hint="compute it again")
    return rows, (vectors / lengths).astype(np.float32)
