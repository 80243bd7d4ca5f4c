import json
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.datasets.catalog import CARDS
from panglot.datasets.registry import STARTER_PARTS, read


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
    sizes = {part: CARDS["starter"].read(tmp_path, part=part).questions.num_rows for part in (*STARTER_PARTS, "all")}
    assert sizes == {"train": 2, "dev": 2, "test": 4, "all": 8}
    test = CARDS["starter"].read(tmp_path)
    assert test.languages == ("en", "fi")
    assert test.qrels.num_rows == 2 * 2 * 2


def test_broken_lines(tmp_path: Path) -> None:
    write(tmp_path, "en", ("a", "training"))
    with pytest.raises(
        PanglotError, match=r'en.jsonl, line 1, field "split": `split` must be one of train, dev, test, got .training.'
    ):
        CARDS["starter"].read(tmp_path)
    (tmp_path / "en.jsonl").write_text('{"group": "a", "split": "test", "question": "q"}\n')
    with pytest.raises(PanglotError, match='line 1, field "passage": the field is missing'):
        CARDS["starter"].read(tmp_path)


@pytest.mark.parametrize(
    ("name", "changed", "says"),
    [
        ("xx.jsonl", {}, 'xx.jsonl, line 1, field "language"'),
        ("en.jsonl", {"passage": " "}, "no passage|without a relevant passage|has no"),
        ("en.jsonl", {"question": ""}, "no question|has no"),
        ("en.jsonl", {"question": "\ud800"}, "en.jsonl, line 1"),
    ],
)
def test_rows_are_checked_as_those_of_any_file(name: str, changed: dict[str, str], says: str, tmp_path: Path) -> None:
    row = {"group": "a", "subject": "s", "split": "test", "question": "q", "passage": "p", **changed}
    (tmp_path / name).write_text(json.dumps(row) + "\n")
    with pytest.raises(PanglotError, match=says):
        CARDS["starter"].read(tmp_path)


def test_numbers_are_text_and_a_test_row_is_declared(tmp_path: Path) -> None:
    row = {"group": 1, "split": "train", "question": "q", "passage": 2, "test_only": True}
    (tmp_path / "en.jsonl").write_text(json.dumps(row) + "\n")
    found = CARDS["starter"].read(tmp_path, part="train")
    assert found.passages["text"].to_pylist() == ["2"]
    assert found.questions["group"].to_pylist() == ["1"]
    assert found.metadata["test_only"] == "yes"


def test_the_shipped_files_are_read() -> None:
    whole = read("starter:all")
    parts = [read(f"starter:{part}") for part in STARTER_PARTS]
    assert sum(part.questions.num_rows for part in parts) == whole.questions.num_rows
    groups = [set(part.questions["group"].to_pylist()) for part in parts]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
