"""The protocol of stores, which keep documents and their vectors, and the checks that they share."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from panglot._errors import PanglotError
from panglot.search.storage.vectors import Halves, halves

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Document, ScoredDocument


class Store(Protocol):
    """Documents with a unit vector in each of a few *vector fields*, such as ``plain`` and ``centered``.

    What is written is there for the next call on this store, and for whoever opens it later, also after a crash: a
    call is carried out as a whole or not at all.

    Attributes:
        vector_fields: Names of the vector fields; each document has a vector in every one.
        dimension: Length of the vectors.
    """

    vector_fields: tuple[str, ...]
    dimension: int

    def upsert(self, documents: Sequence[Document], vectors: Mapping[str, Vectors]) -> None:
        """Add documents, in place of those that have the same ids.

        Args:
            documents: The documents; no id twice.
            vectors: For each vector field one unit-length row a document, shape ``[documents, dimension]``.

        Raises:
            PanglotError: An id is there twice, a shape is wrong or a number is not finite; nothing was written.
        """
        ...

    def bulk(self) -> AbstractContextManager[None]:
        """Return a block in which many calls of :meth:`upsert` follow: what they add is arranged for search at its end.

        Each call is carried out as without it.
        """
        ...

    def delete(self, ids: Collection[str]) -> int:
        """Remove documents by id and return how many were there."""
        ...

    def search(
        self, vector_field: str, questions: Vectors, k: int, *, languages: Collection[str] | None = None
    ) -> list[list[ScoredDocument]]:
        """Return for each question the ``k`` nearest documents, best first; equal scores by rising id.

        Args:
            vector_field: Whose vectors are compared.
            questions: One unit-length row a question.
            k: How many at most.
            languages: Only documents in these; None: in any. A language that no document has finds nothing.

        Raises:
            PanglotError: There is no such vector field, or the vectors are of another length.
        """
        ...

    def get(self, ids: Sequence[str]) -> list[Document | None]:
        """Return the documents with these ids, in this order; None for one that is not there."""
        ...

    def vectors(self, vector_field: str, ids: Sequence[str]) -> Vectors:
        """Return the stored vectors of documents, shape ``[ids, dimension]``; of an id that is not there, zeros."""
        ...

    def counts(self) -> dict[str, int]:
        """Return how many documents each language has, the largest first: the pool."""
        ...

    def ids(self) -> Iterator[list[str]]:
        """Yield all ids, in pieces."""
        ...

    @property
    def version(self) -> int | None:
        """Number of the version that is open, which every write raises; None if the store does not number them."""
        ...

    def refresh(self) -> bool:
        """Take in what other processes have written, and return whether there was anything."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the store is not used again."""
        ...


def documents_of(store: Store) -> Iterator[list[Document]]:
    """Yield all documents of a store, in pieces."""
    for names in store.ids():
        yield [each for each in store.get(names) if each is not None]


def check_shape(vector_fields: Collection[str], dimension: int) -> None:
    """Raise a :class:`PanglotError` where a store cannot have these vector fields and this dimension."""
    if not vector_fields or len(set(vector_fields)) < len(vector_fields):
        raise PanglotError(
            "a store needs vector fields, each once", field="vector_fields", hint="name at least one, such as plain"
        )
    for vector_field in vector_fields:
        if not re.fullmatch("[a-z][a-z0-9_]{0,30}", vector_field):
            raise PanglotError(
                f"no name for a vector_field: {vector_field!r}",
                field="vector_fields",
                hint="use small letters, digits and _",
            )
    if not 1 <= dimension <= 1 << 15:
        raise PanglotError(f"vectors of length {dimension}", field="dimension", hint="give 1 to 32768")


def check_same(field: str, have: object, want: object, where: str | Path) -> None:
    """Raise a :class:`PanglotError` where a store has other vector fields, or another dimension, than wanted."""
    if have != want:
        raise PanglotError(
            f"the store has {field} {have}, not {want}",
            file=where,
            field=field,
            hint="open it with the model it was made with, or make a new one elsewhere",
        )


