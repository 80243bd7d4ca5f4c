"""Figures of the documentation, computed again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.cli.main import main
from panglot.study.reproduce import Figure, Row, Run, reproduce, runs

ROOT = Path(__file__).parents[2]


def test_the_packaged_figures_stand_in_the_results() -> None:
    text = (ROOT / "docs" / "results.md").read_text("utf-8").replace(",", "")
    for run in runs():
        for figure in run.figures:
            whole = figure.path.endswith("rank_distance")
            shown = f"{figure.value:.0f}" if whole else f"{figure.value:.4f}".lstrip("0")
            assert shown in text, f"{run.name}: {figure.path} {shown}"


def test_a_figure_is_judged_by_its_tolerance() -> None:
    figure = Figure("a", 1.0, 0.25)
    assert [figure.judge(found) for found in (1.25, 1.75, 1.76)] == ["ok", "drift", "fail"]


@pytest.fixture
def planned(small_model: Path) -> list[Run]:
    good = Figure("datasets.starter.pool_size", 1, 0)
    return [
        Run("wrong", f"evaluate {small_model} no-such-set", 1, (good,)),
        Run("after", "evaluate bundled starter:test", 1, (good,), ("wrong",)),
        Run("measured", f"evaluate {small_model} starter:test --draws 0", 1,
            (Figure("datasets.starter.passages", 576, 0), Figure("datasets.starter.nothing", 1, 0))),
        Run("long", "evaluate bundled xquad-r", 99, (good,)),
    ]  # fmt: skip


def test_runs_that_fail_or_take_too_long_are_told(planned: list[Run], tmp_path: Path) -> None:
    def rows() -> list[Row]:
        return list(reproduce(planned, tmp_path, minutes=10, tell=lambda _: None))

    first = rows()
    assert [(row.run, row.verdict) for row in first] == [
        ("wrong", "fail"), ("after", "left out"), ("measured", "ok"), ("measured", "fail"), ("long", "left out"),
    ]  # fmt: skip
    assert "no-such-set" in first[0].why
    assert first[1].why == "wrong was not run"
    # What was computed is kept, and not computed again.
    kept = tmp_path / "measured.json"
    found = json.loads(kept.read_text("utf-8"))
    found["found"]["datasets"]["starter"]["passages"] = 7
    kept.write_text(json.dumps(found), "utf-8")
    assert [row.found for row in rows() if row.run == "measured"] == [7.0, None]


def test_an_unknown_run_is_an_error(planned: list[Run], tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="no run is called 'x'"):
        list(reproduce(planned, tmp_path, only=["x"], tell=lambda _: None))


def test_a_broken_file_of_figures_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.toml"
    path.write_text("[[run]]\nname = 'x'\n", "utf-8")
    with pytest.raises(SystemExit) as caught:
        main(["reproduce", "--figures", str(path)])
    assert caught.value.code == 2
    assert "no file of figures" in capsys.readouterr().err
