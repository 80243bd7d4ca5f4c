"""From the cells that are done to values with intervals, and retention."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot.evaluation.bootstrap import Sums, draw, interval
from panglot.study.cell import place
from panglot.study.design import START, Cell, Study, Test

Doubles = npt.NDArray[np.float64]
DRAWS = 1000
FIGURES = {
    "monolingual.mAP": "monolingual mAP",
    "crosslingual.mAP": "cross-lingual mAP",
    "multilingual.mAP": "multilingual mAP",
    "multilingual.rank_distance": "rank distance",
}


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: The mean over seeds.
        ends: The 95 % interval, over seeds and question groups; None where nothing varies.
        seeds: How many seeds there are.
    """

    value: float
    ends: tuple[float, float] | None
    seeds: int


@dataclass(frozen=True)
class Each:
    """A figure of each seed.

    Attributes:
        values: Shape ``[seeds]``.
        draws: On draws of question groups, the same groups for all cells, shape ``[seeds, DRAWS]``.
        groups: Number of question groups.
    """

    values: Doubles
    draws: Doubles
    groups: int


class Results:
    """The figures of a study's cells.

    An estimate's draws take question groups with replacement, the same groups for all cells, and seeds with
    replacement, the same seeds for all strategies: differences are paired.

    Args:
        study: The study; cells that are not done are left out.

    Raises:
        PanglotError: Cells were made with other settings than the study has, or with different test sets.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._cells = {cell: place(study, cell).folder for cell in study.cells() if place(study, cell).done}
        self._check()
        self._each: dict[tuple[str, int, str, tuple[int, ...]], Each | None] = {}

    @cached_property
    def about(self) -> dict[Cell, dict[str, Any]]:
        """What each done cell wrote beside its sums."""
        return {c: json.loads((folder / "cell.json").read_text("utf-8")) for c, folder in self._cells.items()}

    @cached_property
    def _sums(self) -> dict[Cell, dict[str, Sums]]:
        return {cell: _read(folder / "sums.npz") for cell, folder in self._cells.items()}

    def cells(self, strategy: str, size: int) -> list[Cell]:
        """Return the done cells of a strategy at a size, by seed; the start is one cell at every size."""
        if strategy == START:
            return [cell for cell in self._cells if cell.strategy == START]
        return [cell for cell in self._cells if (cell.strategy, cell.size) == (strategy, size)]

    def sizes(self, strategy: str) -> list[int]:
        """Return the sizes at which a strategy has a done cell, growing."""
        return [size for size in self.study.sizes if self.cells(strategy, size)]

    def seeds(self, strategy: str, size: int) -> tuple[int, ...]:
        """Return the seeds of a strategy's done cells."""
        return tuple(cell.seed for cell in self.cells(strategy, size))

    def each(self, strategy: str, size: int, key: str, seeds: tuple[int, ...] | None = None) -> Each | None:
        """Return a figure of each seed; None without any.

        Args:
            strategy: The strategy, or ``start``.
            size: Number of training languages; of the start, that of the cell that it is compared with.
            key: ``test|slice|figure``.
            seeds: Only these; by default all that are done.
        """
        test, part, figure = key.split("|")
        if strategy == START:
            seeds = None
            if part in {"seen", "unseen"}:
                key = f"{test}|{part}-{size}|{figure}"
        chosen = self.seeds(strategy, size) if seeds is None else seeds
        wish = (strategy, size, key, chosen)
        if wish not in self._each:
            cells = [cell for cell in self.cells(strategy, size) if cell.seed in chosen and key in self._sums[cell]]
            found = [self._sums[cell][key] for cell in cells]
            self._each[wish] = _drawn(found) if found else None
        return self._each[wish]

    def draws(self, strategy: str, size: int, key: str) -> tuple[float, Doubles, int] | None:
        """Return a figure's mean over seeds, its draws, shape ``[DRAWS]``, and the number of seeds; None without any.

        Resampled means of n seeds vary (n − 1) / n times as much as they should; the draws are stretched by that.
        """
        if (found := self.each(strategy, size, key)) is None:
            return None
        count, each = len(found.values), found.draws
        if count > 1:
            centre = each.mean(axis=0)
            each = centre + (each - centre) * np.sqrt(count / (count - 1))
        seeds = np.random.default_rng(1).integers(0, count, (count, DRAWS))
        return float(found.values.mean()), np.take_along_axis(each, seeds, axis=0).mean(axis=0), count

    def _check(self) -> None:
        if len({about.get("material") for about in self.about.values()}) > 1:
            raise PanglotError(
                "its cells were measured on different data",
                file=self.study.output / "cells",
                hint="remove the cells to make them anew, or give the study another output",
            )
        for cell, about in self.about.items():
            if cell.strategy == START:
                continue
            wanted = {**self.study.train, **self.study.strategy(cell.strategy).settings}
            wanted.pop("learning_rate", None)
            made = about.get("recipe", {})
            if changed := sorted(name for name, value in wanted.items() if made.get(name, value) != value):
                raise PanglotError(
                    f"made with {changed[0]} {made.get(changed[0])!r}, and the study has {wanted[changed[0]]!r} now",
                    file=self._cells[cell],
                    hint="remove the folder to make it anew, or give the study another output",
                )

    def estimate(self, strategy: str, size: int, key: str) -> Estimate | None:
        """Return a figure with its interval, or None without a cell."""
        found = self.draws(strategy, size, key)
        return None if found is None else Estimate(found[0], interval(found[1]), found[2])

    def retention(self, strategy: str, size: int, key: str, *, of: str = START) -> Estimate | None:
        """Return a figure as a share of the start's, or (``of="best"``) of the strategy's own at its best size."""
        mine = self.draws(strategy, size, key)
        other = self._reference(strategy, size, key, of)
        if mine is None or other is None or other[0] == 0:
            return None
        return Estimate(mine[0] / other[0], interval(_ratio(mine[1], other[1])), mine[2])

    def measured(self) -> list[tuple[str, str, str]]:
        """Return (test, slice, figure) for all that some cell has, in the settings that the test set can measure."""
        every = {key for sums in self._sums.values() for key in sums}
        return [
            (test.on, part, figure)
            for test in self.study.tests
            for part in ("all", "seen", "unseen", "never")
            for figure in FIGURES
            if f"{test.on}|{part}|{figure}" in every and self._is_told(test, figure.partition(".")[0])
        ]

    def _is_told(self, test: Test, setting: str) -> bool:
        if test.settings and setting not in test.settings:
            return False
        measured = next(iter(self.about.values()))["figures"]["datasets"][test.on]
        return measured[setting] is not None

    def _reference(self, strategy: str, size: int, key: str, of: str) -> tuple[float, Doubles, int] | None:
        if of == START:
            return self.draws(START, size, key)
        sizes = [(found[0], other) for other in self.sizes(strategy) if (found := self.draws(strategy, other, key))]
        lower = key.endswith("rank_distance")
        best = (min if lower else max)(sizes, default=None)
        return None if best is None else self.draws(strategy, best[1], key)


