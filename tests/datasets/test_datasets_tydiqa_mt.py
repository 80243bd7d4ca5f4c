"""TyDi QA's English questions in machine translation."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.datasets import registry, tydiqa
from panglot.datasets.catalog import CARDS


def test_every_question_has_its_translations(data_dir: Path) -> None:
    found = registry.read("tydiqa-goldp-mt", data_dir=data_dir)
    english = CARDS["tydiqa-goldp"].read(data_dir / "tydiqa-goldp").select(["en"])
    assert Counter(found.questions["language"].to_pylist()) == dict.fromkeys(("ca", "en", "es", "pt"), 440)
    assert found.select(["en"]).digest == english.digest
    groups: dict[str, set[str]] = {}
    for row in found.questions.to_pylist():
        groups.setdefault(row["group"], set()).add(row["language"])
    assert set(map(frozenset, groups.values())) == {frozenset(("ca", "en", "es", "pt"))}
    # All versions of a question have the same answers.
    question, passage = found.pairs
    answers: dict[str, dict[str, set[int]]] = {}
    rows = found.questions.to_pylist()
    for q, p in zip(question.tolist(), passage.tolist(), strict=True):
        answers.setdefault(rows[q]["group"], {}).setdefault(rows[q]["language"], set()).add(p)
    assert all(len(set(map(frozenset, by.values()))) == 1 and len(by) == 4 for by in answers.values())


def test_it_says_that_machines_translated_it(data_dir: Path) -> None:
    metadata = registry.read("tydiqa-goldp-mt@sentence", data_dir=data_dir).metadata
    assert (metadata["test_only"], metadata["candidates"]) == ("yes", "sentence")
    made_by = metadata["machine-translated"]
    assert "es: apertium 3.8.3+eng-spa." in made_by
    assert "ca: apertium 3.8.3+eng-cat." in made_by
    assert "pt: bergamot 0.2.0" in made_by


def test_other_questions_are_refused(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (tydiqa.shipped() / "questions.jsonl").read_text("utf-8").splitlines()
    first = json.loads(lines[0])
    shutil.copy(tydiqa.shipped() / "engines.json", tmp_path)
    monkeypatch.setattr(tydiqa, "shipped", lambda: tmp_path)
    for changed in ({**first, "en": first["en"] + "!"}, {**first, "id": "en-else"}):
        text = "\n".join([json.dumps(changed), *lines[1:]])
        (tmp_path / "questions.jsonl").write_text(text, "utf-8")
        with pytest.raises(PanglotError, match=f"do not belong to the question '{first['id']}'"):
            CARDS["tydiqa-goldp-mt"].read(data_dir / "tydiqa-goldp")
    (tmp_path / "questions.jsonl").write_text(lines[0] + "\n[]\n", "utf-8")
    with pytest.raises(PanglotError, match=r"questions\.jsonl.*2.*not a JSON object"):
        CARDS["tydiqa-goldp-mt"].read(data_dir / "tydiqa-goldp")


@pytest.mark.parametrize("code", ["ca", "es", "pt"])
def test_the_engines_translate_so(code: str) -> None:
    """With the engine versions on record, the translations that come with panglot are reproducible."""
    from panglot.translation.local import open_engines

    made_by = json.loads((tydiqa.shipped() / "engines.json").read_text("utf-8"))[code]
    try:
        (engine,) = open_engines([made_by["engine"]])
    except PanglotError as error:
        pytest.skip(str(error))
    if not engine.serves("en", code) or engine.version("en", code) != made_by["version"]:
        pytest.skip(f"{made_by['engine']} does not have version {made_by['version']} of {code}")
    lines = [json.loads(line) for line in (tydiqa.shipped() / "questions.jsonl").read_text("utf-8").splitlines()]
    some = [line for line in lines if " " in line["en"] and line["en"].count("?") == 1 and "." not in line["en"]][:30]
    assert engine.translate([line["en"] for line in some], "en", code) == [line[code] for line in some]
