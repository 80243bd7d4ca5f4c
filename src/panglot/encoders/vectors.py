"""Vectors that were computed elsewhere, found by the ids of the texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.encoders.cache import known_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from panglot.encoders.protocol import Side, Vectors

LAYOUT = (
    "a folder with questions.npy and questions.txt (an id a line) or questions.json (a list of ids), "
    "and the same for passages; or an .npz with questions, question_ids, passages, passage_ids"
)


class PrecomputedVectors:
    """A table of vectors by id for either side.

    Rows are brought to unit length. Nothing is unpickled: ids in an ``.npz`` are a text array.

    Args:
        path: A folder with ``questions.npy`` beside ``questions.txt`` or ``questions.json`` and the same for
            passages, or an ``.npz`` with ``questions``, ``question_ids``, ``passages``, ``passage_ids``.
        name: What tables call it; by default the folder's or file's name.

    Raises:
        PanglotError: A file is missing or damaged, ids and rows do not match, an id occurs twice, or a vector
            is not finite or zero.
    """

    by_id = True
    """Texts do not matter, so that a cache by text must not stand before it."""

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
            raise PanglotError("no such folder or file of vectors", file=path, hint=f"give {LAYOUT}")
        if not any(table is not None for table in tables.values()):
            raise PanglotError("no vectors here", file=path, hint=f"give {LAYOUT}")
        self._tables = {side: table for side, table in tables.items() if table is not None}
        widths = {vectors.shape[1] for _, vectors in self._tables.values()}
        if len(widths) > 1:
            raise PanglotError(
                f"questions and passages have vectors of different lengths: {sorted(widths)}",
                file=path,
                hint="compute both with one model",
            )
        self.dimension = widths.pop()
        self.fingerprint = digest("vectors", *(part for file in files for part in (file.name, known_digest(file))))

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return the rows of ``ids``, shape ``[ids, dimension]``, float32, unit length.

        Raises:
            PanglotError: No ids were given, or one has no vector.
        """
        if ids is None:
            raise PanglotError(
                "precomputed vectors are found by id, and no ids were given",
                field="ids",
                hint="pass the ids of the texts",
            )
        if len(ids) != len(texts):
            raise PanglotError(f"{len(ids)} ids for {len(texts)} texts", field="ids", hint="pass one id per text")
        if side not in self._tables:
            raise PanglotError(f"no vectors of {side}s here", file=self.path, hint=f"give {LAYOUT}")
        rows, vectors = self._tables[side]
        found = [rows.get(key, -1) for key in ids]
        if -1 in found:
            lacking = [key for key, row in zip(ids, found, strict=True) if row < 0]
            more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
            raise PanglotError(
                f"no vector for the {side} {lacking[0]!r}{more}",
                file=self.path,
                field="ids",
                hint="compute the vectors of every text of the collection",
            )
        return vectors[found]


_SIDES: tuple[Side, ...] = ("question", "passage")
_Table = tuple[dict[str, int], "npt.NDArray[np.float32]"]


def _folder_table(folder: Path, side: Side) -> _Table | None:
    path = folder / f"{side}s.npy"
    if not path.exists():
        return None
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PanglotError(
            f"not an array of numbers: {error}", file=path, hint="write it with numpy.save, float32"
        ) from error
    listed, plain = folder / f"{side}s.json", folder / f"{side}s.txt"
    file = listed if listed.exists() else plain
    try:
        text = file.read_text(encoding="utf-8")
        ids = json.loads(text) if file is listed else text.splitlines()
    except (OSError, ValueError) as error:
        raise PanglotError(
            f"the ids of {path.name} cannot be read: {error}",
            file=file,
            hint="write one id a line, in row order",
        ) from error
    return _table(vectors, ids, path, file)


def _archive_tables(path: Path) -> dict[Side, _Table | None]:
    import zipfile

    tables: dict[Side, _Table | None] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for side in _SIDES:
                if f"{side}s" in archive:
                    ids = archive[f"{side}_ids"].tolist()
                    tables[side] = _table(archive[f"{side}s"], ids, path, path)
    except (OSError, ValueError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PanglotError(f"not such an archive: {reason}", file=path, hint=f"give {LAYOUT}") from error
    return tables


def _table(vectors: npt.NDArray[Any], ids: object, path: Path, id_file: Path) -> _Table:
    if not isinstance(ids, list):
        raise PanglotError("not a list of ids", file=id_file, hint="write a JSON list of ids, in row order")
    names = [str(key) for key in ids]
    if not np.issubdtype(vectors.dtype, np.floating) or vectors.ndim != 2 or vectors.shape[1] == 0:
        raise PanglotError(
            f"an array of {vectors.dtype} of shape {vectors.shape} where vectors were expected",
            file=path,
            hint="write floats of shape [texts, dimension]",
        )
    if len(names) != len(vectors):
        raise PanglotError(f"{len(names)} ids for {len(vectors)} rows", file=id_file, hint="write one id per row")
    rows = {key: row for row, key in enumerate(names)}
    if len(rows) < len(names):
        twice = next(key for row, key in enumerate(names) if rows[key] != row)
        raise PanglotError(f"the id {twice!r} occurs twice", file=id_file, hint="give each row its own id")
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
    if len(bad):
        raise PanglotError(
            f"the vector of {names[bad[0]]!r} is zero or not finite ({len(bad)} such)",
            file=path,
            line=int(bad[0]) + 1,
            hint="compute it again",
        )
    return rows, (vectors / lengths).astype(np.float32)
