"""Search by beam for changes that hurt another language more than English."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from panglot.data.collection import Collection
from panglot.encoders.protocol import Encoder, LanguageAware
from panglot.evaluation.bootstrap import mean_interval
from panglot.probe.changes import CHANGES, Change, Lexicons, Material, Versions
from panglot.probe.pools import Distractors, Half, Outcome, choose_languages

Start = Literal["both", "near", "weak", "random"]
Progress = Callable[[str], None]


class Place(NamedTuple):
    """Rank of the best relevant passage, and its lead over the k-th irrelevant one."""

    rank: int
    margin: float


@dataclass(frozen=True)
class State:
    """A question after some changes, whose names are its path.

    ``score`` is how much more margin the other version has lost than the English one since the start.
    """

    versions: Versions
    path: tuple[str, ...]
    english: Place
    other: Place
    score: float

    def weak(self, k: int) -> bool:
        """Return whether English succeeds and the other version fails."""
        return self.english.rank <= k < self.other.rank


@dataclass(frozen=True)
class Found:
    """Result of the search from one question: the state with the highest score, or the start if none is above 0.

    ``weakest`` is the weak state with the highest score. ``singles`` are all single changes that were tried, including
    those with which English fails.
    """

    start: State
    best: State
    weakest: State | None
    singles: tuple[State, ...]
    levels: int


Measure = Callable[[Sequence[tuple[int, Versions]]], Sequence[tuple[Place, Place]]]


def _successors(state: State, material: Material, changes: Iterable[Change]) -> list[tuple[str, Versions]]:
    """Return the name and the texts of each further change, without families that the state has used already."""
    used = {CHANGES[name].family for name in state.path}
    found: dict[Versions, str] = {}
    for change in changes:
        if change.family not in used:
            for versions in change.apply(state.versions, material):
                found.setdefault(versions, change.name)
    return [(name, versions) for versions, name in found.items()]


def beam_search(
    starts: Sequence[State], materials: Sequence[Material], measure: Measure, *, k: int, beam: int, depth: int,
    budget: int, progress: Progress | None = None,
) -> tuple[list[Found], int]:  # fmt: skip
    """Search from all questions level by level, and return the results and the number of texts that were measured.

    At each level, every state of a question's beam gets every further change. States in which English fails are
    dropped, and the ``beam`` states with the highest scores go on. Equal scores are ordered by the length of the path,
    then by the texts. If the texts of a level exceed the rest of the budget, the last questions stop there.

    Given numbers of questions and texts, ``measure`` returns the places of the English and the other version.
    """
    frontier = [[start] for start in starts]
    reached_so_far = [[start] for start in starts]
    singles: list[tuple[State, ...]] = [() for _ in starts]
    levels = [0 for _ in starts]
    known = {text for start in starts for text in (start.versions.english, start.versions.other)}
    measured = 0
    for level in range(1, depth + 1):
        work: list[tuple[int, State, str, Versions]] = []
        for number, states in enumerate(frontier):
            further = _distinct(number, states, materials[number])
            # A text that was measured before costs nothing, so only new ones count against the budget.
            fresh = {text for *_, after in further for text in (after.english, after.other)} - known
            if measured + len(fresh) > budget:
                frontier[number:] = [[] for _ in frontier[number:]]
                break
            measured += len(fresh)
            known |= fresh
            work.extend(further)
        if not work:
            break
        if progress is not None:
            questions = len({number for number, *_ in work})
            progress(f"level {level}: {len(work):,} changed versions of {questions:,} questions, {measured:,} texts")
        places = measure([(number, after) for number, _, _, after in work])
        reached: list[list[State]] = [[] for _ in starts]
        for (number, before, name, after), (english, other) in zip(work, places, strict=True):
            start = starts[number]
            # The loss in English is subtracted: a change that hurts both says nothing about language.
            score = (start.other.margin - other.margin) - (start.english.margin - english.margin)
            reached[number].append(State(after, (*before.path, name), english, other, score))
            levels[number] = level
        if level == 1:
            singles = [tuple(states) for states in reached]
        sound = [sorted((s for s in states if s.english.rank <= k), key=_order) for states in reached]
        reached_so_far = [[*old, *new] for old, new in zip(reached_so_far, sound, strict=True)]
        frontier = [states[:beam] for states in sound]
    found: list[Found] = []
    for start, states, tried, searched in zip(starts, reached_so_far, singles, levels, strict=True):
        weakest = min((state for state in states if state.weak(k)), key=_order, default=None)
        found.append(Found(start, min(states, key=_order), weakest, tried, searched))
    return found, measured


def search_changes(
    outcomes: Sequence[Outcome], collection: Collection, encoder: Encoder, lexicons: Lexicons, *, start: Start,
    limit: int, beam: int, depth: int, budget: int, distractors: int, seed: int, progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Search from questions of every language, with ``probe``'s arguments, and return the figures under ``search``."""
    english = choose_languages(collection, None)[0]
    lists = [outcome.starts(start, limit, seed) for outcome in outcomes]
    # Languages take turns, so that a budget that is too small cuts each of them alike.
    turns = sorted((turn, number, int(row)) for number, rows in enumerate(lists) for turn, row in enumerate(rows))
    chosen = [(outcomes[number], row) for _, number, row in turns]
    drawn = {outcome.language: Distractors(outcome.parallel, collection, seed) for outcome in outcomes}
    states = [_start(outcome, row, collection) for outcome, row in chosen]
    materials = [
        Material(state.versions, drawn[state.versions.language].of(row, distractors),
                 lexicons.get(state.versions.language, {}))
        for state, (_, row) in zip(states, chosen, strict=True)
    ]  # fmt: skip
    # An upper bound of the texts per question: both versions, all changes, then every state of the beam again.
    bounds = [
        2 * len(_successors(state, material, CHANGES.values())) * (1 + (depth - 1) * beam)
        for state, material in zip(states, materials, strict=True)
    ]
    affordable = int((np.cumsum(bounds) <= budget).sum())
    bound = sum(bounds[:affordable])
    progress(f"search from {affordable:,} of {len(chosen):,} questions: at most {bound:,} texts (budget {budget:,})")

    def measure(work: Sequence[tuple[int, Versions]]) -> list[tuple[Place, Place]]:
        return _measure([(*chosen[number], versions) for number, versions in work], encoder, english)

    k = outcomes[0].k
    found, measured = beam_search(states[:affordable], materials[:affordable], measure, k=k, beam=beam, depth=depth,
                                  budget=budget, progress=progress)  # fmt: skip
    groups = [outcome.parallel.groups[row] for outcome, row in chosen[:affordable]]
    records = [
        _record(each, outcome.record(row, collection), k)
        for each, (outcome, row) in zip(found, chosen[:affordable], strict=True)
    ]
    return {"questions": affordable, "questions_wanted": len(chosen), "texts_at_most": bound, "texts": measured,
            "lexicons": sorted(code for code in lexicons if lexicons[code]), "changes": _by_change(found, groups, k),
            "by_language": _by_language(records), "found": records}  # fmt: skip


