"""Read an evaluation, or a comparison of several, into one shape that every report uses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from panglot._errors import PanglotError
from panglot.evaluation.figures import SETTINGS
from panglot.report.labels import SETTING_LABELS, SETTING_MEANINGS, Measure, bias_measures, measure, retrieval_measures

Figures = Mapping[str, Any]
Matrix = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, if one was computed."""

    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Difference:
    """How far model ``a`` is above model ``b``, with the p-values of a test that they are equal."""

    a: str
    b: str
    estimate: Estimate
    p: float | None
    p_corrected: float | None


@dataclass(frozen=True)
class Comparison:
    """One measure in one setting, for all models that have it.

    ``best`` is the model that is significantly better than the others. Differences are between pairs of models.
    """

    setting: str
    measure: Measure
    estimates: Mapping[str, Estimate]
    best: str | None = None
    differences: tuple[Difference, ...] = ()

    @property
    def subject(self) -> str:
        """What ``not_measured`` calls it. Only rank distance can be missing from a setting that was measured."""
        return self.measure.key if self.measure.key == "rank_distance" else self.setting

    @property
    def name(self) -> str:
        """What it is about: ``Monolingual mAP``, ``Rank distance``."""
        own = self.measure.label
        return own if self.subject == self.measure.key else f"{SETTING_LABELS[self.setting]} {own}"

    @property
    def heading(self) -> str:
        """The name, with an arrow down where lower is better."""
        return f"{self.name} ↓" if self.measure.lower else self.name

    @property
    def meaning(self) -> str:
        """What its figure is, in a sentence or two."""
        own = self.measure.meaning
        return own if self.subject == self.measure.key else f"{SETTING_MEANINGS[self.setting]} {own}".rstrip()


