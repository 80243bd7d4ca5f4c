"""``panglot train``, with one option for every setting of a recipe."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import click

from panglot.cli.options import SectionedCommand, add_options, in_language, language_option
from panglot.training.settings import Settings

_LISTS = {field.name for field in dataclasses.fields(Settings) if isinstance(field.default, tuple)} - {"on"}
_METAVARS = {
    "exclude": "SETS", "output": "FOLDER", "data_dir": "FOLDER", "languages": "CODES", "objectives": "NAMES",
    "code_switch_languages": "CODES", "lexicons": "NAMES", "suite": "NAME", "dev": "SET",
}  # fmt: skip


def _options() -> list[Callable[[Any], Any]]:
    """Make the options from the settings' types, defaults and documentation."""
    texts = _documentation()
    hints = get_type_hints(Settings)
    options: list[Callable[[Any], Any]] = []
    for field in dataclasses.fields(Settings):
        if field.name in {"model", "on"}:
            continue
        kind = hints[field.name]
        name = "--" + field.name.replace("_", "-")
        shown = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        default = "" if shown in {None, ""} else f"  [default: {shown}]"
        # None means that the option was not given, so that it does not override the recipe.
        about: dict[str, Any] = {"help": texts[field.name] + default, "default": None}
        if kind is bool:
            options.append(click.option(f"{name}/--no-{name[2:]}", **about))
        elif get_args(kind) and all(isinstance(choice, str) for choice in get_args(kind)):
            options.append(click.option(name, type=click.Choice(get_args(kind)), **about))
        else:
            # Of `int | None` and the like, the number's type is what the option takes.
            plain = next((t for t in (float, int) if kind is t or t in get_args(kind)), str)
            metavar = _METAVARS[field.name] if plain is str else "N" if plain is int else "NUMBER"
            options.append(click.option(name, type=plain, metavar=metavar, **about))
    return options


def _documentation() -> dict[str, str]:
    body = (inspect.getdoc(Settings) or "").split("Attributes:\n")[1].split("\n\nRaises:")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", body, re.MULTILINE)
    return {
        name: re.sub(r"\s+", " ", re.sub(r":\w+:`([^`]*\.)?(\w+)`", r"\2", text)).replace("`", "")
        for name, text in entries
    }


@click.command("train", cls=SectionedCommand, sections={
    "on": "Data", "recipe": "Run", "exclude": "Data", "output": "Run", "data_dir": "Data", "batches": "Batches",
    "mixing": "Gradient mixing", "batch_size": "Batches", "code_switch": "Code-switching",
    "learning_rate": "Optimisation", "temperature": "Loss and model", "precision": "Speed and memory",
    "average": "Averaging and dev set", "seed": "Run",
})  # fmt: skip
@click.argument("model", required=False)
@click.option("--on", multiple=True, metavar="SET",
              help="Training set, NAME[:PART][@CANDIDATES] or a path. Repeat the option for several.")  # fmt: skip
@language_option
@click.option("--recipe", metavar="NAME",
              help="Settings: `hybrid`, `small`, `own`, or a TOML file. Options override it.")  # fmt: skip
@add_options(_options())
def train(model: str | None, on: tuple[str, ...], recipe: str | None, language: str | None, **options: Any) -> int:
    """Train MODEL (by default the bundled one) and write a sentence-transformers folder.

    You can stop training at any time, by Ctrl-C or by killing it. The same command continues it.
    """
    from panglot.training.loop import Interrupted
    from panglot.training.loop import train as run

    changes = {name: value for name, value in options.items() if value is not None}
    for name in _LISTS & changes.keys():
        changes[name] = [entry.strip() for entry in changes[name].split(",")]
    try:
        folder = run(model, in_language(on, language) or None, recipe=recipe, **changes)
    except Interrupted as stop:
        click.echo(str(stop), err=True)
        return 130
    from accelerate import PartialState

    # If torchrun started several processes, one speaks for all.
    if PartialState().is_main_process:
        click.echo(f"{folder} is trained. Next: panglot compare {model or 'bundled'} {folder} --test DATASET")
    return 0