def _distinct(number: int, states: Sequence[State], material: Material) -> list[tuple[int, State, str, Versions]]:
    """Return the successors of a beam. Of two ways to one text by the same changes, the first counts."""
    found: dict[tuple[Versions, frozenset[str]], tuple[int, State, str, Versions]] = {}
    for state in states:
        for name, after in _successors(state, material, CHANGES.values()):
            found.setdefault((after, frozenset((*state.path, name))), (number, state, name, after))
    return list(found.values())


def _order(state: State) -> tuple[float, int, tuple[str, ...], str, str]:
    return -state.score, len(state.path), state.path, state.versions.other, state.versions.english


def _start(outcome: Outcome, row: int, collection: Collection) -> State:
    asked = [collection.questions["text"][int(rows[row])].as_py() for rows in outcome.parallel.questions]
    places = [Place(int(side.rank[row]), float(side.margin[row])) for side in (outcome.english, outcome.other)]
    return State(Versions(outcome.language, asked[0], asked[1]), (), places[0], places[1], 0.0)


def _measure(
    work: Sequence[tuple[Outcome, int, Versions]], encoder: Encoder, english: str
) -> list[tuple[Place, Place]]:
    """Encode each distinct text once, and return the places of both versions of each question.

    An encoder that uses languages gets that of each version, so that no change of a text is taken for one of language.
    """
    aware = isinstance(encoder, LanguageAware)

    def keys(versions: Versions) -> tuple[tuple[str, str], tuple[str, str]]:
        codes = (english, versions.language) if aware else ("", "")
        return (versions.english, codes[0]), (versions.other, codes[1])

    distinct = dict.fromkeys(key for *_, versions in work for key in keys(versions))
    texts = {key: row for row, key in enumerate(distinct)}
    options: dict[str, Any] = {"languages": [code for _, code in texts]} if aware else {}
    vectors = np.asarray(encoder.encode([text for text, _ in texts], "question", **options), np.float32)
    places: list[list[Place]] = [[] for _ in work]
    halves: tuple[Half, Half] = (0, 1)
    for outcome in {id(outcome): outcome for outcome, *_ in work}.values():
        own = [at for at, (other, *_) in enumerate(work) if other is outcome]
        questions = np.array([work[at][1] for at in own], np.int64)
        for half in halves:
            rows = [texts[keys(work[at][2])[half]] for at in own]
            margins = outcome.rank_margins(half, questions, vectors[rows])
            for at, rank, margin in zip(own, margins.rank, margins.margin, strict=True):
                places[at].append(Place(int(rank), float(margin)))
    return [(english, other) for english, other in places]