def _drawn(found: Sequence[Sums]) -> Each:
    # At once, so that the groups of a draw are counted once for all seeds.
    drawn = draw({str(place): sums for place, sums in enumerate(found)}, DRAWS, 0)
    return Each(np.array([sums.mean() for sums in found]), np.stack(list(drawn.values())), len(found[0].total))


def _ratio(one: Doubles, other: Doubles) -> Doubles:
    """Divide draw by draw; a draw whose reference is 0 says nothing."""
    return np.divide(one, other, out=np.full_like(one, np.nan), where=other != 0)


def _read(path: Path) -> dict[str, Sums]:
    with np.load(path, allow_pickle=False) as arrays:
        keys = [name.removesuffix("|total") for name in arrays.files if name.endswith("|total")]
        return {
            key: Sums(*(arrays[f"{key}|{part}"].astype(np.float64) for part in ("total", "number"))) for key in keys
        }


def as_dict(results: Results) -> dict[str, Any]:
    """Return every value and retention, ready for JSON."""
    study = results.study
    values: dict[str, Any] = {}
    for test, part, figure in results.measured():
        key = f"{test}|{part}|{figure}"
        rows: dict[str, Any] = {}
        for strategy in (START, *(s.name for s in study.strategies)):
            for size in study.sizes:
                if (found := results.estimate(strategy, size, key)) is None:
                    continue
                row = _plain(found)
                if strategy != START and figure != "multilingual.rank_distance":
                    row["retention_of_start"] = _plain(results.retention(strategy, size, key))
                    if part in {"all", "never"}:  # elsewhere the languages differ from size to size
                        row["retention_of_best"] = _plain(results.retention(strategy, size, key, of="best"))
                rows.setdefault(strategy, {})[named(size)] = row
        values.setdefault(test, {}).setdefault(part, {})[figure] = rows
    return {
        "strategies": [s.name for s in study.strategies],
        "sizes": [named(size) for size in study.sizes],
        "values": values,
    }


def named(size: int) -> str:
    """Return what a size is called in JSON."""
    return str(size or "all")


def _plain(found: Estimate | None) -> dict[str, Any]:
    return {} if found is None else {"value": found.value, "interval": found.ends, "seeds": found.seeds}
