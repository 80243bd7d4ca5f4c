"""Which sentences are put before a question."""

from __future__ import annotations

import pyarrow as pa

from panglot.data.collection import Collection
from panglot.probe.pools import FEWEST, MOST, Distractors, ParallelQuestions

from .made import crossed


def drawn(language: str, number: int, count: int = 100, seed: int = 0) -> tuple[tuple[str, str], ...]:
    collection = crossed(groups=6)[2]
    found = ParallelQuestions.of(collection, "en", language)
    assert found
    return Distractors(found, collection, seed).of(number, count)


def test_they_are_translations_and_never_the_answer() -> None:
    wanted = [(f"It is {g} said in the en.", f"It is {g} said in the th.") for g in range(6) if g != 2]
    assert sorted(drawn("th", 2)) == wanted
    assert len(drawn("th", 2, 3)) == 3
    assert drawn("th", 2, 0) == ()


def test_they_are_the_same_in_every_language_and_differ_by_question_and_seed() -> None:
    assert [english for english, _ in drawn("th", 1)] == [english for english, _ in drawn("de", 1)]
    assert drawn("th", 1) == drawn("th", 1)
    assert len({drawn("th", 0, seed=seed) for seed in range(9)}) > 3


def test_long_and_short_passages_are_none() -> None:
    collection = crossed(groups=6)[2]
    for length, number in ((FEWEST - 1, 0), (FEWEST, 5), (MOST, 5), (MOST + 1, 0)):
        passages = collection.passages
        texts = pa.array([f"{row:0{length}}" for row in range(passages.num_rows)])
        passages = passages.set_column(passages.schema.get_field_index("text"), "text", texts)
        changed = Collection("long", collection.questions, passages, collection.relevance)
        found = ParallelQuestions.of(changed, "en", "de")
        assert found
        assert len(Distractors(found, changed, 0).of(0, 9)) == number
