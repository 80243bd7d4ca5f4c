"""TyDi QA's English dev questions, translated by machine: questions in four languages, passages in English."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import cast

from panglot._errors import PanglotError
from panglot.corpus import tydiqa
from panglot.corpus._open import numbered_lines, parse_json
from panglot.corpus.collection import Collection, Text


def shipped() -> Path:
    """Return the folder of the translations that come with panglot.

    ``questions.jsonl`` has lines ``{"id", "en", "ca", "es", "pt"}``; ``engines.json`` says who made them, and when.
    """
    return Path(str(resources.files("panglot.corpus"))) / "tydiqa_translations"


def read(
    folder: Path,
    *,
    name: str = "tydiqa-goldp-mt",
    candidates: str = "paragraph",
    context: bool = False,
    about: Mapping[str, str] | None = None,
    place: Path | None = None,
) -> Collection:
    """Read the English questions of TyDi QA's dev part, their gold passages, and the questions' translations.

    A translation is in its question's group and has its question's answers. None was left out for its quality.
    ``about["machine-translated"]`` names the languages with engine and version.

    Args:
        folder: TyDi QA's.
        name: What tables call it.
        candidates: ``paragraph`` or ``sentence``.
        context: With sentences, put their paragraph behind each.
        about: What else is known about it.
        place: A folder of translations other than that of :func:`shipped`.

    Raises:
        PanglotError: A file is broken or missing, or the translations are of other questions.
    """
    place = place or shipped()
    english = tydiqa.read(folder, part="dev", candidates=candidates, context=context).select(["en"])
    questions = [Text(**row) for row in english.questions.to_pylist()]
    found = _translations(place / "questions.jsonl")
    answers: dict[int, list[tuple[str, int]]] = {}
    passages = [Text(**row) for row in english.passages.to_pylist()]
    for row in english.relevance.to_pylist():
        answers.setdefault(row["question"], []).append((passages[row["passage"]].id, row["grade"]))
    rows = list(questions)
    judged = [(question.id, *answer) for row, question in enumerate(questions) for answer in answers.get(row, [])]
    for row, question in enumerate(questions):
        versions = found.get(question.id, {})
        if versions.get("en") != question.text:
            raise PanglotError(
                f"the translations are not of the question {question.id!r} in {folder}",
                file=place / "questions.jsonl",
                cure="get the dev part of TyDi QA's gold passage task, version 1.1",
            )
        for code in sorted(set(versions) - {"en"}):
            label = f"{code}{question.id.removeprefix('en')}"
            rows.append(Text(label, code, question.group, versions[code]))
            judged += [(label, *answer) for answer in answers.get(row, [])]
    facts = {**english.about, **(about or {}), "part": "dev", "machine-translated": _made_by(place / "engines.json")}
    return Collection.build(name, rows, passages, judged, facts)


def _translations(path: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line, text in numbered_lines(path):
        values = parse_json(text, path, line)
        if not isinstance(values, dict) or not all(isinstance(value, str) and value for value in values.values()):
            raise PanglotError("not an object of texts", file=path, line=line, cure='write {"id", "en", …}')
        versions = cast("dict[str, str]", values)
        found[versions.pop("id", "")] = versions
    return found


def _made_by(path: Path) -> str:
    engines = cast("dict[str, dict[str, str]]", parse_json(path.read_text("utf-8"), path, 1))
    return "; ".join(f"{code}: {each['engine']} {each['version']}, {each['date']}" for code, each in engines.items())
