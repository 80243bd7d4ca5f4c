"""XOR-TyDi's human translations of questions, as parallel text (arXiv 2010.11856)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from panglot._errors import PanglotError
from panglot.corpus._folder import files
from panglot.corpus._open import numbered_lines, parse_json, read_text
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical


def read(folder: Path, *, name: str = "xor-questions", about: Mapping[str, str] | None = None) -> Collection:
    """Read ``question-translation/xx-en/{xx,en}.txt``: each question finds its translation.

    A line is a group with a question and a passage in both languages; only the other language's passage is
    relevant, for the own one is the question itself. Left out: lines with an empty side, repeated pairs, and
    the questions of XOR-TyDi's dev part, where its file is there. ``about`` counts them.

    Raises:
        PanglotError: A file is missing, or the two sides have different numbers of lines.
    """
    dev = set(_dev_questions(folder))
    questions: list[Text] = []
    passages: list[Text] = []
    relevance: list[tuple[str, str, int]] = []
    left_out = {"empty": 0, "repeated": 0, "in dev": 0}
    for path in files(folder / "question-translation", "*-en/en.txt"):
        code = path.parent.name.removesuffix("-en")
        language = canonical(code)
        other = files(path.parent, f"{code}.txt")[0]
        sides = [read_text(side).split("\n") for side in (other, path)]
        if len(sides[0]) != len(sides[1]):
            raise PanglotError(
                f"{len(sides[0])} lines, but {len(sides[1])} in {path.name}",
                file=other,
                cure="fetch both again",
            )
        seen: set[tuple[str, str]] = set()
        for number, pair in enumerate(zip(*sides, strict=True), 1):
            foreign, english = pair[0].strip(), pair[1].strip()
            why = (
                "empty"
                if not foreign or not english
                else "in dev"
                if (language, foreign) in dev
                else "repeated"
                if (foreign, english) in seen
                else ""
            )
            if why:
                # The file's last line end is no line.
                left_out[why] += not (why == "empty" and not foreign and not english)
                continue
            seen.add((foreign, english))
            group = f"{language}-{number:05d}"
            ids = {code: f"{code}:{group}" for code in (language, "en")}
            for code, text in ((language, foreign), ("en", english)):
                questions.append(Text(ids[code], code, group, text))
                passages.append(Text(ids[code], code, group, text))
            relevance += [(ids[language], ids["en"], 1), (ids["en"], ids[language], 1)]
    facts = {
        **(about or {}),
        "candidates": "question",
        **{f"left out, {k}": str(v) for k, v in left_out.items()},
    }
    return Collection.build(name, questions, passages, relevance, facts)


def _dev_questions(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(language, question)`` of XOR-TyDi's dev part."""
    for path in (*sorted(folder.glob("xor_dev*.jsonl")), *sorted(folder.glob("xor_dev*.jsonl.gz"))):
        for line, text in numbered_lines(path):
            values = parse_json(text, path, line)
            if not isinstance(values, dict) or not {"lang", "question"} <= values.keys():
                raise PanglotError("no lang or no question", file=path, line=line, cure="fetch it again")
            entry = cast("dict[str, str]", values)
            yield canonical(entry["lang"]), entry["question"].strip()
