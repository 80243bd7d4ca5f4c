"""Texts as keys, and their connected sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from panglot.data import columns
from panglot.data.columns import DisjointSets


def merged(joins: list[list[int]]) -> list[set[int]]:
    """Return the connected sets by brute force: merge all sets that overlap."""
    sets: list[set[int]] = []
    for members in joins:
        touching = [found for found in sets if found & set(members)]
        sets = [found for found in sets if not found & set(members)]
        sets += [set(members).union(*touching)] if members else []
    return sets


@given(st.lists(st.lists(st.integers(0, 12), max_size=4), max_size=12))
def test_disjoint_sets_are_the_connected_sets(joins: list[list[int]]) -> None:
    found = DisjointSets[int]()
    order = list(dict.fromkeys(number for members in joins for number in members))
    for members in joins:
        found.join(members)
    for members in merged(joins):
        assert {found.first(number) for number in members} == {min(members, key=order.index)}


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20))
def test_smallest_together(pairs: list[tuple[int, int]]) -> None:
    left, right = (np.array([pair[side] for pair in pairs], np.int32) for side in (0, 1))
    smallest = list(range(13))
    for members in merged([list(pair) for pair in pairs]):
        for member in members:
            smallest[member] = min(members)
    assert columns.smallest_together(13, left, right).tolist() == smallest


def test_keys_of_one_hash_are_told_apart() -> None:
    made = columns.Keys(np.array([7, 7, 7, 1, 7]), np.array([1, 2, 1, 1, 2], np.uint32))
    assert columns.first_of(made).tolist() == [0, 1, 0, 3, 1]
