"""A small biased encoder, parallel documents and an exact store, made for these tests."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from search_store_model import holds

from panglot.search.document import Document, ScoredDocument, check_kinds, kinds_of
from panglot.search.storage.store import scores

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pytest

    from panglot.encoders.protocol import Encoder, Side, Vectors
    from panglot.search.document import Filter

LANGUAGES = ("de", "en", "ja", "sw")
TOPICS = tuple(f"topic{number}" for number in range(30))
DIMENSION = 24


@cache
def drawn(name: str) -> Any:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    return np.random.default_rng(seed).standard_normal(DIMENSION) / DIMENSION**0.5


class Biased:
    """A text's vector is the sum of its words'; words such as ``<de>`` are languages, and strong."""

    def __init__(self, bias: float = 1.6) -> None:
        self.name, self.fingerprint, self.bias = "biased", f"biased{bias}" * 6, bias
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        self.seen += texts
        rows = [
            0.3 * drawn(side) + sum((self.bias if word[0] == "<" else 1.0) * drawn(word) for word in text.split())
            for text in texts
        ]
        found = np.reshape(rows, (len(texts), DIMENSION))
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def documents(languages: Sequence[str] = LANGUAGES, topics: Sequence[str] = TOPICS) -> list[Document]:
    """Every topic in every language, as one group."""
    return [
        Document(f"{topic}-{code}", f"<{code}> {topic} said-{code}", f"<{code}> {topic}", code, topic, {"n": 1})
        for topic in topics
        for code in languages
    ]


class MemoryStore:
    """Exact search over arrays in memory."""

    def __init__(self, vector_fields: tuple[str, ...], dimension: int) -> None:
        self.vector_fields, self.dimension, self.build = vector_fields, dimension, ""
        self._rows: dict[str, tuple[Document, dict[str, Vectors]]] = {}
        self.searches = 0

    def upsert(
        self, documents: Sequence[Document], vectors: Mapping[str, Vectors], *, same_kinds: bool = False
    ) -> None:
        if same_kinds:
            new = {each.id for each in documents}
            check_kinds(documents, kinds_of((row[0] for name, row in self._rows.items() if name not in new), {}))
        assert set(vectors) == set(self.vector_fields)
        for each in vectors.values():
            assert each.shape == (len(documents), self.dimension)
            assert np.allclose(np.linalg.norm(each, axis=1), 1, atol=1e-5)
        for row, each in enumerate(documents):
            self._rows[each.id] = each, {vector_field: found[row] for vector_field, found in vectors.items()}

    def delete(self, ids: Collection[str]) -> int:
        return sum(self._rows.pop(name, None) is not None for name in set(ids))

    def search(
        self, vector_field: str, queries: Vectors, k: int, *, languages: Collection[str] | None = None,
        where: Filter | None = None,
    ) -> list[list[ScoredDocument]]:  # fmt: skip
        self.searches += 1
        bound = where and where.bound(self.kinds())
        rows = [row for row in self._rows.values() if languages is None or row[0].language in languages]
        rows = [row for row in rows if bound is None or holds(bound, row[0])]
        answers: list[list[ScoredDocument]] = []
        for query in queries:
            found = [
                ScoredDocument(each.id, float(scores(mine[vector_field], query)), each.language, each.group)
                for each, mine in rows
            ]
            answers.append(sorted(found, key=lambda each: (-each.score, each.id))[:k])
        return answers

    def matching(self, ids: Sequence[str], where: Filter) -> set[str]:
        bound = where.bound(self.kinds())
        return {each for each in ids if each in self._rows and holds(bound, self._rows[each][0])}

    def kinds(self) -> dict[str, str]:
        return kinds_of((row[0] for row in self._rows.values()), {})

    def get(self, ids: Sequence[str]) -> list[Document | None]:
        return [self._rows[name][0] if name in self._rows else None for name in ids]

    def vectors(self, vector_field: str, ids: Sequence[str]) -> Vectors:
        nothing = np.zeros(self.dimension, np.float32)
        found = [self._rows[name][1][vector_field] if name in self._rows else nothing for name in ids]
        return np.reshape(found, (len(ids), self.dimension)).astype(np.float32)

    def in_groups(self, groups: Collection[str]) -> list[Document]:
        return [each for _, (each, _) in sorted(self._rows.items()) if each.group in groups]

    def counts(self) -> dict[str, int]:
        codes = [each.language for each, _ in self._rows.values()]
        return {code: codes.count(code) for code in sorted(set(codes), key=lambda code: (-codes.count(code), code))}

    def ids(self) -> Iterator[list[str]]:
        yield sorted(self._rows)

    def bulk(self) -> AbstractContextManager[None]:
        return nullcontext()

    @property
    def version(self) -> int | None:
        return None

    def refresh(self) -> bool:
        return False

    def close(self) -> None:
        pass


def use_memory(patch: pytest.MonkeyPatch) -> dict[str, MemoryStore]:
    """Let indexes keep their documents in memory, by folder, and encode at once."""
    stores: dict[str, MemoryStore] = {}

    def open_store(
        where: str, folder: Path, *, vector_fields: tuple[str, ...], dimension: int, build: str, create: bool = False
    ) -> MemoryStore:
        assert not where
        del build
        key = str(folder.resolve())
        if create:
            stores[key] = MemoryStore(vector_fields, dimension)
        return stores[key]

    def encode_documents(
        given: Iterable[Sequence[Document]], encoder: Encoder, folder: Path, *, on: str = "", progress: Any = None
    ) -> Iterator[tuple[list[Document], Vectors]]:
        del folder, on, progress
        for piece in given:
            ids = [each.id for each in piece]
            yield list(piece), encoder.encode([each.full_text for each in piece], "passage", ids=ids)

    for module in ("ingest.build", "metadata"):
        patch.setattr(f"panglot.search.{module}.open_store", open_store)
    patch.setattr("panglot.search.ingest.build.encode_documents", encode_documents)
    return stores
