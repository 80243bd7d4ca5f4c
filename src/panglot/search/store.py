"""What keeps documents and their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from panglot.encoders.protocol import Vectors
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
