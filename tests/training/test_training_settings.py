"""Recipes: written, read, rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

import panglot
from panglot._errors import PanglotError
from panglot.cli import main
from panglot.training import data
from panglot.training.settings import RENAMED, Settings


def test_a_recipe_comes_back(tmp_path: Path) -> None:
    settings = Settings(on=("mlqa", "my set.jsonl"), output=tmp_path / "ü", languages=("de", "en"), learning_rate=3e-5)
    path = tmp_path / "recipe.toml"
    path.write_text(settings.to_toml(), encoding="utf-8")
    assert Settings.read(path) == settings
    assert Settings.read(path, seed=4).seed == 4


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("on = ['a']\nlearnin_rate = 1", "learnin_rate"),
        ("on = ['a']\nlearning_rate = 'high'", "learning_rate"),
        ("on = ['a']\nlearning_rate = -1.0", "learning_rate"),
        ("on = ['a']\nbatches = 'hybird'", "batches"),
        ("on = ['a']\nsteps = 0", "steps"),
        ("on = ['a']\nsymmetric = 1", "symmetric"),
        ("on = [1]", "on"),
        ("seed = 1", "on"),
        ("on = ['a']\npatience = 2", "patience"),
        ("on = ['a']\nmixing = 'mean'\nbatches = 'mono'", "batches"),
        ("on = ['a']\nmixing = 'mean'\ncross_kind = 'pair'", "cross_kind"),
        ("on = ['a']\nmixing = 'pcgrad'\nalpha = 0.3", "alpha.*objectives"),
        ("on = ['a']\nleave_out = ['none', 'mkqa']", "exclude"),
        ("on = ['a']\nclip = 1.0", "max_grad_norm"),
        ("on = ['a']\ncache_tokens = 4096", "cache_tokens.*memory_budget.*MiB"),
        ("on = ['a']\nmemory_budget = -1", "memory_budget"),
        ("on = ['a']\nseed = -1", "seed"),
        ("on = ['a']\nskip_broken = true", "on_error"),
        ("on = ['a']\non_error = 'ignore'", "on_error"),
        ("on = [", "not TOML"),
    ],
)
def test_a_wrong_recipe_names_file_and_field(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PanglotError, match=named) as caught:
        Settings.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"steps": 3, "pairs": 64}, "pairs"),
        ({"dev": "starter:dev", "dev_share": 0.1}, "dev_share"),
        ({"alpha": 0.3, "batches": "mono"}, "alpha"),
    ],
)
def test_what_would_do_nothing_is_refused(tmp_path: Path, given: dict[str, Any], field: str) -> None:
    with pytest.raises(PanglotError, match="does nothing") as caught:
        panglot.train("bundled", on="starter:train", output=tmp_path / "run", **given)
    assert caught.value.field == field
    assert not (tmp_path / "run").exists()


def test_alpha_is_for_an_objective_that_has_one() -> None:
    settings = Settings(on=("a",), mixing="weighted", objectives=("hybrid-row:2", "cross"), alpha=0.3)
    assert settings.policy.alpha == 0.3
    # A setting that an earlier version accepted and ignored does not make another recipe.
    kept = Settings(on=("a",), mixing="mean").fingerprint_fields()
    assert Settings.completed({**kept, "batches": "mono", "alpha": 0.3}) == kept
    assert Settings.completed({**kept, "mixing": "none", "batches": "mono"})["batches"] == "mono"


def test_run_folders_are_read_with_the_names_that_settings_had_before() -> None:
    now = Settings(on=("a",), on_error="skip", exclude=("mkqa",), max_grad_norm=2.0, warmup_ratio=0.2,
                   lr_scheduler="cosine", eval_every=7, dev="b").fingerprint_fields()  # fmt: skip
    former = {name: before for before, name in RENAMED.items()}
    before = {former.get(name, name): value for name, value in now.items()} | {"skip_broken": True}
    assert before.keys().isdisjoint(RENAMED.values())
    assert Settings.completed(before) == now
    before["cache_tokens"] = before.pop("memory_budget")  # its limit is kept apart
    assert Settings.completed(before) == now


def test_every_setting_has_its_option() -> None:
    import dataclasses

    from panglot.cli.train import train

    options = {parameter.name for parameter in train.params}
    assert {field.name for field in dataclasses.fields(Settings)} <= options


def test_no_command_takes_a_seed_below_0(fails: Callable[..., str]) -> None:
    found: list[str] = []
    for path, command in _commands(main.cli, ()):
        for option in command.params:
            if option.name == "seed":
                found.append(" ".join(path))
                assert path == ("train",) or (isinstance(option.type, click.IntRange) and option.type.min == 0), path
    assert {"train", "demo", "mine", "data convert"} <= set(found)
    assert "seed" in fails("train", "--on", "starter:train", "--seed", "-1")


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, (*path, name))


def test_infinity_is_written_as_toml_does(tmp_path: Path) -> None:
    settings = Settings(on=("mlqa",), source_temperature=float("inf"))
    path = tmp_path / "recipe.toml"
    path.write_text(settings.to_toml(), encoding="utf-8")
    assert Settings.read(path) == settings


def test_panglots_own_recipes_are_read_by_name() -> None:
    folder = Path(panglot.__file__).parent / "recipes"
    for path in folder.glob("*.toml"):
        assert Settings.read(path.stem, on=["starter:train"]) == Settings.read(path, on=["starter:train"])
    with pytest.raises(PanglotError, match=r"there is no recipe 'hybird'\. Fix: choose hybrid, own, small, or write"):
        Settings.read("hybird", on=["starter:train"])
    with pytest.raises(PanglotError, match="no such recipe"):
        Settings.read("./hybrid", on=["starter:train"])


def test_weights_are_not_trained_as_whole_numbers() -> None:
    with pytest.raises(PanglotError, match="precision") as caught:
        Settings.from_dict({"on": ["a"], "precision": "int8"})
    assert "bf16" in str(caught.value)


def test_a_language_that_no_training_set_has_is_named() -> None:
    settings = Settings(on=("starter:train",), exclude=("none",), languages=("eng", "he", "qaa"))
    assert "no training set has text in he, qaa" in data.load(settings).warnings
    assert not data.load(replace(settings, languages=("eng",))).warnings
