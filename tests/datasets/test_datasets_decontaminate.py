"""Overlap of training sets with test sets is found without naming the test sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.datasets import registry
from panglot.datasets.catalog import CARDS
from panglot.datasets.decontaminate import Decontaminated, Overlap, available_tests, decontaminate
from panglot.datasets.registry import read


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _collection(*questions: str) -> Collection:
    texts = [Text(str(n), "en", str(n), text) for n, text in enumerate(questions)]
    answers = [Text(str(n), "en", str(n), f"answer {n} of some length") for n in range(len(texts))]
    return Collection.build("mine", texts, answers, [(t.id, t.id, 1) for t in texts])


def _found(clean: Decontaminated) -> dict[str, Overlap]:
    return {each.test: each for each in clean.overlaps}


def _only(data_dir: Path, folder: Path, *names: str) -> Path:
    """Return a data folder with only some sets, so that the test need not parse the others."""
    for name in names:
        (folder / name).symlink_to(data_dir.resolve() / name)
    return folder


@pytest.mark.usefixtures("own_cache")
def test_known_test_sets_are_those_that_lie_there(tmp_path: Path) -> None:
    assert [test.name for test in available_tests(["de", "en"], data_dir=tmp_path)] == ["starter:test"]
    for name in ("mkqa", "tatoeba-112", "miracl", "mlqa", "squad2-en-fi", "flores-200", "tydiqa-goldp"):
        file = tmp_path / name / CARDS[name].files.replace("**/", "x/").replace("*", "x")
        file.parent.mkdir(parents=True)
        file.touch()
    found = {test.name: test.languages for test in available_tests(["de", "en"], data_dir=tmp_path)}
    assert found == {
        "starter:test": ("de", "en"),
        "tydiqa-goldp:dev": ("en",),
        "tatoeba-112:de": (),
        "miracl:dev@topics": ("de", "en"),
        "mkqa": ("en",),
        "flores-200:devtest": ("de", "en"),
        "flores-200:dev": ("de", "en"),
    }


def test_what_was_found_is_remembered_until_a_file_changes(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = tmp_path / "test.jsonl"
    test.write_text('{"language": "en", "question": "Where is the lake?", "passage": "North."}\n', "utf-8")
    training = _collection("where is the lake", "Where is the river?")
    first = decontaminate(training, [str(test)])
    assert first.collection.questions["text"].to_pylist() == ["Where is the river?"]
    assert (first.overlaps[0].equal, first.overlaps[0].groups) == (1, 1)
    with monkeypatch.context() as patched:
        patched.setattr(registry, "read", lambda *_, **__: pytest.fail("read again"))
        patched.setattr("panglot.data.overlap.grams", lambda _: pytest.fail("hashed again"))
        again = decontaminate(training, [str(test)])
    assert (again.collection.digest, again.overlaps) == (first.collection.digest, first.overlaps)
    test.write_text('{"language": "en", "question": "Where is the river?", "passage": "North!"}\n', "utf-8")
    assert decontaminate(training, [str(test)]).collection.questions["text"].to_pylist() == ["where is the lake"]
    for kept in (own_cache / "overlaps").iterdir():
        kept.write_text("{", "utf-8")
    assert decontaminate(training, [str(test)]).collection.questions["text"].to_pylist() == ["where is the lake"]


@pytest.mark.usefixtures("own_cache")
def test_a_broken_test_set_is_told_and_refused_if_it_was_named(tmp_path: Path) -> None:
    broken = tmp_path / "mkqa" / "mkqa-en.jsonl"
    broken.parent.mkdir()
    broken.write_text("{", "utf-8")
    found = decontaminate(_collection("Where is the lake?"), ["auto"], data_dir=tmp_path)
    assert list(found.unread) == ["mkqa"]
    assert [each.test for each in found.overlaps] == ["starter"]
    with pytest.raises(PanglotError, match=r"mkqa-en\.jsonl"):
        decontaminate(_collection("Where is the lake?"), ["mkqa"], data_dir=tmp_path)


@pytest.mark.usefixtures("own_cache")
def test_nothing_left_is_said(tmp_path: Path) -> None:
    test = tmp_path / "test.jsonl"
    test.write_text('{"language": "en", "question": "Where is the lake?", "passage": "North."}\n', "utf-8")
    with pytest.raises(PanglotError, match="nothing of mine is left: it shares 1 groups with the test set test"):
        decontaminate(_collection("Where is the lake?"), [str(test)])


def test_sets_made_of_flores_overlap(data_dir: Path, tmp_path: Path) -> None:
    """Sentences of SIB-200 as lines of FLORES-200 and within passages of Belebele, in the publishers' forms."""
    sib = read("sib-200:train", data_dir=data_dir, languages=["de", "en"])
    texts = {
        code: [row["text"] for row in sib.passages.to_pylist() if row["language"] == code] for code in ("de", "en")
    }
    flores = tmp_path / "flores-200" / "devtest"
    flores.mkdir(parents=True)
    (tmp_path / "belebele" / "data").mkdir(parents=True)
    for code, name in (("de", "deu_Latn"), ("en", "eng_Latn")):
        lines = texts[code][:50]
        (flores / f"{name}.devtest").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        row = {"link": "https://en.wikinews.org/wiki/X", "question_number": 1, "question": f"{code}: What happened?",
               "flores_passage": " ".join(texts[code][100:104]), "mc_answer1": "a", "mc_answer2": "b",
               "mc_answer3": "c", "mc_answer4": "d", "correct_answer_num": "1", "dialect": name}  # fmt: skip
        (tmp_path / "belebele" / "data" / f"{name}.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    found = decontaminate(sib, ["auto"], data_dir=tmp_path)
    overlaps = _found(found)
    assert overlaps["flores-200"].equal == 100
    assert overlaps["belebele"].near == 8
    assert sib.questions.num_rows - found.collection.questions.num_rows == 2 * 54


def test_questions_of_tydi_train_are_those_of_miracl_dev(data_dir: Path, tmp_path: Path) -> None:
    tydi = read("tydiqa-goldp:train", data_dir=data_dir, languages=["en"])
    found = decontaminate(tydi, ["auto"], data_dir=_only(data_dir, tmp_path, "miracl"))
    miracl = _found(found)["miracl@topics"]
    assert miracl.equal >= 650
    assert tydi.questions.num_rows - found.collection.questions.num_rows >= 650


def test_the_near_paragraph_of_mlqa_and_xquad_is_told(data_dir: Path, tmp_path: Path) -> None:
    mlqa = read("mlqa@paragraph", data_dir=data_dir, languages=["en"])
    xquad = _found(decontaminate(mlqa, ["auto"], data_dir=_only(data_dir, tmp_path, "xquad-r")))["xquad-r"]
    assert (xquad.equal, xquad.near, round(xquad.highest, 3)) == (0, 0, 0.438)
    assert xquad.nearest is not None
    assert all(text.startswith("A prime number (or a prime) is a natural number") for text in xquad.nearest)
