"""The search over all languages at once: questions to start from, one batch a level, and what it found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from panglot.probe.beam import Distractors, Found, Place, State, beam_search, successors
from panglot.probe.changes import CHANGES, Material, Versions
from panglot.probe.rates import mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from panglot.data.collection import Collection
    from panglot.encoders.protocol import Encoder
    from panglot.probe.lexicon import Lexicons
    from panglot.probe.pairs import Outcome
    from panglot.probe.pools import Half

Start = Literal["both", "near", "weak", "random"]
Chosen = tuple[int, int]
"""Number of the outcome, and of the question in it."""


def hunt(
    outcomes: Sequence[Outcome],
    collection: Collection,
    encoder: Encoder,
    lexicons: Lexicons,
    *,
    start: Start,
    limit: int,
    beam: int,
    depth: int,
    budget: int,
    distractors: int,
    seed: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Search from the chosen questions of every language; return what ``search`` holds in the figures.

    Languages take turns, so that a budget that is too small for all questions cuts each alike.
    """
    lists = [outcome.starts(start, limit, seed) for outcome in outcomes]
    turns = sorted((place, number, int(row)) for number, rows in enumerate(lists) for place, row in enumerate(rows))
    chosen: list[Chosen] = [(number, row) for _, number, row in turns]
    drawn = [Distractors(outcome.ground.parallel, collection, seed) for outcome in outcomes]
    states = [_start(outcomes[number], row, collection) for number, row in chosen]
    materials = [
        Material(state.versions, drawn[number].of(row, distractors), lexicons.get(outcomes[number].language, {}))
        for state, (number, row) in zip(states, chosen, strict=True)
    ]
    bounds = [
        2 * len(successors(state, material, CHANGES.values())) * (1 + (depth - 1) * beam)
        for state, material in zip(states, materials, strict=True)
    ]
    keep = int((np.cumsum(bounds) <= budget).sum())
    bound = sum(bounds[:keep])
    tell(f"search from {keep:,} of {len(chosen):,} questions: at most {bound:,} texts (budget {budget:,})")

    def measure(work: Sequence[tuple[int, Versions]]) -> list[tuple[Place, Place]]:
        return _measure(work, chosen, outcomes, encoder)

    k = outcomes[0].ground.k
    found, spent = beam_search(
        states[:keep], materials[:keep], measure, k=k, beam=beam, depth=depth, budget=budget, tell=tell
    )
    records = [
        _record(each, outcomes[number].record(row, collection), k)
        for each, (number, row) in zip(found, chosen, strict=False)
    ]
    return {
        "questions": keep,
        "questions_wanted": len(chosen),
        "texts_at_most": bound,
        "texts": spent,
        "lexicons": sorted(code for code in lexicons if lexicons[code]),
        "changes": _changes(found, k),
        "by_language": _languages(records),
        "found": records,
    }


def _start(outcome: Outcome, row: int, collection: Collection) -> State:
    asked = [collection.questions["text"][int(rows[row])].as_py() for rows in outcome.ground.parallel.questions]
    places = [Place(int(side.rank[row]), float(side.margin[row])) for side in (outcome.english, outcome.other)]
    return State(Versions(outcome.language, asked[0], asked[1]), (), places[0], places[1], 0.0)


def _measure(
    work: Sequence[tuple[int, Versions]], chosen: Sequence[Chosen], outcomes: Sequence[Outcome], encoder: Encoder
) -> list[tuple[Place, Place]]:
    texts: dict[str, int] = {}
    for _, versions in work:
        for text in (versions.english, versions.other):
            texts.setdefault(text, len(texts))
    vectors = np.asarray(encoder.encode(list(texts), "question"), np.float32)
    places: list[list[Place]] = [[] for _ in work]
    owner = np.array([chosen[number][0] for number, _ in work])
    halves: tuple[Half, Half] = (0, 1)
    for number, outcome in enumerate(outcomes):
        mine: list[int] = np.flatnonzero(owner == number).tolist()
        if not mine:
            continue
        questions = np.array([chosen[work[place][0]][1] for place in mine], np.int64)
        for half in halves:
            rows = [texts[work[place][1].other if half else work[place][1].english] for place in mine]
            stood = outcome.ground.stand(half, questions, vectors[rows])
            for place, rank, margin in zip(mine, stood.rank, stood.margin, strict=True):
                places[place].append(Place(int(rank), float(margin)))
    return [(english, other) for english, other in places]


def _record(found: Found, before: dict[str, Any], k: int) -> dict[str, Any]:
    """Return one searched question: the best weak wording where there is one, else the best."""
    state = found.weakest or found.best
    return {
        "group": before["group"],
        "language": before["language"],
        "was_weak": found.start.weak(k),
        "weak": state.weak(k),
        "changes": list(state.path),
        "score": state.score,
        "best_score": found.best.score,
        "best_changes": list(found.best.path),
        "question": state.versions.other,
        "question_in_english": state.versions.english,
        "rank": state.other.rank,
        "rank_in_english": state.english.rank,
        "rank_before": before["rank"],
        "rank_in_english_before": before["rank_in_english"],
        "passage": before["passage"],
        "passage_in_english": before["passage_in_english"],
        "levels": found.levels,
    }


def _changes(found: Sequence[Found], k: int) -> dict[str, Any]:
    """Return what each change did alone: means over the changed questions, the strongest first."""
    by_change: dict[str, list[tuple[int, State, Found]]] = {}
    for number, each in enumerate(found):
        for state in each.singles:
            by_change.setdefault(state.path[0], []).append((number, state, each))
    figures: dict[str, Any] = {}
    for name, tried in by_change.items():
        owner = np.array([number for number, _, _ in tried], np.int64)
        score, interval = mean(np.array([state.score for _, state, _ in tried]), owner)
        sound = {number for number, _, each in tried if not each.start.weak(k)}
        figures[name] = {
            "meaning": CHANGES[name].meaning,
            "both": CHANGES[name].both,
            "questions": len(set(owner.tolist())),
            "wordings": len(tried),
            "score": score,
            "score_interval": interval,
            "drop": float(np.mean([each.start.other.margin - state.other.margin for _, state, each in tried])),
            "drop_in_english": float(
                np.mean([each.start.english.margin - state.english.margin for _, state, each in tried])
            ),
            "english_fails": sum(state.english.rank > k for _, state, _ in tried),
            "not_weak_before": len(sound),
            "made_weak": len({number for number, state, _ in tried if number in sound and state.weak(k)}),
            "by_language": {
                code: float(np.mean([s.score for _, s, _ in tried if s.versions.language == code]))
                for code in sorted({s.versions.language for _, s, _ in tried})
            },
        }
    # What was tried on one question only says little: it comes last.
    order = sorted(figures, key=lambda name: (figures[name]["score_interval"] is None, -figures[name]["score"], name))
    return {name: figures[name] for name in order}


def _languages(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for code in dict.fromkeys(str(record["language"]) for record in records):
        mine = [record for record in records if record["language"] == code]
        sound = [record for record in mine if not record["was_weak"]]
        best = Counter(name for record in mine for name in record["best_changes"])
        figures[code] = {
            "questions": len(mine),
            "not_weak_before": len(sound),
            "made_weak": sum(record["weak"] for record in sound),
            "mean_score": float(np.mean([record["best_score"] for record in mine])),
            "changes_in_best": dict(best.most_common()),
        }
    return figures
