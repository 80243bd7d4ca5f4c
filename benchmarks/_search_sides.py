"""Vector stores that ``search_stores.py`` compares. Each builds an index in a folder, opens it, and returns ids."""

from __future__ import annotations

import itertools
import mmap
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
K = 10
PIECE = 10_000
LINKS, BUILD, SEARCH, WIDE = 16, 128, 64, 256
SHARES = (0.5, 0.1, 0.01, 0.001)
"""Shares of the documents that filters by metadata allow."""
LANGUAGES = ("ar", "de", "en", "es", "hi", "ja", "ru", "zh")


class Side(Protocol):
    """One vector store. Building and opening are separate so that a search reads its index from disk."""

    def build(self, folder: Path, vectors: Vectors) -> None: ...
    def open(self, folder: Path, vectors: Vectors) -> None: ...
    def search(self, query: Vectors) -> list[int]: ...


def cut(vectors: Vectors) -> Iterator[tuple[range, Vectors]]:
    """Yield pieces of the vectors with their row numbers."""
    for begin in range(0, len(vectors), PIECE):
        piece = np.array(vectors[begin : begin + PIECE])
        # Vectors that come from a model are in no file. What was read of this one does not count as memory of a side.
        mapping: Any = getattr(vectors, "_mmap", None)
        if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)
        yield range(begin, begin + len(piece)), piece