def _record(found: Found, before: dict[str, Any], k: int) -> dict[str, Any]:
    """Return one searched question: the best weak wording if there is one, else the best wording."""
    state = found.weakest or found.best
    return {
        "group": before["group"], "language": before["language"],
        "was_weak": found.start.weak(k), "weak": state.weak(k),
        "changes": list(state.path), "score": state.score,
        "best_score": found.best.score, "best_changes": list(found.best.path),
        "question": state.versions.other, "question_in_english": state.versions.english,
        "rank": state.other.rank, "rank_in_english": state.english.rank,
        "rank_before": before["rank"], "rank_in_english_before": before["rank_in_english"],
        "passage": before["passage"], "passage_in_english": before["passage_in_english"],
        "levels": found.levels,
    }  # fmt: skip


def _by_change(found: Sequence[Found], groups: Sequence[str], k: int) -> dict[str, Any]:
    """Return the effect of each change alone: means over the changed questions, the strongest change first.

    Intervals are over the ``groups`` of the questions, because translations of one question react alike.
    """
    group = np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)
    by_change: dict[str, list[tuple[int, State, Found]]] = {}
    for number, each in enumerate(found):
        for state in each.singles:
            by_change.setdefault(state.path[0], []).append((number, state, each))
    figures: dict[str, Any] = {}
    for name, tried in by_change.items():
        owner = np.array([number for number, _, _ in tried], np.int64)
        score, interval = mean_interval(np.array([state.score for _, state, _ in tried]), group[owner])
        sound = {number for number, _, each in tried if not each.start.weak(k)}
        drops = [each.start.other.margin - state.other.margin for _, state, each in tried]
        english_drops = [each.start.english.margin - state.english.margin for _, state, each in tried]
        languages = sorted({state.versions.language for _, state, _ in tried})
        figures[name] = {
            "meaning": CHANGES[name].meaning, "both": CHANGES[name].both,
            "questions": len(set(owner.tolist())), "wordings": len(tried),
            "score": score, "score_interval": interval,
            "drop": float(np.mean(drops)), "drop_in_english": float(np.mean(english_drops)),
            "english_fails": sum(state.english.rank > k for _, state, _ in tried),
            "not_weak_before": len(sound),
            "made_weak": len({number for number, state, _ in tried if number in sound and state.weak(k)}),
            "by_language": {code: float(np.mean([s.score for _, s, _ in tried if s.versions.language == code]))
                            for code in languages},
        }  # fmt: skip
    # A change tried on one question has no interval and shows little, so it comes last.
    order = sorted(figures, key=lambda name: (figures[name]["score_interval"] is None, -figures[name]["score"], name))
    return {name: figures[name] for name in order}


def _by_language(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for code in dict.fromkeys(str(record["language"]) for record in records):
        own = [record for record in records if record["language"] == code]
        sound = [record for record in own if not record["was_weak"]]
        changes = Counter(name for record in own for name in record["best_changes"])
        figures[code] = {"questions": len(own), "not_weak_before": len(sound),
                         "made_weak": sum(record["weak"] for record in sound),
                         "mean_score": float(np.mean([record["best_score"] for record in own])),
                         "changes_in_best": dict(changes.most_common())}  # fmt: skip
    return figures
