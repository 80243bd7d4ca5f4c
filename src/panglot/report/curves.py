"""Line plots, and training curves: read the log of a run, and draw its loss and its figures on the dev collection."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from panglot._errors import PanglotError
from panglot.evaluation.figures import SETTINGS
from panglot.report.evaluations import number
from panglot.report.labels import SETTING_LABELS, format_number
from panglot.report.markup import COLOURS, Child, Markup, legend, marker, section, tag
from panglot.report.tables import Scale, around, decimals, ticks

Points = list[tuple[float, float]]
Lines = Sequence[Mapping[str, Any]]

# Lines keep their width although their picture is stretched.
_KEPT_WIDTH = {"vector_effect": "non-scaling-stroke"}


@dataclass(frozen=True)
class Series:
    """A line of a plot through points with rising x. Its number selects its colour and shape.

    Points ``behind`` it are faint, such as those before smoothing. ``intervals`` are upright lines as (x, low, high).
    """

    name: str
    number: int
    points: Points
    behind: Points | None = None
    intervals: Sequence[tuple[float, float, float]] = ()


def plot(
    title: str, series: Sequence[Series], *, label: str, names: Sequence[tuple[float, str]] = (),
    top: float | None = None,
) -> Markup:  # fmt: skip
    """Return a line plot as wide as its container, with text that keeps its size. Its upright axis begins at 0.

    ``label`` says to screen readers what the plot shows. ``names`` are labels (x, text) below the plot instead of
    numbers of steps. The axis reaches ``top`` at least, which makes plots comparable.
    """
    every = [point for one in series for point in one.points]
    heights = [y for _, y in every] + [y for one in series for _, y in one.behind or ()]
    heights += [end for one in series for _, *ends in one.intervals for end in ends]
    across = [x for x, _ in [*every, *names]]
    x_scale, y_scale = Scale(min(across), max(across)), around([0.0, *heights, *([] if top is None else [top])])

    def at(x: float, y: float) -> tuple[float, float]:
        # Percentages from the upper left, as SVG counts.
        return 100 * x_scale.share(x), 100 - 100 * y_scale.share(y)

    def line(points: Points, one: Series, look: str = "") -> Markup:
        places = " ".join(f"{x:.2f},{y:.2f}" for x, y in (at(*point) for point in points))
        return tag("polyline", points=places, class_=f"curve k{one.number % COLOURS}{look}", **_KEPT_WIDTH)

    def upright(x: float, low: float, high: float, one: Series) -> Markup:
        (left, bottom), (_, top) = at(x, low), at(x, high)
        ends = {"x1": f"{left:.2f}", "x2": f"{left:.2f}", "y1": f"{bottom:.2f}", "y2": f"{top:.2f}"}
        return tag("line", **ends, class_=f"upright k{one.number % COLOURS}", **_KEPT_WIDTH)

    y_ticks = list(ticks(y_scale, 4))
    digits = max(2 if y_scale.high < 10 else 0, decimals(y_ticks))
    # A number at the right end would cover the label of x.
    x_ticks = [(x, f"{x:,.0f}") for x in ticks(x_scale, 4) if x_scale.share(x) <= 0.97]
    heights_of_rules = [at(x_scale.low, y)[1] for y in y_ticks]
    rules = [tag("line", x1=0, x2=100, y1=y, y2=y, class_="grid", **_KEPT_WIDTH) for y in heights_of_rules]
    lines = [line(one.behind, one, " faint") for one in series if one.behind]
    lines += [line(one.points, one) for one in series]
    lines += [upright(*ends, one) for one in series for ends in one.intervals]
    # The picture is stretched to its container, and the dots and labels over it are not.
    picture = tag("svg", rules, lines, viewBox="0 0 100 100", preserveAspectRatio="none", role="img", aria_label=label)
    dots = [
        tag("svg", [marker(one.number, *(f"{end:.2f}%" for end in at(*point))) for point in marked],
            class_="dots", aria_hidden="true")
        for one in series
        for marked in [one.points[-1:] if len(one.points) > 12 else one.points]
    ]  # fmt: skip
    y_labels = [(y_scale.percent(y), format_number(y, digits=digits)) for y in y_ticks]
    labels = [tag("span", text, class_="y", style=f"bottom:{place}") for place, text in y_labels]
    x_labels = [(x_scale.percent(x), name) for x, name in names or x_ticks]
    labels += [tag("span", name, class_="x", style=f"left:{place}") for place, name in x_labels]
    unit = None if names else tag("span", "step", class_="x unit")
    area = tag("div", picture, dots, tag("div", labels, unit, aria_hidden="true"), class_="area")
    return tag("figure", tag("figcaption", title), area, class_="plot")


def from_log(path: str | Path) -> list[dict[str, Any]]:
    """Return the lines of a ``log.jsonl``, or of the one in a run folder.

    A last line that was cut short by a kill is ignored. Steps that were run again after a resume replace their
    earlier lines.

    Args:
        path: The log or the run folder.

    Raises:
        PanglotError: The file does not exist, or a line before the last is broken.
    """
    path = Path(path)
    file = path / "log.jsonl" if path.is_dir() else path
    try:
        written = file.read_bytes().rstrip().split(b"\n")
    except OSError as error:
        raise PanglotError(f"cannot read the log: {error.strerror or error}", file=file,
                           hint="name a run folder or its log.jsonl") from error  # fmt: skip
    found: dict[tuple[float, bool], dict[str, Any]] = {}
    for place, line in enumerate(written, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            if place == len(written):
                break
            raise PanglotError("this line is not JSON", file=file, line=place, hint="remove the line") from error
        step = number(value, "step")
        if step is not None:
            # A resumed run repeats the steps after its checkpoint, and the later line is the valid one.
            found[step, "dev" in value] = value
    return [found[key] for key in sorted(found)]


def losses(lines: Lines, most: int = 6) -> dict[str, Points]:
    """Return kind of batch → (step, loss), or with gradient mixing objective → (step, loss).

    More than ``most`` objectives are not listed one by one. Their mean is under the kind of batch.
    """
    mixed = {str(o.get("name")) for line in lines for o in _objectives(line)}
    found: dict[str, Points] = {}
    for line in lines:
        step, loss = number(line, "step"), number(line, "loss")
        if step is None or loss is None:
            continue
        parts = [(str(line.get("kind") or "loss"), loss)]
        if 0 < len(mixed) <= most:
            parts = [(str(each.get("name")), number(each, "loss") or 0.0) for each in _objectives(line)]
        for name, value in parts:
            found.setdefault(name, []).append((step, value))
    return found


def _objectives(line: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = line.get("objectives")
    return [o for o in found if isinstance(o, Mapping)] if isinstance(found, list) else []


def conflicts(lines: Lines) -> dict[str, Points]:
    """Return the curves of gradient mixing: mean cosine of the gradients, and share of them in conflict."""
    curves = {"mean cosine": _points(lines, "cosine"), "share in conflict": _points(lines, "conflicts")}
    return {name: points for name, points in curves.items() if points}


def dev(lines: Lines, name: str) -> Points:
    """Return (step, mAP) on the dev collection in one setting, or (step, value) of a figure of its vectors."""
    # A log has a number or a dictionary of measures for a setting.
    return sorted(_points(lines, "dev", name) + _points(lines, "dev", name, "mAP"))


def _points(lines: Lines, *path: str) -> Points:
    both = ((number(line, "step"), number(line, *path)) for line in lines)
    return [(step, value) for step, value in both if step is not None and value is not None]


def thinned(points: Points, most: int = 240) -> Points:
    """Return at most ``most`` points, each the mean of a run of neighbours.

    >>> thinned([(1, 1.0), (2, 3.0), (3, 5.0), (4, 7.0)], 2)
    [(1.5, 2.0), (3.5, 6.0)]
    """
    if len(points) <= most:
        return points
    cuts = [len(points) * place // most for place in range(most + 1)]
    parts = [points[low:high] for low, high in pairwise(cuts)]
    return [(fmean(x for x, _ in part), fmean(y for _, y in part)) for part in parts]


def smoothed(points: Points, share: float = 0.06) -> Points:
    """Return the moving average over a centred window of ``share`` of all points."""
    half = max(1, round(len(points) * share / 2))
    return [
        (x, fmean(y for _, y in points[max(0, place - half) : place + half + 1])) for place, (x, _) in enumerate(points)
    ]


def training_section(curves: Mapping[str, Lines], models: tuple[str, ...]) -> Markup:
    """Return the curves of every model that has a log, then those of other logs."""
    names = [*(model for model in models if model in curves), *(name for name in curves if name not in models)]
    # A model has the same colour here as in the tables.
    numbers = {name: [*models, *names].index(name) for name in names}
    ordered = {name: curves[name] for name in names}
    content = _one(ordered[names[0]]) if len(names) == 1 else _several(ordered, numbers)
    explanation = (
        "Smoothed loss of the training batches, and figures on the dev collection, "
        "which decide when a run stops and which checkpoint it keeps."
    )
    return section("Training", explanation, *content, *_excluded(ordered))


def _excluded(curves: Mapping[str, Lines]) -> list[Child]:
    """Return what was excluded from training because a test set has it, one line each."""
    found = [
        tag("li", f"{name}: {each.get('groups'):,} groups of ", tag("bdi", str(each.get("training"))), " excluded: ",
            tag("bdi", str(each.get("test"))), f" has their text ({each.get('equal'):,} texts equal, "
            f"{each.get('near'):,} nearly equal)")
        for name, lines in curves.items()
        for line in lines
        for each in line.get("left_out", ())
    ]  # fmt: skip
    return [tag("h4", "Excluded from training"), tag("ul", found)] if found else []


def _one(lines: Lines) -> list[Child]:
    def shown(names: Mapping[str, str]) -> list[Series]:
        found = [(label, dev(lines, name)) for label, name in names.items()]
        return [Series(label, place, thinned(points)) for place, (label, points) in enumerate(found) if points]

    geometry = {"languages separated": "language_classifier", "cosine of translations": "translation_cosine",
                "cosine of random texts": "random_cosine"}  # fmt: skip
    mixing = any(line.get("objectives") for line in lines)
    panels = {
        "Loss by objective" if mixing else "Loss by kind of batch": _smooth(losses(lines)),
        "Gradients of the objectives": _smooth(conflicts(lines)),
        "Dev collection, mAP": shown({label: setting for setting, label in SETTING_LABELS.items()}),
        "Dev collection, vectors": shown(geometry),
    }
    return [tag("div", _plots(panels, legends=True), class_="plots")]


def _several(curves: Mapping[str, Lines], numbers: Mapping[str, int]) -> list[Child]:
    loss = {name: sorted(point for points in losses(lines).values() for point in points)
            for name, lines in curves.items()}  # fmt: skip
    panels = {"Loss": [Series(name, numbers[name], _smoother(points)) for name, points in loss.items() if points]}
    for setting in SETTINGS:
        found = {name: dev(lines, setting) for name, lines in curves.items()}
        panels[f"Dev collection, {SETTING_LABELS[setting].lower()} mAP"] = [
            Series(name, numbers[name], thinned(points)) for name, points in found.items() if points
        ]
    plots = _plots(panels, legends=False)
    names = legend([(numbers[name], name) for name in curves])
    return [names, tag("div", plots, class_="plots")] if plots else []


def _plots(panels: Mapping[str, list[Series]], *, legends: bool) -> list[Child]:
    found: list[Child] = []
    for title, series in panels.items():
        if not series:
            continue
        label = f"{title}: " + "; ".join(
            f"{one.name} from {format_number(one.points[0][1])} to {format_number(one.points[-1][1])}" for one in series
        )
        names = legend([(one.number, one.name) for one in series]) if legends and len(series) > 1 else None
        # Figures on the dev collection are shares of 1.
        top = 1.0 if title.startswith("Dev") else None
        found.append(tag("div", plot(title, series, label=label, top=top), names))
    return found


def _smooth(curves: Mapping[str, Points]) -> list[Series]:
    """Return smoothed lines before the points themselves."""
    thin = {name: thinned(points) for name, points in curves.items()}
    return [
        Series(name, place, _smoother(points), points if len(points) > 20 else None)
        for place, (name, points) in enumerate(thin.items())
    ]


def _smoother(points: Points) -> Points:
    thin = thinned(points)
    return smoothed(thin) if len(thin) > 20 else thin
