"""A collection through engines, the store and the filters."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from translation_parts import collection, made_apertium, seen

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.translation.by_sentence import MAX_FAILURES, Store, cut, join
from panglot.translation.engines import Direction, find_route
from panglot.translation.quality import NO_LIMITS
from panglot.translation.translate import Translated, head, plan, translate

#: The slow test of the command has more.
KILLS = 5


def run(folder: Path, given_rows: Collection, to: tuple[str, ...] = ("es",), **options: object) -> Translated:
    with Store(folder / "store.sqlite") as store:
        return translate(given_rows, to, [made_apertium(folder, **options)], store, thresholds=NO_LIMITS)  # pyright: ignore[reportArgumentType]


def test_the_filter_by_an_encoder_gets_the_rows_that_were_translated_with_their_groups(tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def second(texts: Sequence[str], made: Sequence[str], groups: Sequence[str], side: str) -> list[bool]:
        asked.extend((side, *row) for row in zip(groups, texts, made, strict=True))
        return [group.endswith("1") for group in groups]

    with Store(tmp_path / "store.sqlite") as store:
        done = translate(collection(3), ("es",), [made_apertium(tmp_path)], store, thresholds=NO_LIMITS, distant=second)
    assert (
        "question",
        "q2",
        "What is the thing with number 2 called?",
        "spa What is the thing with number 2 called?",
    ) in asked
    assert len(asked) == 6
    assert [(row["source"], row["reasons"]) for row in done.dropped] == [
        ("en:q1", ["similarity"]), ("en:p1", ["similarity"]),
    ]  # fmt: skip


@given(st.text(), st.sampled_from(["en", "zh", "ja", "th", "km", "ar", "he", "hi"]))
def test_cut_and_joined_keep_the_text(text: str, language: str) -> None:
    pieces = cut(text, language)
    back = join(pieces, pieces.sentences, language)
    visible = "".join(c for c in text if c.isprintable())
    assert [c for c in back if c in visible and not c.isspace()] == [c for c in visible if not c.isspace()]
    assert all(sentence and "\n" not in sentence and "\0" not in sentence for sentence in pieces.sentences)


def test_blanks_between_sentences() -> None:
    text = "  One.  Two\n\n\tThree?\n"
    pieces = cut(text, "en")
    assert join(pieces, ["1", "2", "3"], "es") == "  1  2\n\n\t3\n"
    assert join(pieces, ["1", "2", "3"], "zh") == "  12\n\n\t3\n"
    assert join(cut("你好。再见。", "zh"), ["Hello.", "Bye."], "en") == "Hello. Bye."
    marks = cut("?!\nWho?\n😀 —\n1.", "en")
    assert marks.sentences == ("Who?", "1.")
    assert join(marks, ["¿Quién?", "1."], "es") == "?!\n¿Quién?\n😀 —\n1."
    assert "\u200c" in cut("می\u200cخواهم بروم.", "fa").sentences[0]


@pytest.mark.parametrize("part", ["river ", "x", "河流，", "河", "النهر ", "แม่น้ำ", "ទន្លេ\u200b", "a\u0301"])
def test_texts_of_a_hundred_thousand_letters(part: str) -> None:
    text = (part * (100_000 // len(part))).strip()
    for language in ("en", "zh", "th", "km", "ar"):
        pieces = cut(text, language)
        assert max(map(len, pieces.sentences)) <= 600
        assert "".join(join(pieces, pieces.sentences, language).split()) == "".join(text.split())


def test_groups_judgements_and_origins_are_kept(tmp_path: Path) -> None:
    given_rows = collection(3)
    done = run(tmp_path, given_rows, ("es", "ca"))
    out = done.collection
    assert out.languages == ("ca", "en", "es")
    assert out.qrels.num_rows == 3 * 3 * 3
    questions, passages = out.questions.to_pylist(), out.passages.to_pylist()
    for row in out.qrels.to_pylist():
        q, p = questions[row["question"]], passages[row["passage"]]
        assert q["group"][1:] == p["group"][1:]
        assert row["relevance"] == 1 + int(q["group"][1:]) % 2
    texts = {row["id"]: row["text"] for row in passages}
    assert texts["es:p0"] == "spa Sentence 0 of the first kind. spa And number 0 of another!"
    assert texts["ca:p0"] == "cat spa Sentence 0 of the first kind. cat spa And number 0 of another!"
    assert out.select(["en"]).digest == given_rows.digest
    done.save(tmp_path / "out")
    origins = pa.ipc.open_file(tmp_path / "out" / "provenance.arrow").read_all().to_pylist()
    assert len(origins) == 12
    assert {(o["engine"], o["source_language"]) for o in origins} == {("apertium", "en")}
    assert {o["route"] for o in origins if o["language"] == "ca"} == {"en → es (apertium) → ca (apertium)"}
    assert all("3.8.3+" in o["version"] for o in origins)
    assert Collection.open(tmp_path / "out").digest == out.digest
    assert json.loads((tmp_path / "out" / "report.json").read_text())["to"]["es"][0]["kept"] == {
        "question": 3,
        "passage": 3,
    }


def test_versions_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    base = collection(2)
    questions = [Text(**row) for row in base.questions.to_pylist()] + [Text("es-q0", "es", "q0", "¿Cuál?")]
    passages = [Text(**row) for row in base.passages.to_pylist()]
    rows = Collection.build("made", questions, passages, [("en:q0", "en:p0", 1), ("es-q0", "en:p0", 2)])
    jobs = plan(rows, ["es"], [made_apertium(tmp_path)])
    assert [(job.side, job.row) for job in jobs] == [("question", 1), ("passage", 0), ("passage", 1)]
    out = run(tmp_path, rows).collection
    ids = [out.questions["id"].to_pylist(), out.passages["id"].to_pylist()]
    judged = {(ids[0][r["question"]], ids[1][r["passage"]], r["relevance"]) for r in out.qrels.to_pylist()}
    assert judged == {("en:q0", "en:p0", 1), ("en:q0", "es:p0", 1), ("es-q0", "en:p0", 2), ("es-q0", "es:p0", 2)}


def test_nothing_is_translated_twice(tmp_path: Path) -> None:
    first = run(tmp_path, collection(5, "The same. Number {}."), batch_size=3)
    asked = seen(tmp_path)
    assert len(asked) == len(set(asked)) == 11
    again = run(tmp_path, collection(5, "The same. Number {}."))
    assert seen(tmp_path) == asked
    assert again.collection.digest == first.collection.digest
    run(tmp_path, collection(6, "The same. Number {}."))
    assert len(seen(tmp_path)) == 13  # one question and one sentence more


def test_killed_and_resumed(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    rows = collection(24)
    size = 6
    begun = time.perf_counter()
    run(whole, rows, ("es", "ca"), seconds=0.005, batch_size=size).save(whole / "out")
    lasted = time.perf_counter() - begun
    moments = random.Random(9)

    def work() -> None:
        run(broken, rows, ("es", "ca"), seconds=0.005, batch_size=size).save(broken / "out")

    context = multiprocessing.get_context("fork")
    for _ in range(KILLS):
        process = context.Process(target=work)
        process.start()
        time.sleep(moments.uniform(0, lasted / 6))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    killed = len(seen(broken))
    work()
    for name in ("collection.json", "questions.arrow", "passages.arrow", "qrels.arrow", "provenance.arrow"):
        assert (broken / "out" / name).read_bytes() == (whole / "out" / name).read_bytes()
    asked = seen(broken)
    assert killed > 0
    assert set(asked) == set(seen(whole))
    # Only the sentences of a killed batch are requested again.
    assert len(asked) - len(set(asked)) <= KILLS * size


def test_an_engine_that_dies_of_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, collection(9), poison="number 4")
    assert {(row["id"], tuple(row["reasons"])) for row in done.dropped} == {
        ("es:q4", ("not translated",)),
        ("es:p4", ("not translated",)),
    }
    assert done.collection.questions.num_rows == 9 + 8
    assert done.metrics["to"]["es"][0]["dropped_by"] == {"not translated": 2}


def test_an_engine_that_always_dies(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match=f"died \\(status 139\\), {MAX_FAILURES} times in a row. 0 sentences"):
        run(tmp_path, collection(9), poison="e")


def test_pairs_without_a_route(tmp_path: Path) -> None:
    engine = made_apertium(tmp_path)
    assert str(find_route([engine], "en-GB", "ca")) == "en-GB → es (apertium) → ca (apertium)"
    assert find_route([engine], "ca", "en") is None
    reach = r"they reach es \(apertium\), eu \(apertium\), ca \(through es\)"
    with pytest.raises(PanglotError, match="no route from en to sw .*" + reach):
        plan(collection(1), ["sw"], [engine])
    with pytest.raises(PanglotError, match="already has all of en"):
        plan(collection(1), ["en"], [engine])
    with pytest.raises(PanglotError, match="no text in fr"):
        plan(collection(1), ["es"], [engine], sources=["fr"])


def test_the_store_tells_directions_and_versions_apart(tmp_path: Path) -> None:
    direction = Direction("a", "1", "en", "es")
    with Store(tmp_path / "s") as store:
        store.put(direction, {"x": "y", "\u200bε 谁": "عربي"})
        store.put(direction, {"x": "z"})
        assert store.get(direction, ["x", "\u200bε 谁", "w"]) == {"x": "y", "\u200bε 谁": "عربي"}
        for other in ({"engine": "b"}, {"version": "2"}, {"source": "es"}, {"target": "en"}):
            assert store.get(direction._replace(**other), ["x"]) == {}
        with Store(tmp_path / "s") as second:
            assert second.get(direction, ["x"]) == {"x": "y"}
    (tmp_path / "bad").write_bytes(b"no database at all, but long enough" * 40)
    with pytest.raises(PanglotError, match="store of translations failed"):
        Store(tmp_path / "bad")


def test_what_is_no_collection_is_not_replaced(tmp_path: Path) -> None:
    done = run(tmp_path, collection(1))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(PanglotError, match="would be replaced"):
        done.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


def test_head_keeps_what_answers() -> None:
    small = head(collection(9), 2)
    assert (small.questions.num_rows, small.passages.num_rows, small.qrels.num_rows) == (2, 2, 2)


def test_texts_without_a_group_are_translated_each_and_share_one_with_their_translations(tmp_path: Path) -> None:
    questions = [Text("q1", "en", "", "Where?"), Text("q2", "en", "", "When?"), Text("q3", "es", "", "spa Who?")]
    passages = [Text("p1", "en", "", "Here."), Text("p2", "en", "", "Now.")]
    made = run(tmp_path, Collection.build("alone", questions, passages, [("q1", "p1", 1), ("q2", "p2", 1)]))
    assert {(row["language"], row["group"]) for row in made.collection.questions.to_pylist()} == {
        ("en", "q1"), ("es", "q1"), ("en", "q2"), ("es", "q2"), ("es", "q3")
    }  # fmt: skip
    assert head(made.collection, 2).questions.num_rows == 4
    assert head(Collection.build("alone", questions, passages, []), 2).questions.num_rows == 2
