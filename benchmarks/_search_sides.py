"""What ``search_stores.py`` compares: each side builds an index of vectors in a folder, opens it, and finds ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
K = 10
PIECE = 10_000
LINKS, BUILD, SEARCH, WIDE = 16, 128, 64, 256
LANGUAGES = ("ar", "de", "en", "es", "hi", "ja", "ru", "zh")


class Side(Protocol):
    """One way to search. Building and opening are apart, so that what was built is read back from the disk."""

    def build(self, folder: Path, vectors: Vectors) -> None: ...
    def open(self, folder: Path, vectors: Vectors) -> None: ...
    def search(self, question: Vectors) -> list[int]: ...


def cut(vectors: Vectors) -> Iterator[tuple[range, Vectors]]:
    """Yield the vectors in pieces, with their rows."""
    for begin in range(0, len(vectors), PIECE):
        piece = np.asarray(vectors[begin : begin + PIECE])
        yield range(begin, begin + len(piece)), piece


def language(row: int) -> str:
    """Return the language of the document of a row."""
    return LANGUAGES[row * 2_654_435_761 % 2**32 // 7 % len(LANGUAGES)]


class Panglot:
    """The embedded store: documents, vectors and graph."""

    def build(self, folder: Path, vectors: Vectors) -> None:
        from panglot.search.document import Document
        from panglot.search.storage.local.store import EmbeddedStore

        store = EmbeddedStore.create(folder, vector_fields=("plain",), dimension=vectors.shape[1])
        with store.bulk():
            for rows, piece in cut(vectors):
                documents = [Document(str(row), f"Text {row}.", language=language(row)) for row in rows]
                store.upsert(documents, {"plain": piece})
        store.close()

    def open(self, folder: Path, vectors: Vectors) -> None:
        from panglot.search.storage.local.store import EmbeddedStore

        del vectors
        self.store: Any = EmbeddedStore(folder)

    def search(self, question: Vectors) -> list[int]:
        return [int(hit.id) for hit in self.store.search("plain", question[None], K)[0]]


class PanglotFiltered(Panglot):
    """The same, asked for documents of one language of eight."""

    def search(self, question: Vectors) -> list[int]:
        return [int(hit.id) for hit in self.store.search("plain", question[None], K, languages=("de",))[0]]


class FaissHnsw:
    """Vectors and a graph in one file; read into memory."""

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
        faiss.omp_set_num_threads(1)  # One question at a time has nothing to share.
        self.index: Any = faiss.read_index(str(folder / "index.faiss"))
        if hasattr(self.index, "hnsw"):
            self.index.hnsw.efSearch = SEARCH

    def search(self, question: Vectors) -> list[int]:
        return self.index.search(question[None], K)[1][0].tolist()


class FaissHnswWide(FaissHnsw):
    """The same graph, searched as wide as a recall above .99 asks for."""

    def open(self, folder: Path, vectors: Vectors) -> None:
        super().open(folder, vectors)
        self.index.hnsw.efSearch = WIDE


class FaissExact(FaissHnsw):
    """Vectors in one file; all compared."""

    def build(self, folder: Path, vectors: Vectors) -> None:
        import faiss

        index: Any = faiss.IndexFlatIP(vectors.shape[1])
        for _, piece in cut(vectors):
            index.add(piece)
        faiss.write_index(index, str(folder / "index.faiss"))


class MilvusLite:
    """Documents, vectors and graph, over the client of Milvus."""

    def build(self, folder: Path, vectors: Vectors) -> None:
        from pymilvus import DataType, MilvusClient

        client: Any = MilvusClient(str(folder / "lite.db"))
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("text", DataType.VARCHAR, max_length=100)
        schema.add_field("language", DataType.VARCHAR, max_length=10)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
        graph = client.prepare_index_params()
        more = {"M": LINKS, "efConstruction": BUILD}
        graph.add_index("vector", index_type="HNSW", metric_type="IP", params=more)
        client.create_collection("help", schema=schema, index_params=graph)
        for rows, piece in cut(vectors):
            held = [{"id": row, "text": f"Text {row}.", "language": language(row)} for row in rows]
            client.insert("help", [{**each, "vector": vector} for each, vector in zip(held, piece, strict=True)])
        client.flush("help")
        client.close()

    def open(self, folder: Path, vectors: Vectors) -> None:
        from pymilvus import MilvusClient

        del vectors
        self.client: Any = MilvusClient(str(folder / "lite.db"))
        self.client.load_collection("help")

    def search(self, question: Vectors) -> list[int]:
        wish = {"metric_type": "IP", "params": {"ef": SEARCH}}
        return [hit["id"] for hit in self.client.search("help", data=[question], limit=K, search_params=wish)[0]]


class LanceDb:
    """Documents, vectors and graphs over 8-bit numbers, as its documentation has it for high recall."""

    def build(self, folder: Path, vectors: Vectors) -> None:
        import lancedb
        import pyarrow as pa

        kind = pa.list_(pa.float32(), vectors.shape[1])
        schema = pa.schema([("id", pa.int64()), ("text", pa.string()), ("language", pa.string()), ("vector", kind)])
        table: Any = lancedb.connect(folder).create_table("help", schema=schema)
        for rows, piece in cut(vectors):
            flat = pa.FixedSizeListArray.from_arrays(pa.array(piece.reshape(-1)), vectors.shape[1])
            texts = pa.array([f"Text {row}." for row in rows])
            languages = pa.array([language(row) for row in rows])
            table.add(pa.table([pa.array(rows, pa.int64()), texts, languages, flat], schema=schema))
        table.create_index(metric="dot", index_type="IVF_HNSW_SQ", m=LINKS, ef_construction=BUILD)
        table.optimize()

    def open(self, folder: Path, vectors: Vectors) -> None:
        import lancedb

        del vectors
        self.table: Any = lancedb.connect(folder).open_table("help")

    def search(self, question: Vectors) -> list[int]:
        asked = self.table.search(question).distance_type("dot").ef(SEARCH).nprobes(20).refine_factor(5)
        return asked.limit(K).select(["id", "_distance"]).to_arrow()["id"].to_pylist()


SIDES: dict[str, tuple[str, type[Side]]] = {
    "panglot": ("panglot", Panglot),
    "panglot, one language of eight": ("panglot", PanglotFiltered),
    "faiss HNSW": ("faiss HNSW", FaissHnsw),
    f"faiss HNSW, {WIDE} wide": ("faiss HNSW", FaissHnswWide),
    "faiss exact": ("faiss exact", FaissExact),
    "milvus-lite": ("milvus-lite", MilvusLite),
    "LanceDB": ("LanceDB", LanceDb),
}
"""By name, the side whose index it searches, and how."""
