"""What each language gets: the columns of every table by language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from panglot.report.results import Dataset, dig, number

if TYPE_CHECKING:
    from panglot.report.numbers import Kind


Cells = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class LanguageColumn:
    """One figure per language.

    Args:
        short: A heading of one word.
        label: A heading that stands alone.
        kind: How its numbers are written.
        shared: Whether it is a fact of the collection, the same for all models.
        value: The figure of a model in a language.
    """

    short: str
    label: str
    kind: Kind
    shared: bool
    value: Callable[[str, str], float | None]


def matrix(dataset: Dataset, model: str) -> dict[str, dict[str, float]]:
    """Return question language → passage language → the leading measure, own language included.

    The diagonal is the monolingual figure of the language; pairs without a figure are absent.
    """
    key = dataset.leading_measure()
    figures = dataset.figures.get(model, {})
    given = dig(figures, "crosslingual", "matrix", key)
    if not isinstance(given, Mapping):
        return {}
    found: dict[str, dict[str, float]] = {}
    for x in dataset.languages:
        row = {y: value for y in dataset.languages if (value := number(given, x, y)) is not None}
        own = number(figures, "monolingual", "by_language", x, key)
        found[x] = row | ({x: own} if own is not None else {})
    return found


def asked(cells: Cells) -> dict[str, float]:
    """Return question language → the mean over passage languages, its own left out.

    >>> asked({"de": {"de": 0.9, "en": 0.6, "fr": 0.4}})
    {'de': 0.5}
    """
    rows = {x: [value for y, value in row.items() if y != x] for x, row in cells.items()}
    return {x: fmean(values) for x, values in rows.items() if values}


def answered(cells: Cells) -> dict[str, float]:
    """Return passage language → the mean over question languages, its own left out."""
    turned: dict[str, dict[str, float]] = {}
    for x, row in cells.items():
        for y, value in row.items():
            turned.setdefault(y, {})[x] = value
    return asked(turned)


def language_columns(dataset: Dataset) -> list[LanguageColumn]:
    """Return the columns that hold at least one figure."""
    key = dataset.leading_measure()
    cells = {model: matrix(dataset, model) for model in dataset.models}
    rows = {model: asked(found) for model, found in cells.items()}
    columns_of = {model: answered(found) for model, found in cells.items()}

    def by(setting: str, name: str) -> Callable[[str, str], float | None]:
        return lambda model, code: dataset.value(model, setting, "by_language", code, name)

    multilingual = list(
        dict.fromkeys(
            str(name)
            for figures in dataset.figures.values()
            for row in (dig(figures, "multilingual", "by_language") or {}).values()
            for name in row
        )
    )
    own = next((name for name in multilingual if name.startswith("self_preference")), "self_preference@10")
    columns = [
        LanguageColumn("pool", "Passages", "count", True, lambda model, code: dataset.value(model, "pool", code)),
        LanguageColumn("mono", f"Monolingual {key}", "score", False, by("monolingual", key)),
        LanguageColumn("asked", f"Cross-lingual {key}, asked in", "score", False, lambda m, c: rows[m].get(c)),
        LanguageColumn(
            "answered",
            f"Cross-lingual {key}, answered in",
            "score",
            False,
            lambda m, c: columns_of[m].get(c),
        ),
        LanguageColumn("multi", f"Multilingual {key}", "score", False, by("multilingual", key)),
        LanguageColumn("distance", "Rank distance", "rank", False, by("multilingual", "rank_distance")),
        LanguageColumn("own ×", "Self-preference", "times", False, by("multilingual", own)),
    ]
    return [
        column
        for column in columns
        if any(column.value(m, code) is not None for m in dataset.models for code in dataset.languages)
    ]
