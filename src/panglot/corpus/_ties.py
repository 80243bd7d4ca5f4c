"""Which things belong together, from the pairs that do."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Ties(Generic[T]):
    """Disjoint sets; a set is called by its member that was seen first.

    >>> ties = Ties[str]()
    >>> ties.join(["a", "b"])
    >>> ties.join(["c", "b"])
    >>> ties.first("c"), ties.first("alone")
    ('a', 'alone')
    """

    def __init__(self) -> None:
        self._parent: dict[T, T] = {}
        self._order: dict[T, int] = {}

    def join(self, members: Iterable[T]) -> None:
        """Put all ``members`` into one set."""
        first: T | None = None
        for member in members:
            root = self.first(member)
            if first is None or root == first:
                first = root
            else:
                low, high = sorted((first, root), key=self._order.__getitem__)
                self._parent[high] = low
                first = low

    def first(self, member: T) -> T:
        """Return the member of this one's set that was seen first; an unseen one starts a set of its own."""
        parent = self._parent
        if member not in parent:
            parent[member] = member
            self._order[member] = len(self._order)
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member
