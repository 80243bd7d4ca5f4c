import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.data import collection, columns
from panglot.data.collection import Collection, Text
from panglot.data.overlap import Texts, hash_texts
from panglot.datasets import tydiqa
from panglot.datasets.decontaminate import exclude
from panglot.datasets.registry import read


def _words(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[at : at + 8]) for at in range(len(words) - 7)}


@settings(max_examples=60)
@given(st.lists(st.text("ab ", max_size=60), min_size=1, max_size=6), st.lists(st.text("ab ", max_size=60), max_size=6))
def test_shares_are_those_of_plain_sets(left: list[str], right: list[str]) -> None:
    found = Texts(left).matches(Texts(right))
    got = {(i, j): (s, e) for i, j, s, e in zip(*map(np.ndarray.tolist, _columns(found)), strict=True)}
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            x, y = _words(a), _words(b)
            letters = a.replace(" ", "")
            equal = letters == b.replace(" ", "") and len(letters) >= 4
            fewer, shared = min(len(x), len(y)), len(x & y)
            share = 1.0 if equal or (shared and shared == fewer) else shared / max(10, fewer)
            if share:
                assert got.pop((i, j)) == (pytest.approx(share), equal)
    assert not got


def _columns(found: object) -> tuple[np.ndarray, ...]:
    return tuple(getattr(found, name) for name in ("first", "second", "share", "equal"))


@pytest.mark.parametrize(
    ("left", "right", "share"),
    [
        ("Who wrote it?", "who  WROTE it", 1.0),
        ("ﬁve", "five", 1.0),  # compatibility form
        ("ខ្ញុំ\u200bទៅ", "ខ្ញុំទៅ", 1.0),  # zero-width space between Khmer words
        ("Yes", "yes", None),  # too short to decide
        ("?!", "?!", None),
        ("", "", None),
        (
            "一二三四五六七八九十一二三四五六七八九十一二三四",
            "甲一二三四五六七八九十一二三四五六七八九十一二三四乙",
            1.0,
        ),
        ("一二三四五六七八九十一二三四五六七八九十一二三", "甲一二三四五六七八九十一二三四五六七八九十一二三乙", None),
        ("a b c d e f g h", "x a b c d e f g h y z", 1.0),
        ("a b c d e f g", "x a b c d e f g y z", None),
        ("a b c d e f g h i", "x a b c d e f g h y z", 0.1),  # one phrase of eight words
    ],
)
def test_what_counts_as_the_same(left: str, right: str, share: float | None) -> None:
    found = Texts([left]).matches(Texts(["nothing of the kind", right]))
    assert found.share.tolist() == ([] if share is None else [pytest.approx(share)])


def test_texts_do_not_run_into_each_other_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{n} " + " ".join(f"w{(n * 7 + i) % 40}" for i in range(20)) for n in range(50)]
    whole = Texts(texts).matches(Texts(texts[::-1]))
    monkeypatch.setattr("panglot.data.overlap._CHUNK", 100)
    parts = Texts(texts).matches(Texts(texts[::-1]))
    assert all(np.array_equal(a, b) for a, b in zip(_columns(whole), _columns(parts), strict=True))
    assert not len(Texts(["a b c d e", "f g h i j"]).matches(Texts(["a b c d e f g h i j"])).share)


def _made() -> Collection:
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    questions = [
        Text(f"{code}{g}", code, f"q{g}", f"{code} question {g} here") for g in range(4) for code in ("de", "en")
    ]
    passages = [
        Text(f"{code}{g}", code, f"p{g}", f"{code} passage {g} here") for g in range(3) for code in ("de", "en")
    ]
    passages[1] = passages[1]._replace(text=long)
    both = ("de", "en")
    qrels = [(f"{x}{q}", f"{y}{p}", 1) for q, p in ((1, 0), (2, 1), (3, 2)) for x in both for y in both]
    qrels.append(("en0", "de0", 1))  # its German has no judgement
    return Collection.build("made", questions, passages, qrels)


def test_a_text_goes_with_its_group_and_the_questions_that_it_answers() -> None:
    test = Collection.build(
        "test",
        [Text("q", "de", "q", "DE question 3 here!")],
        [Text("p", "en", "p", "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen")],
        [("q", "p", 1)],
    )
    left, (found,) = exclude(_made(), [test])
    assert left.questions["id"].to_pylist() == ["de2", "en2"]
    assert left.passages["id"].to_pylist() == ["de1", "en1", "de2", "en2"]
    assert left.qrels.num_rows == 4
    assert (found.training, found.test, found.equal, found.near, found.groups) == ("made", "test", 1, 1, 2)
    again, _ = exclude(_made(), [hash_texts(test)])
    assert again.digest == left.digest


def test_nothing_shared_leaves_all() -> None:
    test = Collection.build("test", [Text("q", "en", "q", "other")], [Text("p", "en", "p", "words")], [("q", "p", 1)])
    left, (found,) = exclude(_made(), [test])
    assert left.digest == _made().digest
    assert (found.equal, found.near, found.highest, found.groups, found.examples) == (0, 0, 0.0, 0, ())
    assert exclude(_made(), [])[0].digest == _made().digest
    with pytest.raises(PanglotError, match="`threshold` must be above 0 and at most 1, got 0"):
        exclude(_made(), [test], threshold=0)