@dataclass(frozen=True)
class Dataset:
    """The figures of all models on one data set."""

    name: str
    models: tuple[str, ...]
    figures: Mapping[str, Figures]
    comparisons: tuple[Comparison, ...]

    @property
    def headline(self) -> tuple[Comparison, ...]:
        """The three settings and rank distance."""
        return self.comparisons[:4]

    @property
    def any(self) -> Figures:
        """The figures of one model that has this data set, for facts that all models share."""
        return next(iter(self.figures.values()), {})

    @property
    def languages(self) -> list[str]:
        """The languages of the collection."""
        return list(map(str, self.any.get("languages") or self.any.get("pool") or ()))

    def value(self, model: str, *path: str) -> float | None:
        """Return the number at ``path`` in a model's figures, or None."""
        return number(self.figures.get(model, {}), *path)

    def estimate(self, model: str, setting: str, key: str) -> Estimate | None:
        """Return a model's value of a measure, with its interval."""
        value = self.value(model, setting, key)
        return None if value is None else Estimate(value, interval(self.figures[model], setting, "interval", key))

    def keys(self, setting: str) -> list[str]:
        """Return the keys under ``setting`` that hold a number for some model, in order of appearance."""
        found: dict[str, None] = {}
        for figures in self.figures.values():
            part = figures.get(setting)
            if isinstance(part, Mapping):
                found |= {str(key): None for key in part if number(part, str(key)) is not None}
        return list(found)

    def best(self, setting: str, key: str) -> str | None:
        """Return the model that is significantly best at a measure, or None."""
        return next((c.best for c in self.comparisons if (c.setting, c.measure.key) == (setting, key)), None)

    def bias(self) -> list[Measure]:
        """Return the measures of language bias that some model has."""
        return bias_measures(self.keys("multilingual"))

    def retrieval(self) -> list[Measure]:
        """Return the measures of retrieval that some model has in some setting."""
        return retrieval_measures(list(dict.fromkeys(key for setting in SETTINGS for key in self.keys(setting))))

    def leading_measure(self) -> str:
        """Return the key of the measure that summarizes a setting: mAP, or else the first that was computed."""
        keys = [found.key for found in self.retrieval()]
        return "mAP" if "mAP" in keys or not keys else keys[0]

    def not_measured(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Return what could not be measured, why, and for which models."""
        found: dict[tuple[str, str], list[str]] = {}
        for model, figures in self.figures.items():
            for item in figures.get("not_measured") or ():
                if isinstance(item, Mapping):
                    key = str(item.get("what", "")), str(item.get("why", ""))
                    found.setdefault(key, []).append(model)
        return [(what, why, tuple(models)) for (what, why), models in found.items()]

    def excluded(self) -> list[tuple[str, int]]:
        """Return each setting in which questions without a relevant passage were excluded, with their number."""
        found = [(setting, number(self.any, setting, "left_out")) for setting in SETTINGS]
        return [(setting, int(count)) for setting, count in found if count]

    def why_not(self, subject: str) -> str:
        """Return why a setting or a measure has no figures."""
        return next((why for what, why, _ in self.not_measured() if what == subject), "not measured")


@dataclass(frozen=True)
class Results:
    """The contents of a report: the evaluation of one model, or a comparison of several.

    ``metadata`` is the dictionary that was read, for its date, command and settings.
    """

    models: tuple[str, ...]
    evaluations: Mapping[str, Figures]
    datasets: tuple[Dataset, ...]
    compared: bool
    metadata: Figures


def read_results(figures_or_comparison: Figures) -> Results:
    """Return the results in an evaluation's dictionary of figures or in a comparison."""
    given = figures_or_comparison
    if not isinstance(given.get("datasets"), Mapping):
        raise PanglotError("these are not figures of an evaluation", field="datasets",
                           hint="pass what `panglot evaluate` or `panglot compare` wrote with --json")  # fmt: skip
    compared = isinstance(given.get("evaluations"), Mapping)
    name = str(dig(given, "model", "name") or "model")
    evaluations: Mapping[str, Figures] = given["evaluations"] if compared else {name: given}
    models = tuple(map(str, (given.get("models") if compared else None) or evaluations))
    # A data set that models do not share has no comparison, but their figures are reported.
    each = (str(name) for figures in evaluations.values() for name in dig(figures, "datasets") or ())
    names = dict.fromkeys([*map(str, given["datasets"]), *each])
    tests = given["datasets"] if compared else {}
    datasets = tuple(_dataset(name, models, evaluations, tests.get(name) or {}) for name in names)
    return Results(models, evaluations, datasets, compared, metadata=given)


def dig(value: object, *path: str) -> Any:
    """Return the value at ``path`` in nested mappings, or None if there is none."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def number(value: object, *path: str) -> float | None:
    """Return the finite number at ``path``, or None.

    >>> number({"a": {"b": 2}}, "a", "b"), number({"a": None}, "a", "b"), number({"a": True}, "a")
    (2.0, None, None)
    """
    found = dig(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return float(found)


def interval(value: object, *path: str) -> tuple[float, float] | None:
    """Return the two ends of the interval at ``path``, or None.

    >>> interval({"a": [0.1, 0.2]}, "a"), interval({}, "a")
    ((0.1, 0.2), None)
    """
    pair = dig(value, *path)
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        return None
    low, high = map(number, pair)
    return None if low is None or high is None else (low, high)


def _dataset(name: str, models: tuple[str, ...], evaluations: Mapping[str, Figures], comparisons: Figures) -> Dataset:
    figures = {
        model: part for model in models if isinstance(part := dig(evaluations.get(model), "datasets", name), Mapping)
    }
    bare = Dataset(name, models, figures, ())
    leading = bare.leading_measure()
    wanted = [(setting, leading) for setting in SETTINGS] + [("multilingual", "rank_distance")]
    for key in comparisons:
        setting, _, rest = str(key).partition(".")
        if setting in SETTINGS and (setting, rest) not in wanted:
            wanted.append((setting, rest))
    every = tuple(_compared(bare, *pair, comparisons.get(".".join(pair))) for pair in wanted)
    return Dataset(name, models, figures, every)


def _compared(dataset: Dataset, setting: str, key: str, compared: Figures | None) -> Comparison:
    estimates: dict[str, Estimate] = {}
    for model in dataset.models:
        value = number(compared, "values", model)
        own = dataset.estimate(model, setting, key)
        if value is not None:
            # A comparison without intervals of its own has those of the evaluations.
            ends = interval(compared, "intervals", model) or (own.interval if own else None)
            estimates[model] = Estimate(value, ends)
        elif own is not None:
            estimates[model] = own
    best = dig(compared, "best")
    differences = tuple(
        Difference(str(item.get("a")), str(item.get("b")), Estimate(value, interval(item, "interval")),
                   number(item, "p"), number(item, "p_corrected"))
        for item in dig(compared, "differences") or ()
        if (value := number(item, "difference")) is not None
    )  # fmt: skip
    return Comparison(setting, measure(key), estimates, str(best) if best in estimates else None, differences)


def matrix(dataset: Dataset, model: str) -> dict[str, dict[str, float]]:
    """Return question language → passage language → the leading measure.

    The diagonal is the monolingual figure of the language. Pairs without a figure are absent.
    """
    key = dataset.leading_measure()
    path = ("crosslingual", "matrix", key)
    if not isinstance(dig(dataset.figures.get(model), *path), Mapping):
        return {}
    cells = _square(dataset, model, *path)
    for x, row in cells.items():
        if (own := dataset.value(model, "monolingual", "by_language", x, key)) is not None:
            row[x] = own
    return cells


def _square(dataset: Dataset, model: str, *path: str) -> dict[str, dict[str, float]]:
    """Return language → language → the value below ``path``, with a row of every language and only the known cells."""
    codes = dataset.languages
    return {x: {y: found for y in codes if (found := dataset.value(model, *path, x, y)) is not None} for x in codes}


def mean_by_question(cells: Matrix) -> dict[str, float]:
    """Return question language → the mean over the other passage languages.

    >>> mean_by_question({"de": {"de": 0.9, "en": 0.6, "fr": 0.4}})
    {'de': 0.5}
    """
    rows = {x: [value for y, value in row.items() if y != x] for x, row in cells.items()}
    return {x: fmean(values) for x, values in rows.items() if values}


def mean_by_passage(cells: Matrix) -> dict[str, float]:
    """Return passage language → the mean over the other question languages."""
    columns = dict.fromkeys(y for row in cells.values() for y in row)
    return mean_by_question({y: {x: row[y] for x, row in cells.items() if y in row} for y in columns})


def shares(dataset: Dataset, key: str) -> dict[str, Matrix]:
    """Return model → question language → passage language → share of the first results."""
    found = {model: _square(dataset, model, "multilingual", key) for model in dataset.models}
    return {model: {x: row for x, row in cells.items() if row} for model, cells in found.items() if any(cells.values())}


def share_key(dataset: Dataset) -> str | None:
    """Return the key of the language shares, ``language_share@k``, or None if there are none."""
    names = (str(name) for figures in dataset.figures.values() for name in dig(figures, "multilingual") or ())
    return next((name for name in names if name.startswith("language_share@")), None)


def distances(dataset: Dataset) -> dict[str, Matrix]:
    """Return model → language → another language → distance between their mean embeddings."""
    found = {model: _square(dataset, model, "geometry", "mean_distance") for model in dataset.models}
    others = {model: {x: {y: v for y, v in row.items() if y != x} for x, row in cells.items()}
              for model, cells in found.items()}  # fmt: skip
    return {model: cells for model, cells in others.items() if any(cells.values())}
