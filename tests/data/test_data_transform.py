"""Parts of a collection: held out, sampled, filtered."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.batching import TrainingTable
from panglot.data.collection import Collection, Text
from panglot.data.columns import normalized
from panglot.data.transform import blocks, concatenate, hold_out, sample, select_rows
from panglot.datasets.catalog import CARDS

side = st.lists(
    st.tuples(st.sampled_from(["en", "de"]), st.integers(0, 8), st.integers(0, 12)), min_size=1, max_size=25
)


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    questions = [Text(f"q{i}", x, f"g{g}", f"t{t}") for i, (x, g, t) in enumerate(draw(side))]
    passages = [Text(f"p{i}", x, f"h{g}", f"u{t}") for i, (x, g, t) in enumerate(draw(side))]
    pairs = draw(st.lists(st.tuples(st.sampled_from(questions), st.sampled_from(passages)), max_size=20))
    return Collection.build("x", questions, passages, [(q.id, p.id, 1) for q, p in pairs])


def plain_blocks(c: Collection) -> list[set[str]]:
    """By brute force: grow sets until they share nothing."""
    sets = []
    left, right = c.pairs
    questions, passages = c.questions.to_pylist(), c.passages.to_pylist()
    for rows in (questions, passages):
        keys: dict[object, set[str]] = {}
        for row in rows:
            keys.setdefault(("group", row["group"]), set()).add(row["id"])
            keys.setdefault(("text", row["language"], row["text"]), set()).add(row["id"])
        sets += keys.values()
    sets += [{questions[q]["id"], passages[p]["id"]} for q, p in zip(left.tolist(), right.tolist(), strict=True)]
    merged: list[set[str]] = []
    for found in sets:
        touching = [other for other in merged if other & found]
        merged = [other for other in merged if not other & found] + [set.union(set(found), *touching)]
    return merged


@given(collections())
def test_blocks_are_the_connected_parts(c: Collection) -> None:
    q, p = blocks(c)
    found: dict[int, set[str]] = {}
    for numbers, table in ((q, c.questions), (p, c.passages)):
        for number, identity in zip(numbers.tolist(), table["id"].to_pylist(), strict=True):
            found.setdefault(number, set()).add(identity)
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, plain_blocks(c)))
    firsts = np.concatenate([q, p])
    assert list(dict.fromkeys(firsts.tolist())) == list(range(len(found)))  # numbered by first appearance


@given(collections(), st.floats(0.05, 0.95), st.integers(0, 9))
def test_nothing_leaks(c: Collection, share: float, seed: int) -> None:
    try:
        train, dev = hold_out(c, share, seed)
    except PanglotError:
        return
    assert train.questions.num_rows + dev.questions.num_rows == c.questions.num_rows
    assert train.passages.num_rows + dev.passages.num_rows == c.passages.num_rows
    assert train.qrels.num_rows + dev.qrels.num_rows == c.qrels.num_rows
    assert 0 < dev.questions.num_rows <= round(share * c.questions.num_rows)
    for mine, theirs in ((train.questions, dev.questions), (train.passages, dev.passages)):
        assert not {*mine["group"].to_pylist()} & {*theirs["group"].to_pylist()}
        shared = [{(x["language"], x["text"]) for x in t.to_pylist()} for t in (mine, theirs)]
        assert not shared[0] & shared[1]


@given(collections(), st.floats(0.05, 0.95), st.integers(0, 9))
def test_a_sample_has_the_questions_of_a_dev_set_and_passages_that_none_asks_for(
    c: Collection, share: float, seed: int
) -> None:
    try:
        _, dev = hold_out(c, share, seed)
    except PanglotError:
        return
    part = sample(c, share, seed)
    assert part.questions.equals(dev.questions)
    asked, said = blocks(c)
    ids = c.passages["id"].to_pylist()
    answering = {ids[row] for row in np.flatnonzero(np.isin(said, asked))}
    assert {*part.passages["id"].to_pylist()} & answering == {*dev.passages["id"].to_pylist()}


def test_mlqa(data_dir: Path) -> None:
    whole = CARDS["mlqa"].read(data_dir / "mlqa", candidates="paragraph")
    train, dev = hold_out(whole, 0.1, seed=1)
    assert abs(dev.questions.num_rows - 0.1 * whole.questions.num_rows) < 10
    assert {*dev.languages} == {*whole.languages}
    assert not {*train.passages["text"].to_pylist()} & {*dev.passages["text"].to_pylist()}
    assert hold_out(whole, 0.1, seed=1)[1].digest == dev.digest
    assert hold_out(whole, 0.1, seed=2)[1].digest != dev.digest


def test_what_hangs_together_cannot_be_split() -> None:
    c = Collection.build("x", [Text("a", "en", "g", "t"), Text("b", "de", "g", "u")], [Text("p", "en", "h", "v")], [])
    with pytest.raises(PanglotError, match="cannot be split"):
        hold_out(c, 0.5, 0)
    with pytest.raises(PanglotError, match="`share` must be between 0 and 1, got 1"):
        hold_out(c, 1, 0)


def test_whole_groups_are_drawn_with_their_passages(facts: Collection) -> None:
    questions, passages = select_rows(facts, rows=10, seed=3)
    kept = facts.keep(questions, passages)
    groups = kept.questions["group"].to_pylist()
    assert kept.questions.num_rows == 9, "three groups of three languages, and no part of a fourth"
    assert all(groups.count(group) == 3 for group in groups)
    judged = {(row["question"], row["passage"]) for row in facts.qrels.to_pylist() if questions[row["question"]]}
    assert set(np.flatnonzero(passages).tolist()) == {passage for _, passage in judged}
    assert (select_rows(facts, rows=10, seed=3)[0] == questions).all()
    assert (select_rows(facts, rows=10, seed=4)[0] != questions).any()


def test_of_the_passages_that_nobody_asks_for_a_share_stays() -> None:
    texts = [Text(f"t{i}", "en", f"t{i}", f"text {i}") for i in range(4000)]
    whole = Collection.build("pool", texts[:100], texts, [(t.id, t.id, 1) for t in texts[:100]])
    questions, passages = select_rows(whole, rows=25, seed=0)
    assert questions.sum() == 25
    assert (passages[:100] == questions).all()
    assert 800 < passages[100:].sum() < 1150


def test_lengths_and_languages() -> None:
    questions = [Text("q1", "en", "1", "q"), Text("q2", "de", "2", "f"), Text("q3", "en", "3", "unjudged")]
    passages = [Text("p1", "en", "1", "ünü"), Text("p2", "de", "2", "long enough"), Text("p3", "en", "1", "four")]
    whole = Collection.build("x", questions, passages, [("q1", "p1", 1), ("q2", "p2", 1), ("q1", "p3", 0)])
    kept = whole.keep(*select_rows(whole, min_characters=4))
    assert kept.questions["id"].to_pylist() == ["q2", "q3"], "the only right passage of q1 has three characters"
    assert kept.passages["id"].to_pylist() == ["p2", "p3"]
    assert whole.keep(*select_rows(whole, max_characters=4)).passages["id"].to_pylist() == ["p1", "p3"]
    assert whole.keep(*select_rows(whole, languages=["de"])).digest == whole.select(["de"]).digest
    with pytest.raises(PanglotError, match=r"no questions or no passages of x are left.*de, en"):
        select_rows(whole, languages=["fi"])


def test_no_question_of_dev_is_in_train_in_another_spelling() -> None:
    """Composed, decomposed, in capitals and with more blanks: one text for training, splits and checks."""
    spellings = [str, lambda text: unicodedata.normalize("NFD", text), str.upper, lambda text: f" {text}  ", str.title]
    questions, passages = [], []
    for row in range(30):
        text = spellings[row % 5](f"où est le café numéro {row // 5}\u00a0?")
        questions.append(Text(f"q{row}", "fr", f"q{row}", text))
        passages.append(Text(f"p{row}", "fr", f"p{row}", f"passage {row}"))
    made = Collection.build("spelled", questions, passages, [(f"q{row}", f"p{row}", 1) for row in range(30)])
    train, dev = hold_out(made, 0.4, seed=3)
    one, other = ({normalized(text) for text in part.questions["text"].to_pylist()} for part in (train, dev))
    assert len(one) + len(other) == 6
    assert not one & other
    assert TrainingTable.from_collection(made).largest_conflict_group == 5


def test_texts_without_a_group_are_apart() -> None:
    parts = [
        Collection.build(name, [Text(f"q{i}", "en", "", f"{name} {i}?") for i in range(4)],
                         [Text(f"p{i}", "de", "", f"{name} {i}.") for i in range(4)], [("q0", "p0", 1)])
        for name in ("one", "two")
    ]  # fmt: skip
    whole = concatenate(parts)
    questions, passages = blocks(whole)
    assert len(set(questions.tolist())) == len(set(passages.tolist())) == 8
    assert questions[0] == passages[0]
    assert blocks(whole, together=".*")[0].tolist() == questions.tolist()
    train, dev = hold_out(whole, 0.25, 0)
    assert (train.questions.num_rows, dev.questions.num_rows) == (6, 2)
    assert select_rows(whole, rows=3)[0].sum() == 3
