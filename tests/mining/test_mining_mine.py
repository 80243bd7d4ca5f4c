"""Mined negatives keep their laws and agree with plain loops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.overlap import Texts
from panglot.mining.hard_negatives import REASONS, Exclusions, Margin, mine_hard_negatives
from panglot.mining.mine import Report, allowed_languages, mine

LANGUAGES = ("de", "en", "sw")
WORDS = ["the", "old", "river", "runs", "down", "from", "high", "hills", "into", "a", "wide", "and", "quiet", "lake",
         "near", "our", "town"]  # fmt: skip


class Thrown:
    """An encoder whose vectors are drawn by id."""

    name = fingerprint = "thrown"
    by_id = True

    def __init__(self, seed: int, spread: float) -> None:
        self._seed, self._spread = seed, spread

    def encode(self, texts: Sequence[str], side: str, *, ids: Sequence[str] | None = None) -> np.ndarray:  # noqa: ARG002
        rng = np.random.default_rng(self._seed)
        centre = rng.normal(size=4)
        rows = [
            centre + self._spread * np.random.default_rng([self._seed, *name.encode()]).normal(size=4)
            for name in ids or ()
        ]
        vectors = np.asarray(rows, np.float32).reshape(len(texts), 4)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    groups = int(rng.integers(2, 7))

    def text(side: str) -> str:
        start, length = rng.integers(0, 4), rng.integers(1, len(WORDS))
        repeated = rng.random() < 0.4
        return " ".join(WORDS[start : start + length]) if repeated else f"{side} {rng.integers(0, 10**6)}"

    def texts(side: str) -> list[Text]:
        named = [(f"{side[0]}{g}" if rng.random() < 0.9 else "g0", x) for g in range(groups) for x in LANGUAGES]
        kept = [pair for pair in named if rng.random() < 0.8] or named[:1]
        return [Text(f"{side}{n}", x, g, text(side)) for n, (g, x) in enumerate(kept)]

    questions, passages = texts("question"), texts("passage")
    judged = {
        (q.id, p.id): int(rng.integers(0, 2))
        for q, p in product(questions, passages)
        if rng.random() < (0.7 if q.group[1:] == p.group[1:] else 0.05)
    }
    judged.setdefault((questions[0].id, passages[0].id), 1)
    judged[questions[0].id, passages[0].id] = 1
    return Collection.build("drawn", questions, passages, [(q, p, g) for (q, p), g in judged.items()])


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def plainly(
    collection: Collection,
    vectors: tuple[np.ndarray, np.ndarray],
    language: Any,
    number: int,
    margin: Margin,
    seed: int,
) -> tuple[list[list[int]], dict[str, int]]:
    """The same by loops over pairs."""
    questions, passages = collection.questions.to_pylist(), collection.passages.to_pylist()
    judged = {(r["question"], r["passage"]): r["relevance"] for r in collection.qrels.to_pylist()}
    scores = vectors[0].astype(np.float64) @ vectors[1].astype(np.float64).T
    alike = vectors[1].astype(np.float64) @ vectors[1].astype(np.float64).T
    allowed = allowed_languages(collection, language, seed)
    first = {}
    for j, p in enumerate(passages):
        first.setdefault((p["language"], _folded(p["text"])), j)
    one = [first[p["language"], _folded(p["text"])] for p in passages]
    # Equal questions are connected by group or text.
    same = [{i} for i in range(len(questions))]
    for _ in questions:
        for i, a in enumerate(questions):
            for k, b in enumerate(questions):
                if a["group"] == b["group"] or _folded(a["text"]) == _folded(b["text"]):
                    same[i] |= same[k]
    every = Texts([p["text"] for p in passages])
    matches = every.matches(every)
    shares = dict(zip(zip(matches.first.tolist(), matches.second.tolist(), strict=True), matches.share, strict=True))
    found: list[list[int]] = []
    excluded: dict[str, int] = dict.fromkeys(REASONS, 0)
    for i in range(len(questions)):
        relevant = [j for j in range(len(passages)) if judged.get((i, j), 0) > 0]
        found.append([])
        if not relevant:
            continue
        groups = {passages[j]["group"] for k in same[i] for j in range(len(passages)) if judged.get((k, j), 0) > 0}
        groups |= {questions[k]["group"] for k in same[i]}
        versions = {one[j] for j, p in enumerate(passages) if p["group"] in groups}
        near = {j for j in range(len(passages)) if any(shares.get((j, v), 0) >= 0.5 for v in versions)}
        ranked = []
        for j, p in enumerate(passages):
            code = collection.languages.index(p["language"])
            if one[j] != j or not allowed[i, code]:
                continue
            there = [k for k in relevant if passages[k]["language"] == p["language"]] or relevant
            best = max(there, key=lambda k: (scores[i, k], -k))
            bound = min(scores[i, best] - margin.relative * abs(scores[i, best]), scores[i, best] - margin.absolute)
            trusted = any(judged.get((i, k)) == 0 for k in range(len(passages)) if one[k] == j)
            reasons = (j in versions, j in near and not trusted, alike[best, j] >= margin.similarity and not trusted
                       and margin.similarity < 1, scores[i, j] > bound and not trusted)  # fmt: skip
            if any(reasons):
                excluded[REASONS[reasons.index(True)]] += 1
            else:
                ranked.append((-scores[i, j], j))
        found[-1] = [j for _, j in sorted(ranked)][:number]
    return found, excluded


@settings(max_examples=25)
@given(
    collections(),
    st.sampled_from(["any", "same", "drawn", "passage"]),
    st.integers(1, 4),
    st.sampled_from([Margin(0.05), Margin(0.0, 0.1), Margin(0.02, 0.0, 0.9), Margin(0.2, 0.01, 0.7)]),
    st.integers(0, 9),
)
def test_negatives_are_those_of_plain_loops(
    collection: Collection, language: Any, number: int, margin: Margin, seed: int
) -> None:
    encoder = Thrown(seed, 0.8)
    asked, given = (
        encoder.encode(t["text"].to_pylist(), "", ids=t["id"].to_pylist())
        for t in (collection.questions, collection.passages)
    )
    found = mine(encoder, collection, negatives=number, language=language, relative_margin=margin.relative,
                 absolute_margin=margin.absolute, similarity=margin.similarity, seed=seed)  # fmt: skip
    wanted, excluded = plainly(collection, (asked, given), language, number, margin, seed)
    mined: list[list[int]] = [[] for _ in wanted]
    for row in found.qrels.to_pylist():
        if row["relevance"] == 0:
            mined[row["question"]].append(row["passage"])
    assert mined == wanted
    assert Report.of(found).excluded == excluded
    relevant = [r for r in collection.qrels.to_pylist() if r["relevance"] > 0]
    assert [r for r in found.qrels.to_pylist() if r["relevance"] > 0] == relevant
    allowed = allowed_languages(collection, language, seed)
    small = mine_hard_negatives(
        asked, given, collection, Exclusions.of(collection), allowed, number, margin, block=2, tile=3
    )
    assert [[j for j in row if j >= 0] for row in small.passage.tolist()] == wanted
    assert small.excluded == excluded


def test_equal_scores_go_by_row_whatever_the_tiles() -> None:
    passages = [Text(f"p{n}", "en", f"p{n}", f"text {n} of its own") for n in range(5)]
    collection = Collection.build("equal", [Text("q", "en", "q", "what?")], passages, [("q", "p0", 1)])
    vectors = np.array([[1, 0]] + 4 * [[0.6, 0.8]], np.float32)
    for tile in (1, 2, 5):
        found = mine_hard_negatives(
            vectors[:1], vectors, collection, Exclusions.of(collection), np.ones((1, 1), bool), 2, Margin(), tile=tile
        )
        assert found.passage.tolist() == [[1, 2]]


def test_languages_are_those_of_the_rule(facts: Collection) -> None:
    same, any_, passage = (allowed_languages(facts, rule, 0) for rule in ("same", "any", "passage"))
    assert (same == (facts.question_language[:, None] == np.arange(3))).all()
    assert any_.all()
    assert passage.all()
    german = allowed_languages(facts.keep(np.ones(60, bool), facts.passage_language == 0), "passage", 0)
    assert german[:, 0].all()
    assert not german[:, 1:].any()


def test_one_language_is_drawn_for_each_question_by_the_seed(facts: Collection) -> None:
    first, again, other = (allowed_languages(facts, "drawn", seed) for seed in (0, 0, 1))
    assert (first.sum(axis=1) == 1).all()
    assert first.any(axis=0).all()
    assert (first == again).all()
    assert (first != other).any()


def test_what_is_judged_irrelevant_needs_no_margin() -> None:
    texts = [Text("p0", "en", "a", "the answer"), Text("p1", "en", "b", "no answer"), Text("p2", "en", "c", "far away")]
    question = [Text("q0", "en", "a", "what?")]
    vectors = {"q0": [1, 0], "p0": [0.8, 0.6], "p1": [0.96, 0.28], "p2": [0, 1]}

    class Told:
        name = fingerprint = "told"
        by_id = True

        def encode(self, texts: Sequence[str], side: str, *, ids: Sequence[str] | None = None) -> np.ndarray:  # noqa: ARG002
            return np.array([vectors[name] for name in ids or ()], np.float32)

    def negatives(*judged: tuple[str, str, int]) -> list[int]:
        found = mine(Told(), Collection.build("one", question, texts, [("q0", "p0", 1), *judged]), similarity=1)
        return [row["passage"] for row in found.qrels.to_pylist() if not row["relevance"]]

    assert negatives() == [2]
    assert negatives(("q0", "p1", 0)) == [1, 2]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"negatives": 0}, "negatives"),
        ({"language": "all"}, "language"),
        ({"relative_margin": -0.1}, "relative_margin"),
        ({"absolute_margin": 3.0}, "absolute_margin"),
        ({"similarity": 1.1}, "similarity"),
    ],
)
def test_settings_out_of_range_are_refused(facts: Collection, given: dict[str, Any], field: str) -> None:
    with pytest.raises(PanglotError) as caught:
        mine(Thrown(0, 1), facts, **given)
    assert caught.value.field == field


def test_test_sets_are_not_mined() -> None:
    with pytest.raises(PanglotError, match="starter is a test set"):
        mine(Thrown(0, 1), "starter:test")


def test_reports_of_sets_mined_by_version_0_1_are_read(facts: Collection) -> None:
    mined = mine(Thrown(0, 1), facts, relative_margin=0.0)
    metadata = json.loads(mined.metadata["mined"])
    metadata["found"]["left_out"] = metadata["found"].pop("excluded")
    old = replace(mined, metadata={**mined.metadata, "mined": json.dumps(metadata)})
    assert Report.of(old) == Report.of(mined)
    assert sum(Report.of(mined).excluded.values()) > 0
