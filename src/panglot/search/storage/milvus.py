"""Documents and vectors in Milvus: a server or cluster, or milvus-lite's file."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot.search.document import ScoredDocument
from panglot.search.storage import milvus_client as client
from panglot.search.storage.graph import candidates
from panglot.search.storage.milvus_client import Address, among, explained
from panglot.search.storage.milvus_kinds import FieldKinds
from panglot.search.storage.store import (
    COLUMNS,
    REPLACED,
    as_document,
    by_size,
    check_build,
    check_documents,
    check_queries,
    check_same,
    check_shape,
    check_vector_field,
    first,
    pieces,
    scores,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping, Sequence

    from panglot.encoders.protocol import Vectors
    from panglot.search.document import Document, Filter

_FORMAT = 2  # The first has no metadata by which documents could be filtered.
_SLACK = 1e-5  # Milvus adds in single precision.


class MilvusStore:
    """A :class:`~panglot.search.storage.store.Store` in collections of Milvus 2.3 or later.

    The collection ``NAME_FIELD`` of the first vector field holds the documents with their vectors, those of further
    vector fields only vectors. A write is seen when the first has it: its rows name by a *stamp* the rows of the others
    that belong to them. A write that breaks off therefore shows nothing of it, unless it is larger than one request
    (32 MB, some 10,000 documents), which is carried out request by request. ``NAME_about`` holds the languages.

    Vectors are rounded to half precision as in the embedded store, and scores are computed from them here, so that
    both stores give the same answers. The first call sees all that was written before. Later calls see what this
    store wrote, and others' writes later. ``where`` is as :class:`panglot.search.storage.milvus_client.Address` says.

    Raises:
        PanglotError: A package is missing, the server does not answer, there is no such store, or it has another shape.
    """

    version = None

    def __init__(
        self, where: str, *, vector_fields: Sequence[str], dimension: int, build: str = "", create: bool = False
    ) -> None:
        check_shape(vector_fields, dimension)
        self.vector_fields, self.dimension, self.build = tuple(vector_fields), dimension, build
        self._address = Address.parse(where)
        self._about = f"{self._address.name}_about"
        self._main = self._collection(self.vector_fields[0])
        self._client: Any = client.connect(self._address)
        self._read, self._format = set[str](), _FORMAT
        self._counted: tuple[float, dict[str, int]] | None = None
        self._kinds = FieldKinds(self._about, self._main, self._query, self._note)
        with explained(self._address):
            if not self._known():
                if not create:
                    raise PanglotError("no such store", file=where, field="store", hint="build the index first")
                client.create_store(self._client, self._address, map(self._collection, self.vector_fields), dimension)
                self._describe()
            client.load(self._client, self._address, self._about, [*map(self._collection, self.vector_fields)])
            self._kinds.filterable = self._format > 1
            self._check_build(create=create)

    def upsert(
        self, documents: Sequence[Document], vectors: Mapping[str, Vectors], *, same_kinds: bool = False
    ) -> None:
        """See :meth:`~panglot.search.storage.store.Store.upsert`. A text of more than 65,535 bytes is refused."""
        checked = check_documents(documents, vectors, self.vector_fields, self.dimension)
        self._counted = None
        stamp = uuid.uuid4().hex
        rows = [client.row(document, stamp, metadata=self._format > 1) for document in documents]
        floats = {field: each.astype(np.float32) for field, each in checked.items()}
        with explained(self._address):
            if same_kinds:
                self._kinds.check(documents, {row["key"] for row in rows})
            before = self._rows(self._main, [row["key"] for row in rows], self._kinds.columns)
            languages = sorted({document.language for document in documents})
            self._note({f"language/{client.code(each)}": each for each in languages})
            self._kinds.add(documents)
            for vector_field in self.vector_fields[1:]:
                pairs = zip(rows, floats[vector_field], strict=True)
                self._put(self._collection(vector_field), [client.joined(row, stamp, each) for row, each in pairs])
            main = [{**row, "vector": vector} for row, vector in zip(rows, floats[self.vector_fields[0]], strict=True)]
            self._put(self._main, main)
            self._drop(before)

    def delete(self, ids: Collection[str]) -> int:
        """See :meth:`~panglot.search.storage.store.Store.delete`."""
        self._counted = None
        with explained(self._address):
            before = self._rows(self._main, [client.key(each) for each in ids], self._kinds.columns)
            for keys in client.lists(list(before)):
                self._client.delete(self._main, filter=among("key", keys))
                self._read.discard(self._main)  # Servers return no time of a deletion for which a session could wait.
            self._drop(before)
        return len(before)

    @contextlib.contextmanager
    def bulk(self) -> Generator[None]:
        """Let Milvus index at the end of the block what many calls in it add."""
        yield
        with explained(self._address):
            for vector_field in self.vector_fields:
                self._client.flush(self._collection(vector_field))

    def search(
        self, vector_field: str, queries: Vectors, k: int, *, languages: Collection[str] | None = None,
        where: Filter | None = None,
    ) -> list[list[ScoredDocument]]:  # fmt: skip
        """See :meth:`~panglot.search.storage.store.Store.search`."""
        check_queries(vector_field, queries, k, self.vector_fields, self.dimension)
        pool = client.Pool(
            None if languages is None else sorted(set(languages)), self._expression(where) if where else ""
        )
        if languages is not None and not languages:
            return [[] for _ in queries]
        count = min(candidates(k), client.MOST)
        found: list[list[ScoredDocument]] = []
        with explained(self._address):
            for part in pieces(len(queries), max(1, 4096 // count)):
                found += self._found(vector_field, queries[part], k, pool, count)
        return found

    def get(self, ids: Sequence[str]) -> list[Document | None]:
        """See :meth:`~panglot.search.storage.store.Store.get`."""
        keys = [client.key(each) for each in ids]
        with explained(self._address):
            rows = self._rows(self._main, keys, COLUMNS)
        return [as_document(rows[key]) if key in rows else None for key in keys]

    def vectors(self, vector_field: str, ids: Sequence[str]) -> Vectors:
        """See :meth:`~panglot.search.storage.store.Store.vectors`."""
        check_vector_field(vector_field, self.vector_fields)
        found = np.zeros((len(ids), self.dimension), np.float32)
        keys = [client.key(each) for each in ids]
        with explained(self._address):
            if vector_field != self.vector_fields[0]:
                stamps = self._rows(self._main, keys, ("stamp",))
                keys = [key + stamps[key]["stamp"] if key in stamps else key for key in keys]
            rows = self._rows(self._collection(vector_field), keys, ("vector",))
        for at, key in enumerate(keys):
            if key in rows:
                found[at] = rows[key]["vector"]
        return found

    def in_groups(self, groups: Collection[str]) -> list[Document]:
        """See :meth:`~panglot.search.storage.store.Store.in_groups`."""
        found: list[Document] = []
        with explained(self._address):
            for names in client.lists(list(dict.fromkeys(groups))):
                chosen = client.in_texts("group", names)
                for part in client.ranges(self._count(chosen)):
                    found += map(as_document, self._query(self._main, f"{chosen} and {part}", COLUMNS))
        return sorted(found, key=lambda each: each.id)

    def counts(self) -> dict[str, int]:
        """See :meth:`~panglot.search.storage.store.Store.counts`."""
        now = time.monotonic()
        if self._counted is None or now - self._counted[0] > client.FRESH:
            self.refresh()
            with explained(self._address):
                known = self._query(self._about, 'key >= "language/"', ("value",))
                languages = [row["value"] for row in known if row["key"].startswith("language/")]
                counts = {each: self._count(among("code", [client.code(each)])) for each in languages}
            self._counted = now, by_size([{language: count for language, count in counts.items() if count}])
        return dict(self._counted[1])

    def matching(self, ids: Sequence[str], where: Filter) -> set[str]:
        """See :meth:`~panglot.search.storage.store.Store.matching`."""
        names, expression = {client.key(each): each for each in ids}, self._expression(where)
        with explained(self._address):
            parts = (f"{among('key', part)} and {expression}" for part in client.lists(list(names)))
            return {names[row["key"]] for part in parts for row in self._query(self._main, part, ("key",))}

    def kinds(self) -> dict[str, str]:
        """See :meth:`~panglot.search.storage.store.Store.kinds`."""
        with explained(self._address):
            return self._kinds.get()

    def ids(self) -> Iterator[list[str]]:
        """See :meth:`~panglot.search.storage.store.Store.ids`."""
        with explained(self._address):
            for part in client.ranges(self._count("")):
                if rows := self._query(self._main, part, ("id",)):
                    yield [row["id"] for row in rows]

    def refresh(self) -> bool:
        """Return false, because every call asks the server. Refuse a store of another index."""
        with explained(self._address):
            if self._build() != self.build:
                raise PanglotError(REPLACED, file=self._address.uri, field="store", hint="open the index again")
        return False

    def close(self) -> None:
        """See :meth:`~panglot.search.storage.store.Store.close`."""
        self._client.close()

    def _collection(self, vector_field: str) -> str:
        return f"{self._address.name}_{vector_field}"

    def _known(self) -> bool:
        """Return whether the store is there, and check its shape."""
        if not self._client.has_collection(self._about):
            return False
        self._client.load_collection(self._about)
        for row in self._query(self._about, among("key", ["store"]), ("value",)):
            about = json.loads(row["value"])
            self._format = about["format"]
            check_same("format", self._format, min(self._format, _FORMAT), self._address.uri, "update panglot")
            check_same("vector_fields", tuple(about["spaces"]), self.vector_fields, self._address.uri)
            check_same("dimension", about["dimension"], self.dimension, self._address.uri)
            return True
        return False  # Its making was broken off.

    def _build(self) -> str | None:
        """Return the name of the index that the store belongs to now."""
        rows = self._query(self._about, among("key", ["store"]), ("value",))
        return str(json.loads(rows[0]["value"]).get("build", "")) if rows else None

    def _check_build(self, *, create: bool) -> None:
        """Refuse a store of another index. If that has no documents, a new index may take it over."""
        if self._build() == self.build:
            return
        where = self._address
        if not create:
            check_build("another", self.build, where.uri)
        if number := self._count(""):
            problem = f"the store {where.name} has {number:,} documents of another index"
            names = ", ".join([self._about, *map(self._collection, self.vector_fields)])
            hint = f"name another store, or drop the collections {names} first"
            raise PanglotError(problem, file=where.uri, field="store", hint=hint)
        self._describe()

    def _describe(self) -> None:
        about = {"format": self._format, "spaces": self.vector_fields, "dimension": self.dimension, "build": self.build}
        self._note({"store": json.dumps(about)})

    def _expression(self, where: Filter | None) -> str:
        return client.bound_expression(where, self.kinds(), filterable=self._format > 1) if where else ""

    def _note(self, values: Mapping[str, str]) -> None:
        """Write values by key into the collection that describes the store."""
        # A collection needs a vector, though nobody searches this one.
        rows = [{"key": key, "value": value, "vector": [1.0, 0.0]} for key, value in values.items()]
        if rows:
            self._client.upsert(self._about, rows)

    def _put(self, collection: str, rows: Sequence[Mapping[str, Any]]) -> None:
        for request in client.requests(rows, self.dimension):
            self._client.upsert(collection, request)

    def _drop(self, rows: Mapping[str, Mapping[str, str]]) -> None:
        """Delete rows of further vector fields that no document names any more, and note what else is gone."""
        for vector_field in self.vector_fields[1:]:
            for keys in client.lists([key + row["stamp"] for key, row in rows.items()]):
                self._client.delete(self._collection(vector_field), filter=among("key", keys))
        self._kinds.removed(row["fields"] for row in rows.values() if "fields" in row)

    def _level(self, collection: str) -> str:
        """Return how new an answer must be: all that was written, then what was written here."""
        if collection in self._read:
            return "Session"
        self._read.add(collection)
        return "Strong"

    def _query(self, collection: str, expression: str, fields: Sequence[str]) -> list[dict[str, Any]]:
        more: dict[str, Any] = {} if "count(*)" in fields else {"limit": client.MOST}
        more["consistency_level"] = self._level(collection)
        return list(self._client.query(collection, filter=expression, output_fields=list(fields), **more))

    def _count(self, expression: str) -> int:
        return int(self._query(self._main, expression, ("count(*)",))[0]["count(*)"])

    def _rows(self, collection: str, keys: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return rows by key, of those that are there."""
        found: dict[str, dict[str, Any]] = {}
        for part in client.lists(list(dict.fromkeys(keys))):
            found.update((row["key"], row) for row in self._query(collection, among("key", part), ("key", *fields)))
        return found

    def _found(self, name: str, queries: Vectors, k: int, pool: client.Pool, count: int) -> list[list[ScoredDocument]]:
        """Return the ``k`` best, asking for more candidates than ``count`` if these may not contain them."""
        return [
            hits if sure else self._found(name, queries[at : at + 1], k, pool, min(4 * count, client.MOST))[0]
            for at, (sure, hits) in enumerate(self._near(name, queries, k, pool, count))
        ]

    def _near(
        self, vector_field: str, queries: Vectors, k: int, pool: client.Pool, count: int
    ) -> list[tuple[bool, list[ScoredDocument]]]:
        """Return for each query the ``k`` best of ``count`` candidates, and whether no other can be among them."""
        fields = ["key", "vector", *(("id", "language", "group") if vector_field == self.vector_fields[0] else
                                     ("document",))]  # fmt: skip
        lists: list[list[dict[str, Any]]] = self._client.search(
            self._collection(vector_field),
            data=list(queries),
            filter=pool.expression,
            limit=count,
            output_fields=fields,
            search_params={"metric_type": "IP", "params": {"ef": max(128, count)}},
            consistency_level=self._level(self._collection(vector_field)),
        )
        entities = [[hit["entity"] for hit in hits] for hits in lists]
        # A graph may lose its way among rows that a filter excludes, and then returns fewer than there are.
        short = [len(hits) < count and len(hits) < self._expected(pool) for hits in lists]
        if any(short):
            every = self._scan(vector_field, pool, fields)
            entities = [every if lost else each for lost, each in zip(short, entities, strict=True)]
        found: list[tuple[bool, list[ScoredDocument]]] = []
        for query, hits, rows, lost in zip(queries, lists, self._documents(vector_field, entities), short, strict=True):
            vectors = np.array([row["vector"] for row in rows], np.float32).reshape(-1, self.dimension)
            best = first(k, scores(vectors, query), np.arange(len(rows)), lambda at, rows=rows: rows[at]["id"])
            answer = [ScoredDocument(name, score, rows[at]["language"], rows[at]["group"]) for score, name, at in best]
            sure = len(answer) == k and hits and hits[-1]["distance"] < answer[-1].score - _SLACK
            found.append((bool(sure) or lost or len(hits) < count or count == client.MOST, answer))
        return found

    def _documents(self, vector_field: str, lists: Sequence[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        """Return candidates with id, language and group, without rows that belong to no document any more."""
        if vector_field == self.vector_fields[0]:
            return list(lists)
        names = [each["document"] for entities in lists for each in entities]
        known = self._rows(self._main, names, ("id", "language", "group", "stamp"))
        return [
            [{**known[each["document"]], **each} for each in entities if client.belongs(each, known)]
            for entities in lists
        ]

    def _expected(self, pool: client.Pool) -> int:
        """Return how many documents may be found."""
        if pool.where:
            return self._count(pool.expression)
        return sum(n for code, n in self.counts().items() if pool.languages is None or code in pool.languages)

    def _scan(self, vector_field: str, pool: client.Pool, fields: Sequence[str]) -> list[dict[str, Any]]:
        """Return all rows of documents that may be found."""
        collection, chosen = self._collection(vector_field), pool.expression
        expressions = (f"({chosen}) and ({part})" if chosen else part for part in client.ranges(self._expected(pool)))
        return [row for expression in expressions for row in self._query(collection, expression, fields)]
