"""Stores of documents and vectors: their protocol, and the checks and numbers that they share."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot.search.document import Document

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Filter, ScoredDocument

Halves = npt.NDArray[np.float16]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

COLUMNS = ("id", "text", "title", "language", "group", "fields")
"""What stores keep of a document. ``fields`` are the metadata in JSON, as the first version called them."""


REPLACED = "another index was put in the place of the one that is open"


class Store(Protocol):
    """Documents with a unit vector in each of a few *vector fields*, such as ``plain`` and ``centered``.

    The next call on this store sees a write, and so does whoever opens the store later, also after a crash. Each call
    is carried out as a whole or not at all.
    """

    vector_fields: tuple[str, ...]
    dimension: int
    build: str  # Names the index that the store was made for. Empty if it has no name.

    def upsert(
        self, documents: Sequence[Document], vectors: Mapping[str, Vectors], *, same_kinds: bool = False
    ) -> None:
        """Add documents, in place of those that have the same ids.

        For each vector field, ``vectors`` has one unit-length row per document, shape ``[documents, dimension]``.

        Raises:
            PanglotError: An id occurs twice, a shape is wrong or a number is not finite, or with ``same_kinds``, a
                field of metadata has another kind than in the documents that stay. Nothing was written.
        """
        ...

    def bulk(self) -> AbstractContextManager[None]:
        """Return a context for many calls of :meth:`upsert`. Indexing may wait for its end."""
        ...

    def delete(self, ids: Collection[str]) -> int:
        """Remove documents by id and return how many were there."""
        ...

    def search(
        self, vector_field: str, queries: Vectors, k: int, *, languages: Collection[str] | None = None,
        where: Filter | None = None,
    ) -> list[list[ScoredDocument]]:  # fmt: skip
        """Return for each query the ``k`` nearest documents, best first, equal scores by rising id.

        Queries are unit-length rows. Only documents in ``languages`` are found, or in any if that is None, and only
        those that the filter ``where`` allows.

        Raises:
            PanglotError: There is no such vector field, or the vectors have another length, or the filter does not fit
                the metadata.
        """
        ...

    def matching(self, ids: Sequence[str], where: Filter) -> set[str]:
        """Return those of some ids whose documents are there and a filter allows.

        Raises:
            PanglotError: The filter does not fit the metadata.
        """
        ...

    def kinds(self) -> dict[str, str]:
        """Return the fields of metadata with their kinds. See :func:`panglot.search.document.kind_of`."""
        ...

    def get(self, ids: Sequence[str]) -> list[Document | None]:
        """Return the documents with these ids, in this order; None for one that is not there."""
        ...

    def vectors(self, vector_field: str, ids: Sequence[str]) -> Vectors:
        """Return the stored vectors of documents, shape ``[ids, dimension]``; zeros for an id that is not there."""
        ...

    def in_groups(self, groups: Collection[str]) -> list[Document]:
        """Return all documents whose ``group`` is one of these, by rising id."""
        ...

    def counts(self) -> dict[str, int]:
        """Return how many documents each language has, the largest first."""
        ...

    def ids(self) -> Iterator[list[str]]:
        """Yield all ids, in pieces."""
        ...

    @property
    def version(self) -> int | None:
        """Number of the open version, which every write raises. None if the store does not number versions."""
        ...

    def refresh(self) -> bool:
        """Take in what other processes have written, and return whether there was anything.

        Raises:
            PanglotError: The store of another index was put in the place of this one.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; the store is not used again."""
        ...


class Part(NamedTuple):
    """Documents of a store that never change, though some may be deleted. What is derived from them can be kept."""

    name: str  # Always of the same documents. Empty if the store cannot name any that never change.
    live: Bools | None  # Whether each is still there, shape ``[documents]``. None if all are.
    documents: Callable[[], Iterator[list[Document]]]  # All of them in pieces, deleted ones too.


def parts_of(store: Store) -> list[Part]:
    """Return the parts of a store in the order of its documents. A store that has none is a part without a name."""
    parts: Callable[[], list[Part]] | None = getattr(store, "parts", None)
    return parts() if parts else [Part("", None, partial(documents_of, store))]


def documents_of(store: Store) -> Iterator[list[Document]]:
    """Yield all documents of a store, in pieces."""
    for names in store.ids():
        yield [each for each in store.get(names) if each is not None]


def check_shape(vector_fields: Collection[str], dimension: int) -> None:
    """Raise a :class:`PanglotError` if no store can have these vector fields and this dimension."""
    if not vector_fields or len(set(vector_fields)) < len(vector_fields):
        problem = "a store needs one or more different vector fields"
        raise PanglotError(problem, field="vector_fields", hint="name one, such as plain")
    for name in vector_fields:
        if not re.fullmatch("[a-z][a-z0-9_]{0,30}", name):
            problem = f"a vector field cannot be called {name!r}"
            raise PanglotError(problem, field="vector_fields", hint="use small letters, digits and _")
    if not 1 <= dimension <= 1 << 15:
        problem = f"`dimension` must be between 1 and 32768, got {dimension}"
        raise PanglotError(problem, field="dimension", hint="use another model")


_OTHER_SHAPE = "open it with the model it was made with, or make a new one elsewhere"


def check_same(name: str, found: object, expected: object, where: str | Path, hint: str = _OTHER_SHAPE) -> None:
    """Raise a :class:`PanglotError` if a store has another format, vector fields or dimension than expected."""
    if found != expected:
        raise PanglotError(f"the store has {name} {found}, expected {expected}", file=where, field=name, hint=hint)


def check_build(found: str, expected: str, where: str | Path) -> None:
    """Raise a :class:`PanglotError` if a store was made for another index."""
    if found != expected:
        hint = "restore the whole index from one copy, or build it again"
        raise PanglotError("the store belongs to another index than `index.json`", file=where, field="store", hint=hint)


def check_documents(
    documents: Sequence[Document], vectors: Mapping[str, Vectors], vector_fields: Sequence[str], dimension: int
) -> dict[str, Halves]:
    """Return the vectors as they are stored, after checking that documents and vectors can be stored."""
    seen: set[str] = set()
    for document in documents:
        if not document.id:
            raise PanglotError("a document has no id", field="id", hint="give each document its own id")
        if document.id in seen:
            raise PanglotError(f"the id {document.id!r} occurs twice", field="id", hint="give each document its own")
        seen.add(document.id)
        _check_strings(document)
    if set(vectors) != set(vector_fields):
        problem = f"there are vectors for {sorted(vectors)}, expected {sorted(vector_fields)}"
        raise PanglotError(problem, field="vectors", hint="give vectors for each vector field")
    names = [f"document {document.id!r}" for document in documents]
    return {name: _checked(vectors[name], dimension, name, names) for name in vector_fields}


def check_encoded(found: Vectors, ids: Sequence[str], encoder: Encoder, what: str = "document") -> Vectors:
    """Return what an encoder gave, as float32, after checking that it is one finite vector per text."""
    vectors = np.ascontiguousarray(found, "<f4")
    if vectors.ndim != 2 or len(vectors) != len(ids):
        problem = f"the encoder {encoder.name} gave an array of shape {vectors.shape} for {len(ids)} texts"
        raise PanglotError(problem, hint="return one row per text")
    if len(wrong := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        problem = f"the encoder {encoder.name} gave a vector that is not finite for the {what} {ids[wrong[0]]!r}"
        hint = "use another model or precision" + (", or leave the document out" if what == "document" else "")
        raise PanglotError(problem, field="model", hint=hint)
    return vectors


def check_vector_field(vector_field: str, vector_fields: Sequence[str]) -> None:
    """Raise a :class:`PanglotError` if there is no such vector field."""
    if vector_field not in vector_fields:
        problem = f"`vector_field` must be one of {', '.join(vector_fields)}, got {vector_field!r}"
        raise PanglotError(problem, field="vector_field", hint="choose one of these")


def check_queries(vector_field: str, queries: Vectors, k: int, vector_fields: Sequence[str], dimension: int) -> None:
    """Raise a :class:`PanglotError` if a store cannot be searched so."""
    check_vector_field(vector_field, vector_fields)
    if k < 1:
        raise PanglotError(f"`k` must be at least 1, got {k}", field="k", hint="ask for at least 1")
    _checked(queries, dimension, "queries", [f"query {number}" for number in range(1, len(queries) + 1)])


def as_row(document: Document) -> dict[str, str]:
    """Return a document as stores keep it, by :data:`COLUMNS`."""
    metadata = json.dumps(dict(document.metadata), ensure_ascii=False) if document.metadata else ""
    return {name: getattr(document, name) for name in COLUMNS[:-1]} | {COLUMNS[-1]: metadata}


def as_document(row: Mapping[str, str]) -> Document:
    """Return the document in a row that :func:`as_row` made."""
    values = [row[name] for name in COLUMNS[:-1]]
    return Document(*values, metadata=json.loads(row["fields"]) if row["fields"] else {})


def _check_strings(document: Document) -> None:
    try:
        "".join(as_row(document).values()).encode()
    except (UnicodeEncodeError, TypeError, ValueError) as error:
        raise PanglotError(
            f"the document {document.id!r} cannot be stored: {error}",
            field="metadata" if isinstance(error, TypeError) else "text",
            hint="write valid Unicode, and metadata of text, numbers and truth values",
        ) from error


def _checked(vectors: Vectors, dimension: int, what: str, names: Sequence[str]) -> Halves:
    if vectors.shape != (shape := (len(names), dimension)):
        problem = f"`{what}` must have the shape {shape}, got {vectors.shape}"
        raise PanglotError(problem, field=what, hint="give one row per text")
    rounded = halves(vectors)
    # Rounding comes first, because a number beyond 65,504 becomes infinite only then.
    if len(wrong := np.flatnonzero(~np.isfinite(rounded).all(axis=1))):
        problem = f"the vector of the {names[wrong[0]]} is not finite"
        raise PanglotError(problem, field=what, hint="compute it again, with unit length")
    return rounded


ROUNDING = 5e-4
"""Rounding one of two unit vectors to half precision moves their score by less than this."""


def halves(vectors: npt.NDArray[np.floating]) -> Halves:
    """Return vectors as stores keep them: with 11 significant bits, which move a cosine by some 1e-5."""
    with np.errstate(over="ignore"):
        return vectors.astype(np.float16)


def scores(rows: npt.NDArray[np.floating], query: Vectors) -> Doubles:
    """Return the dot product of stored vectors and a query, shape ``[rows]``.

    Stored numbers are multiples of 2^-24. The query's are rounded to multiples of 2^-28. All products and sums of unit
    vectors are then exact in double precision: equal vectors have equal scores, in any order, shape and store.

    >>> scores(np.full((2, 4), 0.5, np.float16), np.full(4, 0.5, np.float32)).tolist()
    [1.0, 1.0]
    """
    exact = np.rint(query.astype(np.float64) * (1 << 28)) / (1 << 28)
    return rows.astype(np.float64) @ exact


def first(k: int, score: Doubles, rows: Ints, name: Callable[[int], str]) -> list[tuple[float, str, int]]:
    """Return the ``k`` best rows as (score, id, row), best first, equal scores by rising id, which ``name`` returns."""
    # Ids are on disk, so that only those are read that may be among the best.
    if len(rows) > k:
        best = np.flatnonzero(score >= np.partition(score, len(score) - k)[-k])
        score, rows = score[best], rows[best]
    named = [(value, name(row), row) for value, row in zip(score.tolist(), rows.tolist(), strict=True)]
    return sorted(named, key=lambda hit: (-hit[0], hit[1]))[:k]


def by_score(documents: Iterable[ScoredDocument]) -> list[ScoredDocument]:
    """Return documents by falling score, equal ones by id."""
    return sorted(documents, key=lambda each: (-each.score, each.id))


def by_size(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of counts, the largest first, equal ones by name.

    >>> by_size([{"de": 1, "ar": 2}, {"de": 1, "zh": 3}])
    {'zh': 3, 'ar': 2, 'de': 2}
    """
    total = Counter[str]()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def pieces(count: int, size: int) -> Iterator[slice]:
    """Yield slices of at most ``size`` that make up ``count``."""
    yield from (slice(begin, min(begin + size, count)) for begin in range(0, count, size))
