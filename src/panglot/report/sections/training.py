"""Training curves: the loss, and the dev collection in three settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot.report.charts import Series, legend, plot
from panglot.report.curves import Lines, conflicts, dev, losses, smoothed, thinned
from panglot.report.labels import SETTING_LABELS, SETTINGS, written
from panglot.report.markup import Child, Markup, section, tag

if TYPE_CHECKING:
    from collections.abc import Mapping


_GEOMETRY = {
    "languages told apart": "language_classifier",
    "cosine of translations": "translation_cosine",
    "cosine of random texts": "random_cosine",
}


def training(curves: Mapping[str, Lines], models: tuple[str, ...]) -> Markup:
    """Return the curves of every model that has a log; a log without a model stands behind them."""
    names = [
        *(model for model in models if model in curves),
        *(name for name in curves if name not in models),
    ]
    numbers = {name: [*models, *names].index(name) for name in names}
    ordered = {name: curves[name] for name in names}
    content = _one(ordered[names[0]]) if len(names) == 1 else _several(ordered, numbers)
    explanation = (
        "Loss of the training batches, smoothed, and figures on the dev collection, "
        "by which a run stops and keeps its best."
    )
    return section("Training", explanation, *content, *_left_out(ordered))


def _left_out(curves: Mapping[str, Lines]) -> list[Child]:
    """Return what was left out of training because a test set has it, a line each."""
    found = [
        tag("li", f"{name}: ", tag("bdi", str(each.get("training"))), f": {each.get('groups'):,} groups left out, ",
            tag("bdi", str(each.get("test"))), f" has their text ({each.get('equal'):,} texts equal, "
            f"{each.get('near'):,} nearly so)")
        for name, lines in curves.items()
        for line in lines
        for each in line.get("left_out", ())
    ]  # fmt: skip
    return [tag("h4", "Left out of training"), tag("ul", found)] if found else []


def _one(lines: Lines) -> list[Child]:
    by_kind = losses(lines)
    series = [_smooth(kind, place, points) for place, (kind, points) in enumerate(by_kind.items())]
    settings = [
        Series(SETTING_LABELS[setting], place, thinned(points))
        for place, setting in enumerate(SETTINGS)
        if (points := dev(lines, setting))
    ]
    geometry = [
        Series(label, place, thinned(points))
        for place, (label, name) in enumerate(_GEOMETRY.items())
        if (points := dev(lines, name))
    ]
    gradients = [_smooth(name, place, points) for place, (name, points) in enumerate(conflicts(lines).items())]
    mixing = any(line.get("objectives") for line in lines)
    panels = [
        ("Loss by objective" if mixing else "Loss by kind of batch", series),
        ("Gradients of the objectives", gradients),
        ("Dev collection, mAP", settings),
        ("Dev collection, vectors", geometry),
    ]
    return [tag("div", _plots(panels, legends=True), class_="plots")]


def _several(curves: Mapping[str, Lines], numbers: Mapping[str, int]) -> list[Child]:
    loss = [
        _smooth(name, numbers[name], sorted(point for points in losses(lines).values() for point in points))
        for name, lines in curves.items()
        if losses(lines)
    ]
    panels = [("Loss", [Series(one.name, one.number, one.points) for one in loss])]
    for setting in SETTINGS:
        series = [
            Series(name, numbers[name], thinned(points))
            for name, lines in curves.items()
            if (points := dev(lines, setting))
        ]
        panels += [(f"Dev collection, {SETTING_LABELS[setting].lower()} mAP", series)]
    plots = _plots(panels, legends=False)
    if not plots:
        return []
    return [legend([(numbers[name], name) for name in curves]), tag("div", plots, class_="plots")]


def _plots(panels: list[tuple[str, list[Series]]], *, legends: bool) -> list[Child]:
    found: list[Child] = []
    for title, series in panels:
        if not any(one.points for one in series):
            continue
        label = f"{title}: " + "; ".join(
            f"{one.name} from {written(one.points[0][1])} to {written(one.points[-1][1])}" for one in series
        )
        drawn = plot(title, series, label=label)
        names = legend([(one.number, one.name) for one in series]) if legends and len(series) > 1 else None
        found.append(tag("div", drawn, names))
    return found


def _smooth(name: str, number: int, points: list[tuple[float, float]]) -> Series:
    thin = thinned(points)
    return Series(name, number, smoothed(thin) if len(thin) > 20 else thin, thin if len(thin) > 20 else None)
