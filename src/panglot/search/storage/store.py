"""What keeps documents and their vectors."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from panglot._errors import PanglotError
from panglot.search.storage.vectors import Halves, halves

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Document


class Found(NamedTuple):
    """A document that a store found.

    Attributes:
        id: Its id.
        score: The dot product of its vector and the question's, both of unit length: their cosine.
        language: Its language.
        group: Its group.
    """

    id: str
    score: float
    language: str
    group: str


class Store(Protocol):
    """Documents with a unit vector in each of a few *spaces*, such as ``plain`` and ``centered``.

    What is written is there for the next call on this store, and for whoever opens it later, also after a crash: a
    call is carried out as a whole or not at all.

    Attributes:
        spaces: The names of the spaces; each document has a vector in every one.
        dimension: Length of the vectors.
    """

    spaces: tuple[str, ...]
    dimension: int

    def upsert(self, documents: Sequence[Document], vectors: Mapping[str, Vectors]) -> None:
        """Add documents, in place of those that have the same ids.

        Args:
            documents: The documents; no id twice.
            vectors: For each space one unit-length row a document, shape ``[documents, dimension]``.

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
        self, space: str, questions: Vectors, k: int, *, languages: Collection[str] | None = None
    ) -> list[list[Found]]:
        """Return for each question the ``k`` nearest documents, best first; equal scores by rising id.

        Args:
            space: Whose vectors are compared.
            questions: One unit-length row a question.
            k: How many at most.
            languages: Only documents in these; None: in any. A language that no document has finds nothing.

        Raises:
            PanglotError: There is no such space, or the vectors are of another length.
        """
        ...

    def get(self, ids: Sequence[str]) -> list[Document | None]:
        """Return the documents with these ids, in this order; None for one that is not there."""
        ...

    def vectors(self, space: str, ids: Sequence[str]) -> Vectors:
        """Return the stored vectors of documents, shape ``[ids, dimension]``; of an id that is not there, zeros."""
        ...

    def counts(self) -> dict[str, int]:
        """Return how many documents each language has, the largest first: the pool."""
        ...

    def ids(self) -> Iterator[list[str]]:
        """Yield all ids, in pieces."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the store is not used again."""
        ...


def check_shape(spaces: Collection[str], dimension: int) -> None:
    """Raise a :class:`PanglotError` where a store cannot have these spaces and this dimension."""
    if not spaces or len(set(spaces)) < len(spaces):
        raise PanglotError("a store needs spaces, each once", field="spaces", hint="name at least one, such as plain")
    for space in spaces:
        if not re.fullmatch("[a-z][a-z0-9_]{0,30}", space):
            raise PanglotError(
                f"no name for a space: {space!r}", field="spaces", hint="use small letters, digits and _"
            )
    if not 1 <= dimension <= 1 << 15:
        raise PanglotError(f"vectors of length {dimension}", field="dimension", hint="give 1 to 32768")


def check_same(field: str, have: object, want: object, where: str | Path) -> None:
    """Raise a :class:`PanglotError` where a store has other spaces, or another dimension, than wanted."""
    if have != want:
        raise PanglotError(
            f"the store has {field} {have}, not {want}",
            file=where,
            field=field,
            hint="open it with the model it was made with, or make a new one elsewhere",
        )


def check_documents(
    documents: Sequence[Document], vectors: Mapping[str, Vectors], spaces: Sequence[str], dimension: int
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
    if set(vectors) != set(spaces):
        raise PanglotError(
            f"vectors for {sorted(vectors)}, the store has {sorted(spaces)}", field="vectors", hint="give each space's"
        )
    names = [f"document {document.id!r}" for document in documents]
    return {space: _checked(vectors[space], dimension, space, names) for space in spaces}


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


def check_space(space: str, spaces: Sequence[str]) -> None:
    """Raise a :class:`PanglotError` where there is no such space."""
    if space not in spaces:
        raise PanglotError(f"no space {space!r}", field="space", hint=f"choose from {', '.join(spaces)}")


def check_questions(space: str, questions: Vectors, k: int, spaces: Sequence[str], dimension: int) -> None:
    """Raise a :class:`PanglotError` for a search that cannot be."""
    check_space(space, spaces)
    if k < 1:
        raise PanglotError(f"{k} documents wanted", field="k", hint="ask for at least 1")
    _checked(questions, dimension, "questions", [f"question {number}" for number in range(1, len(questions) + 1)])


def fields_text(document: Document) -> str:
    """Return a document's further fields as JSON; empty where it has none."""
    return json.dumps(dict(document.fields), ensure_ascii=False) if document.fields else ""


def _check_strings(document: Document) -> None:
    try:
        strings = (document.id, document.text, document.title, document.language, document.group)
        "".join((*strings, fields_text(document))).encode()
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
