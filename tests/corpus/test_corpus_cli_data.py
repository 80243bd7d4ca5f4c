import json
from pathlib import Path

from click.testing import CliRunner

from panglot.cli.data import data
from panglot.corpus.cards import CARDS


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
