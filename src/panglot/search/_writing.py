"""How the files of a segment are written: piece by piece, with little in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from panglot.search import _graph, _manifest
from panglot.search._scores import Bools, Halves
from panglot.search._texts import BATCH, SCHEMA, as_batch, key_table, keys_of

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.search.document import Document

Piece = tuple[pa.RecordBatch, Mapping[str, Halves]]


def as_pieces(documents: Sequence[Document], vectors: Mapping[str, Halves]) -> Iterator[Piece]:
    """Yield documents and their vectors, sorted by language."""
    order = sorted(range(len(documents)), key=lambda at: documents[at].language)
    for begin in range(0, len(order), BATCH):
        part = order[begin : begin + BATCH]
        yield as_batch([documents[at] for at in part]), {space: rows[part] for space, rows in vectors.items()}


def write_segment(
    folder: Path, contents: Iterable[Piece], rows: int, spaces: Sequence[str], dimension: int, *, graphs: bool
) -> _manifest.Part:
    """Write a segment and return its description.

    Args:
        folder: A new folder.
        contents: Documents and vectors, sorted by language.
        rows: How many documents they are.
        spaces: The names of the spaces.
        dimension: Length of the vectors.
        graphs: Whether a segment of :data:`_graph.SMALLEST` rows or more gets graphs.
    """
    folder.mkdir(parents=True)
    keys = np.empty(rows, np.uint64)
    languages: dict[str, int] = {}
    done = 0
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(pa.OSFile(str(folder / "documents.arrow"), "wb"))
        writer = stack.enter_context(pa.ipc.new_file(file, SCHEMA))
        tables = {space: stack.enter_context((folder / f"{space}.npy").open("wb")) for space in spaces}
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float16)), "fortran_order": False}
        for table in tables.values():
            np.lib.format.write_array_header_1_0(table, {**header, "shape": (rows, dimension)})
        for batch, vectors in _gathered(contents):
            writer.write_batch(batch)
            for space, table in tables.items():
                table.write(np.ascontiguousarray(vectors[space]).data)
            keys[done : done + batch.num_rows] = keys_of(batch.column("id").to_pylist())
            for counted in batch.column("language").value_counts().to_pylist():
                languages[counted["values"]] = languages.get(counted["values"], 0) + counted["counts"]
            done += batch.num_rows
    np.save(folder / "keys.npy", key_table(keys))
    built: dict[str, tuple[float, int]] = {}
    for space in spaces if graphs and rows >= _graph.SMALLEST else ():
        vectors = np.asarray(np.load(folder / f"{space}.npy", mmap_mode="r", allow_pickle=False))
        path, factor = folder / f"{space}.usearch", _graph.scale(vectors)
        _graph.build(vectors, factor, path)
        if width := _graph.width(path, vectors, factor):
            built[space] = factor, width
        else:
            path.unlink()
    files = {path.name: _manifest.described(path) for path in sorted(folder.iterdir())}
    _manifest.synced(folder)
    _manifest.synced(folder.parent)
    return _manifest.Part(folder.name, rows, tuple(sorted(languages.items())), built, files)


def write_deleted(folder: Path, part: _manifest.Part, deleted: Bools, version: int) -> _manifest.Part:
    """Write which rows of a segment are deleted, into its folder, and return its new description."""
    path = folder / part.name / f"deleted-{version}.npy"
    np.save(path, np.packbits(deleted))
    files = {name: facts for name, facts in part.files.items() if name != part.deleted}
    return replace(part, files={**files, path.name: _manifest.described(path)}, deleted=path.name)


def _gathered(contents: Iterable[Piece]) -> Iterator[Piece]:
    """Join small pieces to such of at least :data:`BATCH` rows; the last may be smaller."""
    waiting: list[Piece] = []
    count = 0
    for piece in contents:
        waiting.append(piece)
        count += piece[0].num_rows
        if count >= BATCH:
            yield _joined(waiting)
            waiting, count = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(waiting: Sequence[Piece]) -> Piece:
    if len(waiting) == 1:
        return waiting[0]
    batch = pa.Table.from_batches([batch for batch, _ in waiting]).combine_chunks().to_batches()[0]
    return batch, {space: np.concatenate([vectors[space] for _, vectors in waiting]) for space in waiting[0][1]}
