"""Parallel questions and their pools, ranks and margins in them, and distractors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.evaluation.ranks import rank
from panglot.probe.pools import (
    MAX_LENGTH,
    MIN_LENGTH,
    Distractors,
    Outcome,
    ParallelQuestions,
    RankMargins,
    choose_languages,
)

from .made import crossed, shifted


def uneven() -> Collection:
    """Three groups in both languages, one more question in English only, and a much larger pool in German."""
    texts = [Text(f"p{g}-{x}", x, f"p{g}", f"text {g} {x}") for x in ("en", "de") for g in (2, 1, 0)]
    texts += [Text(f"extra{g}", "de", f"extra{g}", f"nur {g}") for g in range(20)]
    questions = [Text(f"q{g}-{x}", x, f"q{g}", f"question {g} {x}") for x in ("en", "de") for g in range(3)]
    questions += [Text("q9-en", "en", "q9", "only English"), Text("q0-second", "en", "q0", "again")]
    judged = [(f"q{g}-{x}", f"p{g}-{y}", 1) for g in range(3) for x in ("en", "de") for y in ("en", "de")]
    judged += [("q9-en", "p0-en", 1), ("q0-second", "p1-en", 1), ("q0-en", "p2-en", 0)]
    return Collection.build("uneven", questions, texts, judged)


def test_pools_of_unlike_size_are_cut_to_common_groups() -> None:
    found = ParallelQuestions.of(uneven(), "en", "de")
    assert found
    assert found.pools == "common"
    assert [len(rows) for rows in found.passages] == [3, 3]
    whole = ParallelQuestions.of(uneven(), "en", "de", "whole")
    assert whole
    assert [len(rows) for rows in whole.passages] == [3, 23]
    same = ParallelQuestions.of(crossed()[2], "en", "de")
    assert same
    assert same.pools == "whole"


def test_passages_without_a_group_are_common_to_no_languages() -> None:
    whole = uneven()
    alone = [Text(f"alone-{x}-{n}", x, "", f"{x} {n}") for x in ("en", "de") for n in range(5)]
    sides = [[Text(**row) for row in table.to_pylist()] for table in (whole.questions, whole.passages)]
    ids = [[text.id for text in side] for side in sides]
    judged = [(ids[0][row["question"]], ids[1][row["passage"]], row["relevance"]) for row in whole.qrels.to_pylist()]
    found = ParallelQuestions.of(Collection.build("more", sides[0], [*sides[1], *alone], judged), "en", "de", "common")
    assert found
    assert [len(rows) for rows in found.passages] == [3, 3]


def test_pools_go_by_id_and_questions_by_group() -> None:
    collection = uneven()
    found = ParallelQuestions.of(collection, "en", "de")
    assert found
    ids = collection.passages["id"].to_pylist()
    assert [ids[row] for row in found.passages[0]] == ["p0-en", "p1-en", "p2-en"]
    assert found.groups == ("q0", "q1", "q2")
    texts = collection.questions["text"].to_pylist()
    assert [texts[row] for row in found.questions[0]] == [f"question {g} en" for g in range(3)]
    for question, position in found.relevant:
        assert (question.tolist(), position.tolist()) == ([0, 1, 2], [0, 1, 2])


def test_languages_are_chosen_or_refused() -> None:
    collection = crossed()[2]
    assert choose_languages(collection, None) == ("en", ["de", "th"])
    assert choose_languages(collection, ["tha", "th"]) == ("en", ["th"])
    for wanted, says in ((["fr"], "has no fr"), (["en"], "compared with"), (["nonsense!"], "unknown language")):
        with pytest.raises(PanglotError, match=says):
            choose_languages(collection, wanted)
    with pytest.raises(PanglotError, match="no English"):
        choose_languages(collection.select(["de", "th"]), None)
    with pytest.raises(PanglotError, match="beside English"):
        choose_languages(collection.select(["en"]), None)


def test_k_is_no_larger_than_what_is_irrelevant() -> None:
    found = ParallelQuestions.of(crossed(groups=8)[2], "en", "de")
    assert found
    found.check_depth(7)
    with pytest.raises(PanglotError, match="pool of 8"):
        found.check_depth(8)


def test_nothing_in_common_is_none() -> None:
    collection = crossed()[2]
    left, right = (np.array(table["language"].to_pylist()) for table in (collection.questions, collection.passages))
    apart = collection.keep(left != "th", right != "de")
    assert ParallelQuestions.of(apart, "en", "de") is None
    assert ParallelQuestions.of(apart, "en", "th") is None


def drawn(
    seed: int, questions: int = 7, pool: int = 12
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Vectors of few values, so that many scores tie, and one to three relevant passages a question."""
    generator = np.random.default_rng(seed)
    left, right = (generator.integers(-1, 2, (n, 3)).astype(np.float32) for n in (questions, pool))
    pairs = [(q, p) for q in range(questions)
             for p in sorted(generator.choice(pool, generator.integers(1, 4), replace=False).tolist())]  # fmt: skip
    q, p = np.array(pairs).T
    return left, right, (q, p)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 8))
