import json
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.datasets import starter


def write(folder: Path, language: str, *rows: tuple[str, str]) -> None:
    lines = [
        {
            "group": g,
            "subject": "s",
            "split": part,
            "question": f"{g} {language}?",
            "passage": f"{g} {language}.",
        }
        for g, part in rows
    ]
    (folder / f"{language}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_parts(tmp_path: Path) -> None:
    for language in ("en", "fi"):
        write(tmp_path, language, ("a", "train"), ("b", "dev"), ("c", "test"), ("d", "test"))
    sizes = {
        part: starter.read_starter(part=part, place=tmp_path).questions.num_rows for part in (*starter.PARTS, "all")
    }
    assert sizes == {"train": 2, "dev": 2, "test": 4, "all": 8}
    test = starter.read_starter(place=tmp_path)
    assert test.languages == ("en", "fi")
    assert test.relevance.num_rows == 2 * 2 * 2


def test_broken_lines(tmp_path: Path) -> None:
    write(tmp_path, "en", ("a", "training"))
    with pytest.raises(PanglotError, match=r'en.jsonl, line 1, field "split": no such part'):
        starter.read_starter(place=tmp_path)
    (tmp_path / "en.jsonl").write_text('{"group": "a", "split": "test", "question": "q"}\n')
    with pytest.raises(PanglotError, match='line 1, field "passage": no passage'):
        starter.read_starter(place=tmp_path)


def test_the_shipped_files_are_read() -> None:
    whole = starter.read_starter(part="all")
    parts = [starter.read_starter(part=part) for part in starter.PARTS]
    assert sum(part.questions.num_rows for part in parts) == whole.questions.num_rows
    groups = [set(part.questions["group"].to_pylist()) for part in parts]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
