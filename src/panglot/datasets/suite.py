"""A suite: data sets of several forms, as a TOML file describes them, on which models are chosen.

A form is a kind of task, such as question to paragraph or title to page. Held-out shares of training sets can be forms.
Name the file in the setting ``exclude`` of a training run to train on the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError, located
from panglot._files import digest
from panglot._values import check_names, distinct, integer, number, packaged, read_toml, strings, unexpected
from panglot.data.collection import Collection
from panglot.data.transform import concatenate, draw_groups, hold_out
from panglot.datasets import registry

# Before the name of one of panglot's own suites, where a data set could be meant.
_OWN = "suite:"


@dataclass(frozen=True)
class Form:
    """One form of a suite.

    Attributes:
        name: What tables call it.
        on: Its data sets, ``NAME[:PART][@CANDIDATES]`` or paths. Several become one pool.
        languages: Languages to read; empty: all.
        share: Share of the questions of each set that belongs to the suite, in whole blocks
            (:func:`panglot.data.transform.blocks`). The rest may be trained on. 1: all.
        together: Regular expression. Groups in whose names it finds the same stay together when a share is drawn.
        rows: The most questions of each set, in whole groups; 0: all.
        seed: Seed of the drawn share and rows.
    """

    name: str
    on: tuple[str, ...]
    languages: tuple[str, ...] = ()
    share: float = 1.0
    together: str = ""
    rows: int = 0
    seed: int = 0

    def read(self, data_dir: str | Path | None = None) -> Collection:
        """Return the form as a collection of its name."""
        parts: list[Collection] = []
        for name in self.on:
            whole = registry.read(name, data_dir=data_dir, languages=self.languages or None)
            part = hold_out(whole, self.share, self.seed, self.together)[1] if self.share < 1 else whole
            parts.append(part.keep(*draw_groups(part, self.rows, self.seed)) if self.rows else part)
        return replace(concatenate(parts), name=self.name)

    def identity(self, data_dir: str | Path | None = None) -> str | None:
        """Return a digest of what :meth:`read` would read, or None if it cannot be known without reading."""
        states = [registry.identity(name, data_dir=data_dir, languages=self.languages or None) for name in self.on]
        return None if None in states else digest(repr(self), *filter(None, states))


@dataclass(frozen=True)
class Suite:
    """The forms of a suite, and its file."""

    file: Path
    forms: tuple[Form, ...]

    def read(self, data_dir: str | Path | None = None) -> dict[str, Collection]:
        """Read all forms, by name."""
        with located(file=self.file):
            found = {form.name: form.read(data_dir) for form in self.forms}
        suite = {"suite": self.file.stem}
        return {name: replace(each, metadata={**each.metadata, **suite}) for name, each in found.items()}

    def refuse_test_sets(self, data_dir: str | Path | None = None) -> None:
        """Raise a :class:`PanglotError` if a form has a test set, because weights must not be chosen by it."""
        use, hint = "choosing weights by it", "choose by another set, such as starter:dev"
        with located(file=self.file):
            for form in self.forms:
                for name in form.on:
                    collection = registry.read(name, data_dir=data_dir)
                    registry.refuse_test_set(name, collection, use, hint, f"forms.{form.name}.on")


def is_suite(name: str | Path) -> bool:
    """Return whether the name of a data set is a suite: the path of a TOML file, or ``suite:NAME``."""
    return str(name).endswith(".toml") or str(name).startswith(_OWN)


def read_suite(path: str | Path) -> Suite:
    """Read a suite from its TOML file, or one of panglot's own by ``NAME`` or ``suite:NAME``.

    The file has a ``seed`` and a table ``[forms.NAME]`` for each form.

    Raises:
        PanglotError: The file is missing or broken, or a form lacks its data sets.
    """
    file = packaged(str(path).removeprefix(_OWN), "suite")
    with located(file=file):
        return _suite(read_toml(file, "suite"), file)


def _suite(whole: Mapping[str, Any], file: Path) -> Suite:
    check_names(whole, {"forms", "seed"}, "")
    forms = whole.get("forms")
    if not isinstance(forms, Mapping) or not forms:
        raise PanglotError("a suite needs forms", field="forms", hint='write [forms.paragraph] and on = ["mlqa"]')
    seed = integer(whole.get("seed", 0), "seed")
    return Suite(file, tuple(_form(str(name), values, seed) for name, values in forms.items()))


def _form(name: str, values: Any, seed: int) -> Form:
    place = f"forms.{name}"
    check_names(values, {field.name for field in fields(Form)} - {"name", "seed"}, place)
    on, languages = (
        strings([given] if isinstance(given := values.get(key, []), str) else given, f"{place}.{key}")
        for key in ("on", "languages")
    )
    if not on:
        raise PanglotError("is missing", field=f"{place}.on", hint="name a data set that `panglot data list` shows")
    # A set that is there twice would be in the pool twice, with two right answers of which one is judged.
    distinct(on, f"{place}.on")
    share = number(values.get("share", 1.0), f"{place}.share", above=0, most=1)
    together: Any = values.get("together", "")
    try:
        re.compile(together)
    except (re.error, TypeError):
        raise unexpected(together, "a regular expression", f"{place}.together") from None
    return Form(name, on, languages, share, together, integer(values.get("rows", 0), f"{place}.rows"), seed)
