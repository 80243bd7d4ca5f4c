"""Write segments, and say which of them are due to be written as one."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from panglot.search.storage import columns, graph, manifest
from panglot.search.storage.columns import SCHEMA, as_batch
from panglot.search.storage.graph import EightBit
from panglot.search.storage.manifest import SegmentMetadata
from panglot.search.storage.segments import Piece, Segment, keys_of, mapped, own_graph, spans_of
from panglot.search.storage.store import Bools, Halves, pieces

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.search.document import Document

_BATCH = 4096  # Rows of one record batch.

MERGED = 8  # So many segments of like size are merged, so that a row is rewritten about log8(rows) times.


def as_pieces(documents: Sequence[Document], vectors: Mapping[str, Halves]) -> Iterator[Piece]:
    """Yield documents and their vectors, sorted by language."""
    order = sorted(range(len(documents)), key=lambda at: documents[at].language)
    for part in pieces(len(order), _BATCH):
        rows = order[part]
        yield as_batch([documents[at] for at in rows]), {name: table[rows] for name, table in vectors.items()}


def write_segment(
    folder: Path, contents: Iterable[Piece], rows: int, vector_fields: Sequence[str], dimension: int, *, graphs: bool
) -> SegmentMetadata:
    """Write ``rows`` documents, sorted by language, into a new folder, and return the segment's description.

    With ``graphs``, a segment of :data:`panglot.search.storage.graph.MIN_ROWS` rows or more gets graphs, and so does
    each language in it that has as many.
    """
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(pa.OSFile(str(folder / "documents.arrow"), "wb"))
        writer = stack.enter_context(pa.ipc.new_file(file, SCHEMA))
        tables = {name: stack.enter_context((folder / f"{name}.npy").open("wb")) for name in vector_fields}
        # The number of rows is known beforehand, so that .npy files are written without holding the vectors.
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float16)), "fortran_order": False}
        for table in tables.values():
            np.lib.format.write_array_header_1_0(table, {**header, "shape": (rows, dimension)})
        for batch, vectors in _full_batches(contents):
            writer.write_batch(batch)
            for name, table in tables.items():
                table.write(np.ascontiguousarray(vectors[name]).data)
    documents = pa.ipc.open_file(pa.memory_map(str(folder / "documents.arrow"))).read_all()
    key = np.concatenate([keys_of(chunk.to_pylist()) for chunk in documents["id"].chunks])
    order = np.argsort(key, kind="stable")
    np.save(folder / "keys.npy", np.stack([key[order], order.astype(np.uint64)]))
    kinds = columns.write(folder, documents["fields"].chunks)
    languages = Counter(code for chunk in documents["language"].chunks for code in chunk.to_pylist())
    counts = tuple(sorted(languages.items()))
    built: dict[str, tuple[float, int]] = {}
    own: dict[str, dict[str, int]] = {}
    for name in vector_fields if graphs and rows >= graph.MIN_ROWS else ():
        vectors = mapped(folder / f"{name}.npy")
        small = EightBit.write(folder, name, vectors)
        built[name], own[name] = (small.factor, graph.build(vectors, small, folder / f"{name}.usearch")), {}
        for number, span in enumerate(spans_of(counts, None)):
            if graph.MIN_ROWS <= span.live <= graph.MOST * rows:
                part = vectors[span.begin : span.end], small.part(span.begin, span.end)
                file = own_graph(folder, name, number)
                own[name][span.language] = graph.build(*part, file, f" in {span.language}")
    files = {path.name: manifest.describe_file(path) for path in sorted(folder.iterdir())}
    manifest.sync(folder)
    manifest.sync(folder.parent)
    return SegmentMetadata(folder.name, rows, counts, built, files, own_graphs=own, kinds=kinds)


def write_deleted(folder: Path, metadata: SegmentMetadata, deleted: Bools, version: int) -> SegmentMetadata:
    """Write which rows of a segment are deleted, into its folder, and return its new description."""
    path = folder / metadata.name / f"deleted-{version}.npy"
    try:
        np.save(path, np.packbits(deleted))
        described = manifest.describe_file(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    files = {name: facts for name, facts in metadata.files.items() if name != metadata.deleted}
    return replace(metadata, files={**files, path.name: described}, deleted=path.name)


def _full_batches(contents: Iterable[Piece]) -> Iterator[Piece]:
    """Join small pieces until they have at least :data:`_BATCH` rows. The last may be smaller."""
    waiting: list[Piece] = []
    for piece in contents:
        waiting.append(piece)
        if sum(batch.num_rows for batch, _ in waiting) >= _BATCH:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(waiting: Sequence[Piece]) -> Piece:
    batch = pa.Table.from_batches([batch for batch, _ in waiting]).combine_chunks().to_batches()[0]
    return batch, {name: np.concatenate([vectors[name] for _, vectors in waiting]) for name in waiting[0][1]}


def due(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Return which segments, given the live and deleted rows of each, should be rewritten as one now.

    >>> due([(5000, 0)] + [(1, 0)] * 7)
    []
    >>> due([(5000, 0)] + [(1, 0)] * 8)
    [1, 2, 3, 4, 5, 6, 7, 8]
    >>> due([(5000, 6000), (3, 0)])
    [0]
    """
    tiers: dict[int, list[int]] = {}
    for at, (live, _) in enumerate(sizes):
        tiers.setdefault(live.bit_length() // 3, []).append(at)
    for tier in sorted(tiers):
        if len(tiers[tier]) >= MERGED:
            # Smaller ones come along: they would soon be merged into the result anyway.
            return sorted(at for lower in tiers if lower <= tier for at in tiers[lower])
    return next(([at] for at, (live, deleted) in enumerate(sizes) if deleted > live), [])


def contents(segments: Sequence[Segment]) -> Iterator[Piece]:
    """Yield the live rows of segments, sorted by language, read as they are asked for."""
    found = [segment.live_pieces() for segment in segments]
    for language in sorted({language for by_language in found for language in by_language}):
        for by_language in found:
            yield from by_language.get(language, ())
