"""A collection as rows: what a row holds, and which rows are kept apart."""

from __future__ import annotations

import functools
import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.batching import Batch, Plan, Policy, TrainingTable
from panglot.data.collection import Collection, Text
from panglot.datasets.registry import read

Judgement = tuple[str, str, int]


def text(line: str) -> Text:
    identity, language, group, rest = line.split(maxsplit=3)
    return Text(identity, language, group, rest)


def build(questions: list[str], passages: list[str], judgements: list[Judgement]) -> Collection:
    """Make a collection from ``id language group text`` lines."""
    return Collection.build("small", map(text, questions), map(text, passages), judgements)


def rows_of(collection: Collection) -> TrainingTable:
    return TrainingTable.from_collection(collection)


def conflict_groups(held: TrainingTable) -> set[frozenset[int]]:
    return {
        frozenset(np.flatnonzero(held.conflict_group == group).tolist()) for group in set(held.conflict_group.tolist())
    }


def test_a_row_is_a_group_and_holds_its_versions() -> None:
    held = rows_of(
        build(
            ["q1 de a Wo?", "q2 en a Where?", "q3 en b When?", "q4 fi c Kuka?"],
            ["p1 en A here", "p2 fi A täällä", "p3 en B then"],
            [("q2", "p1", 1), ("q2", "p2", 1), ("q3", "p3", 2), ("q4", "p3", 0)],
        )
    )
    assert held.languages == ("de", "en", "fi")
    assert held.question.tolist() == [[0, 1, -1], [-1, 2, -1]], "a question judged only 0 is no row"
    assert held.passage.tolist() == [[-1, 0, 1], [-1, 2, -1]]
    assert conflict_groups(held) == {frozenset({0}), frozenset({1})}


def test_the_first_of_several_passages_is_taken_and_none_is_a_negative() -> None:
    held = rows_of(
        build(
            ["q1 en a Where?", "q2 en b When?"],
            ["p1 en A here", "p2 en B there", "p3 en C then"],
            [("q1", "p2", 1), ("q1", "p1", 1), ("q2", "p2", 1)],
        )
    )
    assert held.passage.tolist() == [[0], [1]]
    assert conflict_groups(held) == {frozenset({0, 1})}


def test_questions_of_one_group_in_one_language_are_rows_in_one_conflict_group() -> None:
    held = rows_of(
        build(
            ["q1 en a Where?", "q2 de a Wo?", "q3 en a At what place?"],
            ["p1 en A here"],
            [("q1", "p1", 1)],
        )
    )
    assert held.question.tolist() == [[1, 0], [-1, 2]]
    assert held.passage.tolist() == [[-1, 0], [-1, 0]]
    assert conflict_groups(held) == {frozenset({0, 1})}