WORDS = [" ".join(f"w{n}" for n in range(start, start + 9)) for start in range(0, 40, 3)]
some_texts = st.lists(
    st.tuples(st.sampled_from(["de", "en"]), st.integers(0, 6), st.lists(st.sampled_from(WORDS), max_size=3)),
    min_size=1, max_size=12,
)  # fmt: skip


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    questions, passages = (
        [Text(f"{n}", code, f"g{group}", " ".join(words)) for n, (code, group, words) in enumerate(draw(some_texts))]
        for _ in range(2)
    )
    pairs = draw(st.lists(st.tuples(st.sampled_from(questions), st.sampled_from(passages)), max_size=9, unique=True))
    return Collection.build("x", questions, passages, [(q.id, p.id, draw(st.integers(0, 1))) for q, p in pairs])


def _held_whole(training: Collection, test: Collection, threshold: float) -> tuple[Collection, tuple[object, ...]]:
    """The same with all texts in memory at once."""
    tables = training.questions, training.passages
    texts = list(dict.fromkeys(text for table in tables for text in table["text"].to_pylist()))
    known = hash_texts(test)[1]
    found = Texts(texts).matches(known)
    taken = found.share >= threshold
    gone_texts = {texts[place] for place in found.first[taken]}
    equal = len(set(found.first[found.equal].tolist()))
    pairs = [(texts[a], known.texts[b]) for a, b in zip(found.first, found.second, strict=True)]
    below = np.where(taken, 0, found.share)
    gone_groups = [{r["group"] for r in table.to_pylist() if r["text"] in gone_texts} for table in tables]
    groups = sum(map(len, gone_groups))
    rows = [[r["group"] for r in table.to_pylist()] for table in tables]
    passages = np.array([group in gone_groups[1] for group in rows[1]])
    gone_groups[0] |= {rows[0][q] for q, p in zip(*training.pairs, strict=True) if passages[p]}
    questions = np.array([group in gone_groups[0] for group in rows[0]])
    nearest = pairs[int(below.argmax())] if below.max(initial=0) else None
    examples = tuple(pairs[at] for at in np.flatnonzero(taken)[:3])
    told = equal, len(gone_texts) - equal, float(below.max(initial=0)), groups, examples, nearest
    return training.keep(~questions, ~passages), told


@settings(max_examples=80)
@given(collections(), collections(), st.sampled_from([0.3, 0.5, 0.9, 1.0]), st.booleans())
def test_passing_by_in_pieces_finds_what_holding_all_finds(
    training: Collection, test: Collection, threshold: float, small: bool
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        if small:
            patched.setattr(columns, "BATCH", 2)
            patched.setattr("panglot.data.overlap._CHUNK", 40)
        left, (found,) = exclude(training, [test], threshold=threshold)
    expected, told = _held_whole(training, test, threshold)
    assert left.digest == expected.digest
    assert told == (found.equal, found.near, found.highest, found.groups, found.examples, found.nearest)


def test_what_is_left_of_a_large_set_is_mapped_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(collection, "MANY", 1)
    test = Collection.build("t", [Text("q", "de", "q", "DE question 3 here!")], [Text("p", "en", "p", "")], [])
    _made().save(tmp_path / "made")
    saved = replace(Collection.open(tmp_path / "made"), name="mine")
    left, _ = exclude(saved, [test])
    assert left.folder is not None
    assert left.folder.is_relative_to(tmp_path / "cache")
    assert (left.name, left.digest) == ("mine", exclude(_made(), [test])[0].digest)
    assert exclude(saved, [test])[0].folder == left.folder
    other = Collection.build("t", [Text("q", "de", "q", "something else")], [Text("p", "en", "p", "")], [])
    assert exclude(saved, [other])[0] is saved


def _highest(left: Collection, right: Collection) -> float:
    sides = (Texts(each.passages["text"].to_pylist()) for each in (left, right))
    return round(float(next(sides).matches(next(sides)).share.max(initial=0)), 3)


def test_known_overlaps_with_xquad(data_dir: Path) -> None:
    """Those of the data's README: Prime number, Oxygen, the highest of SQuAD 2.0."""
    xquad = read("xquad-r", data_dir=data_dir, candidates="paragraph", languages=["en"])
    near = {name: _highest(read(name, data_dir=data_dir, languages=["en"]), xquad)
            for name in ("mlqa@paragraph", "tydiqa-goldp:train", "squad2-en-fi")}  # fmt: skip
    assert near == {"mlqa@paragraph": 0.241, "tydiqa-goldp:train": 0.193, "squad2-en-fi": 0.033}


def test_one_question_of_squad_is_in_xquad(data_dir: Path) -> None:
    squad = read("squad2-en-fi", data_dir=data_dir)
    left, (found,) = exclude(squad, [read("xquad-r", data_dir=data_dir)])
    assert found.equal == 1
    assert found.examples[0] == ("What was the average family size?", "What was the average family size?")
    # Asked twice, of two articles; gone in both languages.
    assert squad.questions.num_rows - left.questions.num_rows == 4


def test_questions_of_xor_dev_among_its_translations(data_dir: Path) -> None:
    dev = list(tydiqa._dev_questions(data_dir / "xor-tydi"))
    number: dict[str, int] = {}
    for code in ("ar", "bn", "ja", "ko"):
        with gzip.open(
            data_dir / f"xor-tydi/question-translation/{code}-en/{code}.txt.gz", "rt", encoding="utf-8"
        ) as file:
            lines = file.read().split("\n")
        found = Texts(lines).matches(Texts(sorted({text for language, text in dev if language == code})))
        number[code] = len(set(found.second[found.equal].tolist()))
    # 19 in Bengali letter by letter, one more but for punctuation.
    assert number == {"ar": 0, "bn": 20, "ja": 1, "ko": 21}
