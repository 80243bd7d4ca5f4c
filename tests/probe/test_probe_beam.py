"""The beam search beside brute force."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot.probe.beam import Found, Measure, Place, State, beam_search
from panglot.probe.changes import CHANGES, Material, Versions

K = 10
START = Versions("de", "Who saw Rome in 12?", "Wer sah Rom im Jahr 12?")
MATERIAL = Material(START, (("Lions sleep.", "Löwen schlafen."),), {"rome": ("Rom",)})


def place(text: str, seed: int, most: int) -> Place:
    """A rank and a margin computed from the text alone."""
    number = int.from_bytes(hashlib.sha256(f"{seed} {text}".encode()).digest()[:4], "little")
    rank = 1 + number % most
    return Place(rank, (K + 0.5 - rank) / 100 + (number % 97) / 1e5)


def judge(seed: int, asked: set[str] | None = None) -> Measure:
    def measure(work: Sequence[tuple[int, Versions]]) -> list[tuple[Place, Place]]:
        if asked is not None:
            asked.update(text for _, v in work for text in (v.english, v.other))
        return [(place(v.english, seed, 12), place(v.other, seed, 25)) for _, v in work]

    return measure


def start(seed: int) -> State:
    return State(START, (), Place(1, 0.09), place(START.other, seed, K), 0.0)


def everything(now: Versions, path: tuple[str, ...], depth: int, seed: int) -> Iterator[tuple[float, tuple[str, ...]]]:
    """Every wording that depth changes can reach, by recursion, as the definition says."""
    begin = start(seed)
    families = {CHANGES[name].family for name in path}
    for change in CHANGES.values() if depth else ():
        if change.family in families:
            continue
        for after in change.apply(now, MATERIAL):
            english, other = judge(seed)([(0, after)])[0]
            if english.rank <= K:
                drop = begin.other.margin - other.margin - (begin.english.margin - english.margin)
                yield drop, (*path, change.name)
                yield from everything(after, (*path, change.name), depth - 1, seed)


def search(seed: int, beam: int, depth: int, budget: int = 10**6, starts: int = 1) -> tuple[list[Found], int]:
    states = [start(seed)] * starts
    return beam_search(states, [MATERIAL] * starts, judge(seed), k=K, beam=beam, depth=depth, budget=budget)


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), depth=st.integers(1, 3))
def test_full_width_is_brute_force(seed: int, depth: int) -> None:
    best = max((score for score, _ in everything(START, (), depth, seed)), default=0.0)
    found = search(seed, beam=10**6, depth=depth)[0][0]
    assert found.best.score == pytest.approx(max(0.0, best), abs=1e-12)
    assert bool(found.best.path) == (best > 0)
    assert found.best.english.rank <= K


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_a_wider_beam_of_one_level_and_a_deeper_search_lose_nothing(seed: int) -> None:
    scores = [search(seed, beam=2, depth=depth)[0][0].best.score for depth in (1, 2, 3)]
    assert scores == sorted(scores)
    assert search(seed, beam=1, depth=1)[0][0].best == search(seed, beam=9, depth=1)[0][0].best


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_a_beam_of_one_goes_on_from_the_best_only(seed: int) -> None:
    singles = [state for state in search(seed, beam=1, depth=1)[0][0].singles if state.english.rank <= K]
    if not singles:
        return
    best = max(singles, key=lambda state: state.score)
    further = [score for score, _ in everything(best.versions, best.path, 1, seed)]
    assert search(seed, beam=1, depth=2)[0][0].best.score == pytest.approx(max([0.0, best.score, *further]), abs=1e-12)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 80))
def test_the_budget_holds_and_the_same_call_finds_the_same(seed: int, budget: int) -> None:
    asked: set[str] = set()
    starts, materials = [start(seed)], [MATERIAL]
    found, spent = beam_search(starts, materials, judge(seed, asked), k=K, beam=3, depth=2, budget=budget)
    assert spent <= budget
    assert len(asked - {START.english, START.other}) == spent
    assert search(seed, beam=3, depth=2, budget=budget)[0] == found


def test_weak_means_that_english_still_succeeds() -> None:
    found = [search(seed, beam=3, depth=2)[0][0] for seed in range(30)]
    weak = [each.weakest for each in found if each.weakest]
    assert len(weak) > 10
    assert all(state.english.rank <= K < state.other.rank for state in weak)
    assert all(
        CHANGES[a].family != CHANGES[b].family
        for state in weak
        for a, b in ([state.path] if len(state.path) > 1 else [])
    )


def test_no_question_no_change_no_search() -> None:
    assert beam_search([], [], judge(0), k=K, beam=1, depth=2, budget=9) == ([], 0)
    bare = Versions("qaa", "1", "2")
    state = State(bare, (), Place(1, 0.1), Place(1, 0.1), 0.0)
    found, spent = beam_search([state], [Material(bare)], judge(0), k=K, beam=1, depth=2, budget=9)
    assert (found[0].best, found[0].singles, found[0].levels, spent) == (state, (), 0, 0)
