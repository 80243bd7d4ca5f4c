import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from panglot._errors import PanglotError
from panglot.cli.data import data
from panglot.datasets.catalog import CARDS


def test_list(data_dir: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(data, ["list", "--data-dir", str(data_dir), "--json", str(tmp_path / "list.json")])
    assert done.exit_code == 0, done.output
    assert "xquad-r" in done.output
    found = {entry["name"]: entry for entry in json.loads((tmp_path / "list.json").read_text())}
    assert found.keys() == CARDS.keys()
    assert found["xquad-r"]["found"] == str(data_dir / "xquad-r")
    assert found["mlqa-r"]["found"] is None
    assert found["starter"]["found"] == "comes with panglot"


def test_show(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [
        {"language": x, "group": "g", "question": f"{x}?", "passage": f"{x} [bold]yes[/bold]"} for x in ("en", "ar")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = CliRunner().invoke(data, ["show", str(path)])
    assert done.exit_code == 0, done.output
    assert "2 questions, 2 passages" in done.output
    assert "[bold]yes[/bold]" in done.output
    done = CliRunner().invoke(data, ["show", str(path), "--json", "-", "--limit", "1"])
    told = json.loads(done.output)
    assert told["by_language"] == {
        "ar": {"questions": 1, "passages": 1},
        "en": {"questions": 1, "passages": 1},
    }
    assert told["groups"] == 1
    assert len(told["samples"]) == 1
    assert len(told["samples"][0]["passages"]) == 2
    assert CliRunner().invoke(data, ["show", str(path), "--limit", "0"]).exit_code == 0


def test_show_of_a_lexicon_has_entries_rows_and_what_they_cover(tmp_path: Path) -> None:
    words = tmp_path / "words.tsv"
    words.write_text("en\tsw\tfi\nlake\tziwa\tjärvi\nriver\tmto\t\nfish\tsamaki\tkala\n", encoding="utf-8")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"language": "en", "question": "Which lake?", "passage": "The river feeds fish."}\n')
    done = CliRunner().invoke(data, ["show", str(words), "--against", str(rows), "--json", "-", "--limit", "2"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["entries"] == {"fi": 2, "sw": 3}
    assert told["samples"]["sw"] == [["lake", "ziwa"], ["fish", "samaki"]]
    assert told["coverage"] == {
        "against": str(rows), "texts": 2, "words": 6, "any": 0.5, "by_language": {"fi": 2 / 6, "sw": 0.5},
    }  # fmt: skip
    done = CliRunner().invoke(data, ["show", str(words), "--against", str(rows), "--languages", "fi,de"])
    assert "2 usable entries in 1 languages" in done.output
    assert "no entries in: de" in done.output
    assert "33.3%" in done.output
    assert "lake → järvi" in done.output


def test_show_of_a_lexicon_refuses_what_does_not_go(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"language": "de", "question": "Wo?", "passage": "Da."}\n')
    done = CliRunner().invoke(data, ["show", str(rows), "--against", "mlqa"])
    assert done.exit_code == 2
    assert "are for lexicons" in done.output
    words = tmp_path / "en-sw.tsv"
    words.write_text("lake\tziwa\n")
    with pytest.raises(PanglotError, match="has no English text"):
        CliRunner().invoke(data, ["show", str(words), "--against", str(rows)], catch_exceptions=False)
