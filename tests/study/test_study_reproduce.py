"""Figures of the documentation, computed again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.cli.main import main
from panglot.datasets.catalog import CARDS
from panglot.study import reproduce as bases
from panglot.study import reproduce as reproducing
from panglot.study.reproduce import CheckedFigure, DocumentedRun, StatedFigure, input_digest, reproduce


def test_a_figure_is_verified_by_its_tolerance() -> None:
    figure = StatedFigure("a", 1.0, 0.25)
    assert [figure.verify(found) for found in (1.25, 1.75, 1.76)] == ["ok", "drift", "fail"]


@pytest.fixture
def planned(small_model: Path) -> list[DocumentedRun]:
    good = StatedFigure("datasets.starter.pool_size", 1, 0)
    return [
        DocumentedRun("wrong", f"evaluate {small_model} no-such-set", 1, (good,)),
        DocumentedRun("after", "evaluate bundled starter:test", 1, (good,), ("wrong",)),
        DocumentedRun("measured", f"evaluate {small_model} starter:test --draws 0", 1,
            (StatedFigure("datasets.starter.passages", 576, 0), StatedFigure("datasets.starter.nothing", 1, 0))),
        DocumentedRun("long", "evaluate bundled xquad-r", 99, (good,)),
    ]  # fmt: skip


def test_runs_that_fail_or_take_too_long_are_told(planned: list[DocumentedRun], tmp_path: Path) -> None:
    def rows() -> list[CheckedFigure]:
        return list(reproduce(planned, tmp_path, minutes=10, progress=lambda _: None))

    first = rows()
    assert [(row.run, row.verdict) for row in first] == [
        ("wrong", "fail"), ("after", "skipped"), ("measured", "ok"), ("measured", "fail"), ("long", "skipped"),
    ]  # fmt: skip
    assert "no-such-set" in first[0].why
    assert first[1].why == "wrong was not run"
    # What was computed is kept, and not computed again.
    kept = tmp_path / "measured.json"
    found = json.loads(kept.read_text("utf-8"))
    found["found"]["datasets"]["starter"]["passages"] = 7
    kept.write_text(json.dumps(found), "utf-8")
    assert [row.found for row in rows() if row.run == "measured"] == [7.0, None]


def test_what_is_stated_may_change_and_what_it_rests_on_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = DocumentedRun("shown", "data show starter:test", 1, (StatedFigure("passages", 576, 0),))

    def row(run: DocumentedRun) -> CheckedFigure:
        return next(iter(reproduce([run], tmp_path, progress=lambda _: None)))

    assert row(run).verdict == "ok"
    kept = tmp_path / "shown.json"
    found = json.loads(kept.read_text("utf-8"))
    kept.write_text(json.dumps({**found, "found": {"passages": 7}}), "utf-8")
    other = row(replace(run, figures=(StatedFigure("passages", 6, 1),)))
    assert (other.found, other.verdict) == (7, "ok")  # judged again, not run again
    monkeypatch.setattr(reproducing, "input_digest", lambda *_: "another")
    assert row(run).found == 576
    kept.write_text("{", "utf-8")
    assert row(run).found == 576


def test_a_model_of_another_basis_is_removed_and_a_killed_one_gone_on_with(tmp_path: Path) -> None:
    run = DocumentedRun("trained", "train --no-such-option --output {runs}/model", 1, ())
    weights = tmp_path / "model" / "weights"
    weights.parent.mkdir()
    for before, left in ((None, True), ("of an earlier version", False), (None, True)):
        if before:
            (tmp_path / "trained.json").write_text(json.dumps({"key": before, "found": {}}), "utf-8")
        weights.parent.mkdir(exist_ok=True)
        weights.touch()
        list(reproduce([run], tmp_path, progress=lambda _: None))
        assert weights.exists() == left


def test_a_basis_is_of_data_recipe_source_and_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, recipe = tmp_path / "data" / "xquad-r", tmp_path / "mine.toml"
    folder.mkdir(parents=True)
    (tmp_path / "data" / "mkqa").mkdir()
    (folder / "en.json").write_text("1")
    recipe.write_text('on = ["xquad-r"]')
    commands = (["evaluate", "bundled", "xquad-r@sentence"], ["train", "--recipe", str(recipe), "--output", "runs/x"])

    def now() -> list[str]:
        return [input_digest(words, tmp_path / "data") for words in commands]

    first = now()
    (tmp_path / "data" / "mkqa" / "mkqa.jsonl").write_text("no set that is named")
    assert now() == first
    (folder / "en.json").write_text("2!")
    second = now()
    assert all(a != b for a, b in zip(first, second, strict=True))
    recipe.write_text('on = ["xquad-r"]\nseed = 1')
    third = now()
    assert (third[0] == second[0], third[1] == second[1]) == (True, False)
    for name, value in (
        ("source_digest", lambda: "other"),
        ("SOURCE_SHA256", "0"),
        ("versions", lambda: {"torch": "1"}),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(bases, name, value)
            assert all(a != b for a, b in zip(third, now(), strict=True))
    assert now() == third


def test_a_basis_follows_suites_and_recipes_of_the_package(tmp_path: Path) -> None:
    mine, suite, recipe = (tmp_path / name for name in ("mine.jsonl", "suite.toml", "recipe.toml"))
    recipe.write_text(f'on = ["starter:train"]\nsuite = "{suite}"')
    excluded = tmp_path / "excluded.toml"
    excluded.write_text(f'on = ["starter:train"]\nexclude = ["{suite}"]')
    commands = [
        ["train", "--recipe", str(recipe)],
        ["train", "--recipe", str(excluded)],
        ["compare", "bundled", "--suite", str(suite)],
        ["evaluate", "bundled", f"{mine}?language=en"],
    ]

    def now() -> list[str]:
        return [input_digest(words, tmp_path) for words in commands]

    mine.write_text("1")
    suite.write_text(f'[forms.a]\non = ["{mine}"]')
    first = now()
    mine.write_text("2!")
    second = now()
    assert all(a != b for a, b in zip(first, second, strict=True))
    suite.write_text(f'seed = 1\n[forms.a]\non = ["{mine}"]')
    assert [a == b for a, b in zip(second, now(), strict=True)] == [False, False, False, True]

    # Recipes and suites of the package draw on data that are not part of it.
    card = CARDS["libreoffice-help"]
    file = tmp_path / card.folder / card.files.replace("*", "en")
    commands[:] = [["train", "--recipe", "small"], ["compare", "bundled", "--suite", "forms"],
                   ["train", "--exclude", "suite:forms"]]  # fmt: skip
    first = now()
    file.parent.mkdir()
    file.write_text("1")
    assert all(a != b for a, b in zip(first, now(), strict=True))


def test_an_unknown_run_is_an_error(planned: list[DocumentedRun], tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="there is no run 'x'"):
        list(reproduce(planned, tmp_path, only=["x"], progress=lambda _: None))


def test_a_broken_file_of_figures_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.toml"
    path.write_text("[[run]]\nname = 'x'\n", "utf-8")
    with pytest.raises(SystemExit) as caught:
        main(["reproduce", "--figures", str(path)])
    assert caught.value.code == 2
    assert "not a file of figures" in capsys.readouterr().err
