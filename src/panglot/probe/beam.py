"""Beam search for changes that hurt another language and leave English alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from panglot._files import digest
from panglot.probe.changes import CHANGES, Change, Material, Versions

if TYPE_CHECKING:
    from panglot.data.collection import Collection
    from panglot.probe.pools import Parallel


class Place(NamedTuple):
    """Rank of the best relevant passage, and its lead over the k-th irrelevant one."""

    rank: int
    margin: float


@dataclass(frozen=True)
class State:
    """A question after some changes.

    Attributes:
        versions: Its texts.
        path: Names of the changes, in order.
        english: Where its English version stands.
        other: Where the other one stands.
        score: How much more of its margin the other version lost than the English one, since the start.
    """

    versions: Versions
    path: tuple[str, ...]
    english: Place
    other: Place
    score: float

    def weak(self, k: int) -> bool:
        """Whether English succeeds and the other version fails."""
        return self.english.rank <= k < self.other.rank


@dataclass(frozen=True)
class Found:
    """What the search made of one question.

    Attributes:
        start: The question as it was.
        best: The state with the highest score; the start itself where no change scored above 0.
        weakest: The weak state with the highest score; None where there is none.
        singles: Every single change that was tried, also those with which English fails.
        levels: How deep it was searched.
    """

    start: State
    best: State
    weakest: State | None
    singles: tuple[State, ...]
    levels: int


Measure = Callable[[Sequence[tuple[int, Versions]]], Sequence[tuple[Place, Place]]]


def successors(state: State, material: Material, changes: Iterable[Change]) -> list[tuple[str, Versions]]:
    """Return each further change of a state by name, and its texts; none of a family already used."""
    used = {CHANGES[name].family for name in state.path}
    found: dict[Versions, str] = {}
    for change in changes:
        if change.family not in used:
            for versions in change.apply(state.versions, material):
                found.setdefault(versions, change.name)
    return [(name, versions) for versions, name in found.items()]


def beam_search(
    starts: Sequence[State],
    materials: Sequence[Material],
    measure: Measure,
    *,
    k: int,
    beam: int,
    depth: int,
    budget: int,
    changes: Sequence[Change] = tuple(CHANGES.values()),
    tell: Callable[[str], None] | None = None,
) -> tuple[list[Found], int]:
    """Search from each question, all in step; return what was found, and the number of texts measured.

    At each level every state of the beam is given every further change; states in which English fails are
    dropped; the ``beam`` with the highest scores go on. Of equal scores the shorter path, then the texts
    decide. Where the texts of a level would exceed what is left of the budget, the last questions stop there.

    Args:
        starts: The questions, score 0.
        materials: What their changes draw on.
        measure: Given question numbers and texts, returns the places of the English and the other version.
        k: The depth that counts as success.
        beam: States that go on, for each question.
        depth: Changes one after the other, at most.
        budget: Texts to measure, at most.
        changes: Those to try.
        tell: Called with a line before each level.
    """
    frontier = [[start] for start in starts]
    every = [[start] for start in starts]
    singles: list[tuple[State, ...]] = [() for _ in starts]
    levels = [0 for _ in starts]
    known = {text for start in starts for text in (start.versions.english, start.versions.other)}
    spent = 0
    for level in range(1, depth + 1):
        work: list[tuple[int, State, str, Versions]] = []
        for number, states in enumerate(frontier):
            mine = _distinct(number, states, materials[number], changes)
            fresh = {text for *_, after in mine for text in (after.english, after.other)} - known
            if spent + len(fresh) > budget:
                frontier[number:] = [[] for _ in frontier[number:]]
                break
            spent += len(fresh)
            known |= fresh
            work.extend(mine)
        if not work:
            break
        if tell is not None:
            questions = len({number for number, *_ in work})
            tell(f"level {level}: {len(work):,} changed questions of {questions:,}, {spent:,} texts so far")
        places = measure([(number, after) for number, _, _, after in work])
        reached: list[list[State]] = [[] for _ in starts]
        for (number, before, name, after), (english, other) in zip(work, places, strict=True):
            start = starts[number]
            score = (start.other.margin - other.margin) - (start.english.margin - english.margin)
            reached[number].append(State(after, (*before.path, name), english, other, score))
            levels[number] = level
        if level == 1:
            singles = [tuple(states) for states in reached]
        sound = [sorted((s for s in states if s.english.rank <= k), key=_order) for states in reached]
        every = [[*old, *new] for old, new in zip(every, sound, strict=True)]
        frontier = [states[:beam] for states in sound]
    found = [
        Found(
            start, min(states, key=_order), min((s for s in states if s.weak(k)), key=_order, default=None), tried, to
        )
        for start, states, tried, to in zip(starts, every, singles, levels, strict=True)
    ]
    return found, spent


def _distinct(
    number: int, states: Sequence[State], material: Material, changes: Sequence[Change]
) -> list[tuple[int, State, str, Versions]]:
    """Return the successors of a beam; of two ways to one text by the same changes, the first."""
    seen: set[tuple[Versions, frozenset[str]]] = set()
    found: list[tuple[int, State, str, Versions]] = []
    for state in states:
        for name, after in successors(state, material, changes):
            key = after, frozenset((*state.path, name))
            if key not in seen:
                seen.add(key)
                found.append((number, state, name, after))
    return found


def _order(state: State) -> tuple[float, int, tuple[str, ...], str, str]:
    return -state.score, len(state.path), state.path, state.versions.other, state.versions.english


FEWEST, MOST = 20, 240
"""Characters of a distractor, in English: longer passages are no sentences, and would drown the question."""


class Distractors:
    """Short passages that are there in English and another language, without those that answer the question.

    Which a question gets depends on the seed, its group and the passages at hand in English; it is the same in
    every language that has them.

    Args:
        found: The questions and their pools.
        collection: Texts and groups.
        seed: Draws them.
    """

    def __init__(self, found: Parallel, collection: Collection, seed: int) -> None:
        self._found, self._seed = found, seed
        texts, groups = collection.passages["text"], collection.passages["group"]
        self._texts: list[dict[str, str]] = []
        for rows in found.passages:
            mine: dict[str, str] = {}
            for row in rows.tolist():
                text = str(texts[row].as_py()).strip()
                if group := groups[row].as_py():
                    mine.setdefault(group, text)
            self._texts.append(mine)
        english, other = self._texts
        self._order = sorted(group for group, text in english.items() if FEWEST <= len(text) <= MOST)
        self._there = {group for group in self._order if 0 < len(other.get(group, "")) <= 2 * MOST}
        self._group = groups

    def of(self, number: int, count: int) -> tuple[tuple[str, str], ...]:
        """Return up to ``count`` distractors of a question, English and the other version."""
        found = self._found
        answers: set[object] = set()
        for rows, (question, position) in zip(found.passages, found.relevant, strict=True):
            answers |= {self._group[int(rows[place])].as_py() for place in position[question == number]}
        generator = np.random.default_rng(int(digest(str(self._seed), found.groups[number])[:16], 16))
        chosen: list[tuple[str, str]] = []
        for place in generator.permutation(len(self._order)):
            if len(chosen) == count:
                break
            group = self._order[place]
            if group in self._there and group not in answers:
                chosen.append((self._texts[0][group], self._texts[1][group]))
        return tuple(chosen)