def test_rank_margins_are_those_of_the_sorted_list(seed: int, k: int) -> None:
    left, right, relevant = drawn(seed)
    found = RankMargins.of(left, right, relevant, k)
    for row, question in enumerate(left):
        scores = right @ question
        own = set(relevant[1][relevant[0] == row].tolist())
        ranking = sorted(range(len(right)), key=lambda p: (-scores[p], p))
        best = next(p for p in ranking if p in own)
        rest = [p for p in ranking if p not in own]
        assert found.rank[row] == 1 + ranking.index(best)
        assert found.best[row] == best
        assert found.instead[row] == rest[0]
        assert found.margin[row] == pytest.approx(scores[best] - scores[rest[k - 1]], abs=1e-6)
        if found.margin[row]:
            assert (found.margin[row] > 0) == (found.rank[row] <= k)


def test_blocks_change_nothing() -> None:
    left, right, relevant = drawn(3, questions=40)
    whole, parts = RankMargins.of(left, right, relevant, 4), RankMargins.of(left, right, relevant, 4, cells=30)
    for name in ("rank", "margin", "best", "instead"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))


def test_ranks_are_those_of_the_evaluation() -> None:
    questions, passages, collection = shifted()
    ranks = rank(questions, passages, collection)
    pair = dict(zip(zip(ranks.question.tolist(), ranks.passage.tolist(), strict=True), ranks.rank_in_language.tolist(),
                    strict=True))  # fmt: skip
    found = ParallelQuestions.of(collection, "en", "zh")
    assert found
    outcome = Outcome.of(found, questions, passages, 3)
    for half, side in enumerate((outcome.english, outcome.other)):
        answers = found.passages[half][side.best]
        theirs = [pair[q, p] for q, p in zip(found.questions[half].tolist(), answers.tolist(), strict=True)]
        assert side.rank.tolist() == theirs


def test_a_wording_stands_where_its_question_does() -> None:
    questions, passages, collection = shifted(groups=9)
    found = ParallelQuestions.of(collection, "en", "de")
    assert found
    outcome = Outcome.of(found, questions, passages, 2)
    vectors = questions[found.questions[1]]
    order = np.array([4, 1, 4, 8])
    some, every = outcome.rank_margins(1, order, vectors[order]), outcome.other
    assert some.rank.tolist() == every.rank[order].tolist()
    assert some.margin.tolist() == every.margin[order].tolist()


def distractors(language: str, number: int, count: int = 100, seed: int = 0) -> tuple[tuple[str, str], ...]:
    collection = crossed(groups=6)[2]
    found = ParallelQuestions.of(collection, "en", language)
    assert found
    return Distractors(found, collection, seed).of(number, count)


def test_they_are_translations_and_never_the_answer() -> None:
    wanted = [(f"It is {g} said in the en.", f"It is {g} said in the th.") for g in range(6) if g != 2]
    assert sorted(distractors("th", 2)) == wanted
    assert len(distractors("th", 2, 3)) == 3
    assert distractors("th", 2, 0) == ()


def test_they_are_the_same_in_every_language_and_differ_by_question_and_seed() -> None:
    assert [english for english, _ in distractors("th", 1)] == [english for english, _ in distractors("de", 1)]
    assert distractors("th", 1) == distractors("th", 1)
    assert len({distractors("th", 0, seed=seed) for seed in range(9)}) > 3


def test_long_and_short_passages_are_none() -> None:
    collection = crossed(groups=6)[2]
    for length, number in ((MIN_LENGTH - 1, 0), (MIN_LENGTH, 5), (MAX_LENGTH, 5), (MAX_LENGTH + 1, 0)):
        passages = collection.passages
        texts = pa.array([f"{row:0{length}}" for row in range(passages.num_rows)])
        passages = passages.set_column(passages.schema.get_field_index("text"), "text", texts)
        changed = Collection("long", collection.questions, passages, collection.qrels)
        found = ParallelQuestions.of(changed, "en", "de")
        assert found
        assert len(Distractors(found, changed, 0).of(0, 9)) == number