def language(row: int) -> str:
    """Return the language of the document of a row."""
    return LANGUAGES[row * 2_654_435_761 % 2**32 // 7 % len(LANGUAGES)]


def bucket(row: int) -> int:
    """Return a number from 0 to 999 that the document of a row has in its metadata."""
    return row * 2_246_822_519 % 2**32 // 11 % 1000


class Panglot:
    """Panglot's embedded store of documents, vectors and graphs. Keeps the seconds that each piece took to store."""

    def build(self, folder: Path, vectors: Vectors) -> None:
        from panglot.search.document import Document
        from panglot.search.storage.embedded import EmbeddedStore

        store = EmbeddedStore.create(folder, vector_fields=("plain",), dimension=vectors.shape[1])
        self.piece_seconds: list[float] = []
        with store.bulk():
            for rows, piece in cut(vectors):
                documents = [
                    Document(str(row), f"Text {row}.", language=language(row), metadata={"bucket": bucket(row)})
                    for row in rows
                ]
                begin = time.perf_counter()
                store.upsert(documents, {"plain": piece})
                self.piece_seconds.append(time.perf_counter() - begin)
        store.close()

    def open(self, folder: Path, vectors: Vectors) -> None:
        from panglot.search.storage.embedded import EmbeddedStore

        del vectors
        self.store: Any = EmbeddedStore(folder)

    def search(self, query: Vectors) -> list[int]:
        return [int(hit.id) for hit in self.store.search("plain", query[None], K)[0]]


class PanglotFiltered(Panglot):
    """Panglot's store, filtered to documents in one of eight languages."""

    def search(self, query: Vectors) -> list[int]:
        return [int(hit.id) for hit in self.store.search("plain", query[None], K, languages=("de",))[0]]


class PanglotBalanced(Panglot):
    """Panglot's mode that searches each of the eight languages and calibrates their scores."""

    def search(self, query: Vectors) -> list[int]:
        from panglot.search.request import SearchRequest
        from panglot.search.searcher import find_candidates

        request = SearchRequest("a query", mode="balanced")
        found = find_candidates(self.store, query[None], request, K, LANGUAGES, "plain")[0]
        return [int(hit.id) for hit in found[:K]]


class PanglotWhere(Panglot):
    """Panglot's store with a filter by metadata that no query before had, so that none finds its rows remembered."""

    def __init__(self, share: float) -> None:
        self.below, self.number = round(1000 * share), itertools.count(1)

    def search(self, query: Vectors) -> list[int]:
        from panglot.search.filter_syntax import parse_filter

        where = parse_filter(f"bucket < {self.below} and bucket != {-next(self.number)}")
        return [int(hit.id) for hit in self.store.search("plain", query[None], K, where=where)[0]]


class FaissHnsw:
    """Faiss's graph index, one file that is read into memory."""

    def build(self, folder: Path, vectors: Vectors) -> None:
        import faiss

        index: Any = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = BUILD
        for _, piece in cut(vectors):
            index.add(piece)
        faiss.write_index(index, str(folder / "index.faiss"))

    def open(self, folder: Path, vectors: Vectors) -> None:
        import faiss

        del vectors
        faiss.omp_set_num_threads(1)  # A single query has no work to split among threads.
        self.index: Any = faiss.read_index(str(folder / "index.faiss"))
        if hasattr(self.index, "hnsw"):
            self.index.hnsw.efSearch = SEARCH

    def search(self, query: Vectors) -> list[int]:
        return self.index.search(query[None], K)[1][0].tolist()


class FaissHnswWide(FaissHnsw):
    """The same graph, searched widely enough for a recall above .99."""

    def open(self, folder: Path, vectors: Vectors) -> None:
        super().open(folder, vectors)
        self.index.hnsw.efSearch = WIDE


class FaissExact(FaissHnsw):
    """Faiss's flat index, which compares a query with all vectors."""

    def build(self, folder: Path, vectors: Vectors) -> None:
        import faiss

        index: Any = faiss.IndexFlatIP(vectors.shape[1])
        for _, piece in cut(vectors):
            index.add(piece)
        faiss.write_index(index, str(folder / "index.faiss"))


class FaissWhere(FaissExact):
    """Faiss's flat index with a selection of rows that is made beforehand."""

    def __init__(self, share: float) -> None:
        self.below = round(1000 * share)

    def open(self, folder: Path, vectors: Vectors) -> None:
        faiss: Any = import_module("faiss")  # Its types know neither of the two classes.

        super().open(folder, vectors)
        allowed = np.array([bucket(row) < self.below for row in range(len(vectors))])
        selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        self.parameters = faiss.SearchParameters(sel=selector)

    def search(self, query: Vectors) -> list[int]:
        return self.index.search(query[None], K, params=self.parameters)[1][0].tolist()


class MilvusLite:
    """Milvus Lite's documents, vectors and graph, through the Milvus client."""

    def build(self, folder: Path, vectors: Vectors) -> None:
        from pymilvus import DataType, MilvusClient

        client: Any = MilvusClient(str(folder / "lite.db"))
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("text", DataType.VARCHAR, max_length=100)
        schema.add_field("language", DataType.VARCHAR, max_length=10)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
        graph = client.prepare_index_params()
        width = {"M": LINKS, "efConstruction": BUILD}
        graph.add_index("vector", index_type="HNSW", metric_type="IP", params=width)
        client.create_collection("help", schema=schema, index_params=graph)
        for rows, piece in cut(vectors):
            fields = [{"id": row, "text": f"Text {row}.", "language": language(row)} for row in rows]
            client.insert("help", [{**each, "vector": vector} for each, vector in zip(fields, piece, strict=True)])
        client.flush("help")
        client.close()

    def open(self, folder: Path, vectors: Vectors) -> None:
        from pymilvus import MilvusClient

        del vectors
        self.client: Any = MilvusClient(str(folder / "lite.db"))
        self.client.load_collection("help")

    def search(self, query: Vectors) -> list[int]:
        options = {"metric_type": "IP", "params": {"ef": SEARCH}}
        return [hit["id"] for hit in self.client.search("help", data=[query], limit=K, search_params=options)[0]]


class LanceDb:
    """LanceDB's documents, vectors and 8-bit graphs, set up as its documentation advises for high recall."""

    def build(self, folder: Path, vectors: Vectors) -> None:
        import lancedb
        import pyarrow as pa

        kind = pa.list_(pa.float32(), vectors.shape[1])
        others = [("text", pa.string()), ("language", pa.string()), ("bucket", pa.int64())]
        schema = pa.schema([("id", pa.int64()), *others, ("vector", kind)])
        table: Any = lancedb.connect(folder).create_table("help", schema=schema)
        for rows, piece in cut(vectors):
            flat = pa.FixedSizeListArray.from_arrays(pa.array(piece.reshape(-1)), vectors.shape[1])
            texts = pa.array([f"Text {row}." for row in rows])
            languages = pa.array([language(row) for row in rows])
            buckets = pa.array([bucket(row) for row in rows], pa.int64())
            table.add(pa.table([pa.array(rows, pa.int64()), texts, languages, buckets, flat], schema=schema))
        table.create_index(metric="dot", index_type="IVF_HNSW_SQ", m=LINKS, ef_construction=BUILD)
        table.optimize()

    def open(self, folder: Path, vectors: Vectors) -> None:
        import lancedb

        del vectors
        self.table: Any = lancedb.connect(folder).open_table("help")

    def search(self, query: Vectors) -> list[int]:
        return self.rows(self.prepared(query))

    def prepared(self, query: Vectors) -> Any:
        return self.table.search(query).distance_type("dot").ef(SEARCH).nprobes(20).refine_factor(5)

    def rows(self, search: Any) -> list[int]:
        return search.limit(K).select(["id", "_distance"]).to_arrow()["id"].to_pylist()


class LanceDbWhere(LanceDb):
    """The same with a filter by metadata before the search."""

    def __init__(self, share: float) -> None:
        self.below = round(1000 * share)

    def search(self, query: Vectors) -> list[int]:
        return self.rows(self.prepared(query).where(f"bucket < {self.below}", prefilter=True))


SIDES: dict[str, tuple[str, Callable[[], Side]]] = {
    "panglot": ("panglot", Panglot),
    "panglot, one language of eight": ("panglot", PanglotFiltered),
    "panglot, balanced over eight languages": ("panglot", PanglotBalanced),
    "faiss HNSW": ("faiss HNSW", FaissHnsw),
    f"faiss HNSW, {WIDE} wide": ("faiss HNSW", FaissHnswWide),
    "faiss exact": ("faiss exact", FaissExact),
    "milvus-lite": ("milvus-lite", MilvusLite),
    "LanceDB": ("LanceDB", LanceDb),
    **{f"panglot, filter {share:g}": ("panglot", partial(PanglotWhere, share)) for share in SHARES},
    **{f"faiss exact, filter {share:g}": ("faiss exact", partial(FaissWhere, share)) for share in SHARES},
    **{f"LanceDB, filter {share:g}": ("LanceDB", partial(LanceDbWhere, share)) for share in SHARES},
}
"""Each side by name: the name of its index, which several sides may share, and what makes it."""


def pool(name: str, rows: range) -> list[bool]:
    """Return which rows are in a pool: all if it has no name, those of a language, or a share of them."""
    if name in ("", *LANGUAGES):
        return [not name or language(row) == name for row in rows]
    return [bucket(row) < round(1000 * float(name)) for row in rows]