@pytest.mark.parametrize(
    ("why", "questions", "passages", "judgements"),
    [
        ("one passage", ["q1 en a X", "q2 fi b Y"], ["p1 en A x"], [("q1", "p1", 1), ("q2", "p1", 1)]),
        (
            "a passage and its translation",
            ["q1 en a X", "q2 fi b Y"],
            ["p1 en A x", "p2 fi A y"],
            [("q1", "p1", 1), ("q2", "p2", 1)],
        ),
        (
            "the text of a passage but for case and blanks",
            ["q1 en a X", "q2 fi b Y"],
            ["p1 en A Same Straße", "p2 fi B same   strasse "],
            [("q1", "p1", 1), ("q2", "p2", 1)],
        ),
        (
            "the text of a question",
            ["q1 en a Who WAS he?", "q2 de b Who was  he?"],
            ["p1 en A x", "p2 fi B y"],
            [("q1", "p1", 1), ("q2", "p2", 1)],
        ),
        (
            "a chain",
            ["q1 en a X", "q2 fi b Y", "q3 fi c Y"],
            ["p1 en A x", "p2 fi B y"],
            [("q1", "p1", 1), ("q2", "p2", 1), ("q3", "p1", 1)],
        ),
    ],
)
def test_rows_that_share_a_thing_are_kept_apart(
    why: str, questions: list[str], passages: list[str], judgements: list[Judgement]
) -> None:
    other = (["q9 en z Else?"], ["p9 en Z else"], [("q9", "p9", 1)])
    held = rows_of(build(questions + other[0], passages + other[1], judgements + other[2]))
    last = held.rows - 1
    assert conflict_groups(held) == {frozenset(range(last)), frozenset({last})}, why


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 5), st.integers(0, 3), st.integers(0, 8)),
        min_size=1,
        max_size=14,
    )
)
@settings(max_examples=150)
def test_conflict_groups_are_the_closure_of_what_rows_share(drawn: list[tuple[int, int, int, int, int]]) -> None:
    """The oracle: merge sets of row keys by brute force until nothing changes."""
    questions, passages, judged = [], [], []
    for i, (group, language, passage_group, text, question_text) in enumerate(drawn):
        code = ("de", "en", "fi")[language]
        questions.append(f"q{i} {code} g{group} question {question_text}")
        passages.append(f"p{i} {code} G{passage_group} text {text} {passage_group // 2}")
        judged.append((f"q{i}", f"p{i}", 1))
    collection = build(questions, passages, judged)
    held = rows_of(collection)
    sets: list[set[str]] = []
    for question, passage in zip(questions, passages, strict=True):
        q, p = question.split(maxsplit=3), passage.split(maxsplit=3)
        new = {f"group {q[2]}", f"question {q[3]}", f"pgroup {p[2]}", f"passage {p[3]}"}
        joined = [old for old in sets if old & new]
        sets = [old for old in sets if not old & new] + [new.union(*joined)]
    groups = collection.questions["group"].to_pylist()
    for one, two in itertools.combinations(range(held.rows), 2):
        keys = [f"group {groups[held.question[row].max()]}" for row in (one, two)]
        together = any(keys[0] in s and keys[1] in s for s in sets)
        assert (held.conflict_group[one] == held.conflict_group[two]) == together
    assert sorted(held.question[held.question >= 0].tolist()) == list(range(len(drawn))), "no question is lost"


def test_a_collection_without_answers_is_refused() -> None:
    with pytest.raises(PanglotError, match=r"small has no question with a relevant passage.*judgements"):
        rows_of(build(["q1 en a X"], ["p1 en A x"], [("q1", "p1", 0)]))


def test_a_large_conflict_group_is_warned_of() -> None:
    many = [f"q{i} en g{i} X{i}" for i in range(30)]
    held = rows_of(build(many, ["p en A x", "o en B y"], [(f"q{i}", "o" if i > 5 else "p", 1) for i in range(30)]))
    assert held.largest_conflict_group == 24
    (warning,) = held.warnings
    assert warning.startswith("small: 24 of 30 rows (80%) share a passage")
    assert warning.endswith("so large batches have only a part of them in each epoch")
    apart = rows_of(build(many, [f"p{i} en A{i} x{i}" for i in range(30)], [(f"q{i}", f"p{i}", 1) for i in range(30)]))
    assert apart.warnings == ()
    few = rows_of(build(many[:5], [f"p{i} en A{i} x{i}" for i in range(5)], [(f"q{i}", f"p{i}", 1) for i in range(5)]))
    assert few.warnings == (), "a fifth of the rows, but nothing is shared"


@functools.cache
def known(name: str, data_dir: Path) -> tuple[Collection, TrainingTable, dict[str, set[str]]]:
    """Return a set, its rows, and for each question group the groups of the passages that answer it."""
    collection = read(name, data_dir=data_dir)
    group, passage_group = (t["group"].to_pylist() for t in (collection.questions, collection.passages))
    answers: dict[str, set[str]] = {}
    for question, passage in zip(*(side.tolist() for side in collection.pairs), strict=True):
        answers.setdefault(group[question], set()).add(passage_group[passage])
    return collection, rows_of(collection), answers


