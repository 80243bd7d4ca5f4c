"""Training curves: read a run's log, thin it, smooth it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from panglot._errors import PanglotError
from panglot.report.results import number

Lines = Sequence[Mapping[str, Any]]
Points = list[tuple[float, float]]


def from_log(path: str | Path) -> list[dict[str, Any]]:
    """Return the lines of a run's ``log.jsonl``, or of the one in the run folder ``path``.

    A last line that was cut short, as a killed run leaves it, is left out. Steps that were run again after a
    resume replace their earlier lines.

    Raises:
        PanglotError: There is no such file, or a line before the last is broken.
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
            # A resumed run logs again what lies behind its checkpoint: the later line is the true one.
            found.pop((step, "dev" in value), None)
            found[step, "dev" in value] = value
    return sorted(found.values(), key=lambda value: (value["step"], "dev" in value))


def losses(lines: Lines, most: int = 6) -> dict[str, Points]:
    """Return kind of batch, or with gradient mixing the objective, → (step, loss); more than ``most`` as their mean."""
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
    """Return mean cosine of the objectives' gradients, and share in conflict → (step, value), of gradient mixing."""
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
    """Return (step, mAP) of the dev collection in one setting."""
    found: Points = []
    for line in lines:
        step, value = number(line, "step"), number(line, "dev", setting)
        if value is None:
            value = number(line, "dev", setting, "mAP")
        if step is not None and value is not None:
            found.append((step, value))
    return found


def thinned(points: Points, most: int = 240) -> Points:
    """Return at most ``most`` points: the mean of each of as many equal runs.

    >>> thinned([(1, 1.0), (2, 3.0), (3, 5.0), (4, 7.0)], 2)
    [(1.5, 2.0), (3.5, 6.0)]
    """
    if len(points) <= most:
        return points
    cuts = [len(points) * place // most for place in range(most + 1)]
    parts = [points[low:high] for low, high in pairwise(cuts)]
    return [(fmean(x for x, _ in part), fmean(y for _, y in part)) for part in parts]


def smoothed(points: Points, share: float = 0.06) -> Points:
    """Return each point with the mean of its neighbours: a window of ``share`` of all points, centred."""
    half = max(1, round(len(points) * share / 2))
    return [
        (x, fmean(y for _, y in points[max(0, place - half) : place + half + 1])) for place, (x, _) in enumerate(points)
    ]