def check_documents(
    documents: Sequence[Document], vectors: Mapping[str, Vectors], vector_fields: Sequence[str], dimension: int
) -> dict[str, Halves]:
    """Return the vectors as they are stored; a :class:`PanglotError` says what cannot be."""
    seen: set[str] = set()
    for document in documents:
        if not document.id:
            raise PanglotError("a document without an id", field="id", hint="give each document its own id")
        if document.id in seen:
            raise PanglotError(f"the id {document.id!r} is there twice", field="id", hint="give each document its own")
        seen.add(document.id)
        _check_strings(document)
    if set(vectors) != set(vector_fields):
        raise PanglotError(
            f"vectors for {sorted(vectors)}, the store has {sorted(vector_fields)}",
            field="vectors",
            hint="give each vector field's",
        )
    names = [f"document {document.id!r}" for document in documents]
    return {field: _checked(vectors[field], dimension, field, names) for field in vector_fields}


def check_encoded(found: Vectors, ids: Sequence[str], encoder: Encoder, what: str = "document") -> Vectors:
    """Return what an encoder gave, as float32; a :class:`PanglotError` says for which of some texts it is no vector."""
    vectors = np.ascontiguousarray(found, "<f4")
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise PanglotError(
            f"the encoder {encoder.name} gave an array of shape {vectors.shape} for {len(ids)} texts",
            hint="return one row per text",
        )
    if len(wrong := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        raise PanglotError(
            f"the encoder {encoder.name} gave a vector that is not finite for the {what} {ids[wrong[0]]!r}",
            field="model",
            hint="use another model or precision" + (", or leave the document out" if what == "document" else ""),
        )
    return vectors


def check_vector_field(vector_field: str, vector_fields: Sequence[str]) -> None:
    """Raise a :class:`PanglotError` where there is no such vector field."""
    if vector_field not in vector_fields:
        raise PanglotError(
            f"no vector_field {vector_field!r}", field="vector_field", hint=f"choose from {', '.join(vector_fields)}"
        )


def check_questions(
    vector_field: str, questions: Vectors, k: int, vector_fields: Sequence[str], dimension: int
) -> None:
    """Raise a :class:`PanglotError` for a search that cannot be."""
    check_vector_field(vector_field, vector_fields)
    if k < 1:
        raise PanglotError(f"{k} documents wanted", field="k", hint="ask for at least 1")
    _checked(questions, dimension, "questions", [f"question {number}" for number in range(1, len(questions) + 1)])


def metadata_json(document: Document) -> str:
    """Return a document's metadata as JSON; empty if it has none."""
    return json.dumps(dict(document.metadata), ensure_ascii=False) if document.metadata else ""


def _check_strings(document: Document) -> None:
    try:
        strings = (document.id, document.text, document.title, document.language, document.group)
        "".join((*strings, metadata_json(document))).encode()
    except (UnicodeEncodeError, TypeError, ValueError) as error:
        raise PanglotError(
            f"the document {document.id!r} cannot be kept: {error}",
            field="fields" if isinstance(error, TypeError) else "text",
            hint="write valid Unicode, and fields of text, numbers and truth values",
        ) from error


def _checked(vectors: Vectors, dimension: int, what: str, names: Sequence[str]) -> Halves:
    if vectors.shape != (shape := (len(names), dimension)):
        raise PanglotError(
            f"vectors of shape {vectors.shape} where {shape} is expected", field=what, hint="give one row a text"
        )
    rounded = halves(vectors)
    if len(wrong := np.flatnonzero(~np.isfinite(rounded).all(axis=1))):
        raise PanglotError(
            f"the vector of the {names[wrong[0]]} is not finite",
            field=what,
            hint="compute it again; vectors have unit length",
        )
    return rounded
