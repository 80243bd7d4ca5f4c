"""What the service asks of an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.answer import Answer
    from panglot.search.store import Store
    from panglot.search.wish import Wish


class Searchable(Protocol):
    """An open index, such as :class:`panglot.search.index.Index`."""

    @property
    def encoder(self) -> Encoder:
        """The model whose vectors it holds."""
        ...

    @property
    def store(self) -> Store:
        """What keeps its documents."""
        ...

    def answer(self, question: str, vector: Vectors, wish: Wish, sentences: Encoder | None = None) -> Answer:
        """Rank the documents for an encoded question, shape ``[dimension]``; ``sentences`` encodes for highlights."""
        ...

    def refresh(self) -> bool:
        """Open the newest version; return whether there was a newer one."""
        ...

    def counts(self) -> dict[str, int]:
        """Return how many documents each language has."""
        ...
