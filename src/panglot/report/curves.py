"""Training curves: read the log of a run, and draw its loss and its figures on the dev collection."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from panglot._errors import PanglotError
from panglot.report.charts import Points, Series, legend, plot
from panglot.report.labels import SETTING_LABELS, SETTINGS, format_number
from panglot.report.markup import Child, Markup, section, tag
from panglot.report.results import number

Lines = Sequence[Mapping[str, Any]]


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
        written = file.read_bytes().split(b"\n")
    except OSError as error:
        raise PanglotError(
            f"cannot read the log: {error.strerror or error}",
            file=file,
            hint="name a run folder or its log.jsonl",
        ) from error
    found: dict[tuple[float, bool], dict[str, Any]] = {}
    last = max((place for place, line in enumerate(written) if line.strip()), default=-1)
    for place, line in enumerate(written):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            if place == last:
                break
            raise PanglotError("this line is not JSON", file=file, line=place + 1, hint="remove the line") from error
        step = number(value, "step")
        if step is not None:
            # A resumed run repeats the steps after its checkpoint, and the later line is the valid one.
            found.pop((step, "dev" in value), None)
            found[step, "dev" in value] = value
    return sorted(found.values(), key=lambda value: (value["step"], "dev" in value))


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
        if 0 < len(mixed) <= most:
            for objective in _objectives(line):
                found.setdefault(str(objective.get("name")), []).append((step, number(objective, "loss") or 0.0))
        else:
            found.setdefault(str(line.get("kind") or "loss"), []).append((step, loss))
    return found


def conflicts(lines: Lines) -> dict[str, Points]:
    """Return the curves of gradient mixing: mean cosine of the gradients, and share of them in conflict."""
    found: dict[str, Points] = {}
    for line in lines:
        step = number(line, "step")
        for name, key in (("mean cosine", "cosine"), ("share in conflict", "conflicts")):
            value = number(line, key)
            if step is not None and value is not None:
                found.setdefault(name, []).append((step, value))
    return found


def _objectives(line: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = line.get("objectives")
    return [o for o in found if isinstance(o, Mapping)] if isinstance(found, list) else []


def dev(lines: Lines, setting: str) -> Points:
    """Return (step, mAP) on the dev collection in one setting."""
    found: Points = []
    for line in lines:
        step, value = number(line, "step"), number(line, "dev", setting)
        if value is None:
            value = number(line, "dev", setting, "mAP")
        if step is not None and value is not None:
            found.append((step, value))
    return found


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


_GEOMETRY = {
    "languages separated": "language_classifier",
    "cosine of translations": "translation_cosine",
    "cosine of random texts": "random_cosine",
}


def training_section(curves: Mapping[str, Lines], models: tuple[str, ...]) -> Markup:
    """Return the curves of every model that has a log, then those of other logs."""
    names = [
        *(model for model in models if model in curves),
        *(name for name in curves if name not in models),
    ]
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
            f"{one.name} from {format_number(one.points[0][1])} to {format_number(one.points[-1][1])}" for one in series
        )
        drawn = plot(title, series, label=label)
        names = legend([(one.number, one.name) for one in series]) if legends and len(series) > 1 else None
        found.append(tag("div", drawn, names))
    return found


def _smooth(name: str, number: int, points: list[tuple[float, float]]) -> Series:
    thin = thinned(points)
    return Series(name, number, smoothed(thin) if len(thin) > 20 else thin, thin if len(thin) > 20 else None)