def meets(collection: Collection, batch: Batch, answers: dict[str, set[str]]) -> list[str]:
    """Return the false negatives of a batch, from ids, groups and texts alone."""
    q = collection.questions.take(batch.questions).to_pydict()
    p = collection.passages.take(batch.passages).to_pydict()
    positive = np.eye(len(q["id"]), dtype=bool) if batch.positive is None else batch.positive
    wrong: list[str] = []
    for i, j in zip(*np.nonzero(~positive), strict=True):
        owner = int(np.flatnonzero(positive[:, j])[0])
        if p["group"][j] in answers[q["group"][i]]:
            wrong.append(f"{p['id'][j]} answers {q['id'][i]} or is a translation of what does")
        if q["group"][i] == q["group"][owner]:
            wrong.append(f"{q['id'][i]} meets its translation {q['id'][owner]}")
        if q["text"][i].casefold().split() == q["text"][owner].casefold().split():
            wrong.append(f"{q['text'][i]} is asked twice")
        if any(
            p["text"][j].casefold().split() == p["text"][own].casefold().split() for own in np.flatnonzero(positive[i])
        ):
            wrong.append(f"{p['text'][j]} is there twice")
    return wrong


@pytest.mark.parametrize("name", ["mlqa", "squad2-en-fi", "xquad-r"])
def test_no_translation_and_no_second_question_on_a_passage_is_a_negative(name: str, data_dir: Path) -> None:
    collection, held, answers = known(name, data_dir)
    assert held.rows == len(answers)
    for batches in ("mono", "mixed-mono", "cross", "cross-pair", "hybrid-row", "whole-group"):
        plan = Plan([held], Policy(batches, batch_size=64, seed=3))
        for k in (0, 1, 2, 77):
            assert meets(collection, plan(k), answers) == []


def test_the_check_itself_sees_a_block_that_meets(data_dir: Path) -> None:
    """Without conflict groups, questions about one paragraph meet, so the test above can fail."""
    collection, held, answers = known("squad2-en-fi", data_dir)
    loose = TrainingTable(held.name, held.languages, held.question[:400], held.passage[:400], np.arange(400))
    assert meets(collection, Plan([loose], Policy("mono", batch_size=64))(0), answers)


def test_a_large_source_is_ready_in_time(data_dir: Path) -> None:
    _, held, _ = known("squad2-en-fi", data_dir)
    began = time.process_time()
    plan = Plan([held], Policy("hybrid-row"))
    plan(0)
    assert time.process_time() - began < 1
    began = time.process_time()
    plan(500_000)
    assert time.process_time() - began < 1


def test_translations_of_questions_never_meet_themselves() -> None:
    from panglot.batching import Plan, Policy

    texts = [Text(f"{x}{g}", x, f"g{g}", f"text {g} in {x}") for g in range(12) for x in ("en", "fi")]
    judged = [(f"{x}{g}", f"{y}{g}", 1) for g in range(12) for x, y in (("en", "fi"), ("fi", "en"))]
    translations = rows_of(Collection.build("translations", texts, texts, judged))
    assert not translations.mono
    for kind in ("hybrid-row", "cross", "cross-pair"):
        plan = Plan([translations], Policy(kind, batch_size=4))
        for batch in map(plan, range(12)):
            assert (batch.question_languages != batch.passage_languages).all()
    with pytest.raises(PanglotError, match="mono"):
        Plan([translations], Policy("mono", batch_size=4))


@pytest.mark.parametrize("nothing", ["", None])
def test_texts_without_a_group_are_rows_of_their_own(nothing: str | None) -> None:
    """They are no versions of each other, whatever their languages, and beside texts with a group too."""
    asked = [("q1", "en", "Where?"), ("q2", "en", "When?"), ("q3", "de", "Wer?")]
    answering = [("p1", "en", "Here."), ("p2", "en", "Now."), ("p3", "de", "Ich.")]
    judged = [(f"q{n}", f"p{n}", 1) for n in (1, 2, 3)]
    for named in ({}, {"q1": "a", "p1": "b"}):
        questions, passages = (
            [Text(name, code, named.get(name, nothing), text) for name, code, text in side]  # type: ignore[arg-type]
            for side in (asked, answering)
        )
        held = rows_of(Collection.build("alone", questions, passages, judged))
        assert held.languages == ("de", "en")
        assert held.question.tolist() == held.passage.tolist() == [[-1, 0], [-1, 1], [2, -1]]
        assert len(conflict_groups(held)) == 3
