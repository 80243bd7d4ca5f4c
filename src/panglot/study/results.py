"""Turn the finished cells of a study into values with intervals, and retention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot.evaluation.bootstrap import Sums, draw, interval
from panglot.study.cell import cell_folder
from panglot.study.design import START, Cell, Study, Test
from panglot.training.settings import RENAMED

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
        ends: The 95 % interval over seeds and question groups, or None if nothing varies.
        seeds: The number of seeds.
    """

    value: float
    ends: tuple[float, float] | None
    seeds: int


@dataclass(frozen=True)
class SeedFigures:
    """A figure per seed.

    Attributes:
        values: Shape ``[seeds]``.
        draws: The figure on draws of question groups, shape ``[seeds, DRAWS]``. All cells have the same draws.
        groups: Number of question groups.
    """

    values: Doubles
    draws: Doubles
    groups: int


class Results:
    """The figures of a study's finished cells.

    Question groups are drawn with replacement, the same groups for all cells, and so are seeds, the same for all
    strategies. Differences are therefore paired.

    Args:
        study: The study.

    Raises:
        PanglotError: Cells were made with other settings than the study has, or with different test sets.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._cells = {cell: cell_folder(study, cell) for cell in study.cells() if cell_folder(study, cell).done}
        self._check()
        self._each: dict[tuple[str, int, str, tuple[int, ...]], SeedFigures | None] = {}

    @cached_property
    def about(self) -> dict[Cell, dict[str, Any]]:
        """What each finished cell wrote beside its sums."""
        return {cell: folder.read() for cell, folder in self._cells.items()}

    @cached_property
    def _sums(self) -> dict[Cell, dict[str, Sums]]:
        return {cell: _read(folder.path / "sums.npz") for cell, folder in self._cells.items()}

    def cells(self, strategy: str, size: int) -> list[Cell]:
        """Return the finished cells of a strategy at a size, by seed. The start has one cell for all sizes."""
        if strategy == START:
            return [cell for cell in self._cells if cell.strategy == START]
        return [cell for cell in self._cells if (cell.strategy, cell.size) == (strategy, size)]

    def sizes(self, strategy: str) -> list[int]:
        """Return the sizes at which a strategy has a finished cell, in ascending order."""
        return [size for size in self.study.sizes if self.cells(strategy, size)]

    def seeds(self, strategy: str, size: int) -> tuple[int, ...]:
        """Return the seeds of a strategy's finished cells."""
        return tuple(cell.seed for cell in self.cells(strategy, size))

    def each(self, strategy: str, size: int, key: str, seeds: tuple[int, ...] | None = None) -> SeedFigures | None:
        """Return a figure per seed, or None if no cell has it.

        Args:
            strategy: The strategy, or ``start``.
            size: Number of training languages. For the start, that of the cell that it is compared with.
            key: ``test|slice|figure``.
            seeds: Use these seeds only. By default, all that are finished.
        """
        test, part, figure = key.split("|")
        if strategy == START:
            seeds = None
            if part in {"seen", "unseen"}:
                key = f"{test}|{part}-{size}|{figure}"
        chosen = self.seeds(strategy, size) if seeds is None else seeds
        request = (strategy, size, key, chosen)
        if request not in self._each:
            cells = [cell for cell in self.cells(strategy, size) if cell.seed in chosen and key in self._sums[cell]]
            found = [self._sums[cell][key] for cell in cells]
            self._each[request] = _drawn(found) if found else None
        return self._each[request]

    def draws(self, strategy: str, size: int, key: str) -> tuple[float, Doubles, int] | None:
        """Return a figure's mean over seeds, its draws, shape ``[DRAWS]``, and the number of seeds, or None.

        The variance of resampled means of n seeds is (n − 1) / n times too small, so the draws are stretched.
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
                "the cells of this study were measured on different data",
                file=self.study.output / "cells",
                hint="remove the cells to run them again, or give the study another output",
            )
        for cell, about in self.about.items():
            if cell.strategy == START:
                continue
            wanted = {**self.study.train, **self.study.strategy(cell.strategy).settings}
            wanted.pop("learning_rate", None)
            # Recipes of earlier versions have the old names of settings.
            made = {RENAMED.get(name, name): value for name, value in about.get("recipe", {}).items()}
            if changed := sorted(name for name, value in wanted.items() if made.get(name, value) != value):
                raise PanglotError(
                    f"this cell has {changed[0]} {made.get(changed[0])!r}, and the study has {wanted[changed[0]]!r}",
                    file=self._cells[cell].path,
                    hint="remove the folder to run the cell again, or give the study another output",
                )

    def estimate(self, strategy: str, size: int, key: str) -> Estimate | None:
        """Return a figure with its interval, or None without a cell."""
        found = self.draws(strategy, size, key)
        return None if found is None else Estimate(found[0], interval(found[1]), found[2])

    def retention(self, strategy: str, size: int, key: str, *, of: str = START) -> Estimate | None:
        """Return a figure as a share of the start's, or with ``of="best"`` of the strategy's own at its best size."""
        own = self.draws(strategy, size, key)
        other = self._reference(strategy, size, key, of)
        if own is None or other is None or other[0] == 0:
            return None
        return Estimate(own[0] / other[0], interval(_ratio(own[1], other[1])), own[2])

    def measured(self) -> list[tuple[str, str, str]]:
        """Return (test, slice, figure) for everything that a cell has and the study wants to report."""
        every = {key for sums in self._sums.values() for key in sums}
        return [
            (test.on, part, figure)
            for test in self.study.tests
            for part in ("all", "seen", "unseen", "never")
            for figure in FIGURES
            if f"{test.on}|{part}|{figure}" in every and self._is_reported(test, figure.partition(".")[0])
        ]

    def _is_reported(self, test: Test, setting: str) -> bool:
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


def _drawn(found: Sequence[Sums]) -> SeedFigures:
    # All seeds in one call, which counts the groups of a draw once.
    drawn = draw({str(place): sums for place, sums in enumerate(found)}, DRAWS, 0)
    return SeedFigures(np.array([sums.mean() for sums in found]), np.stack(list(drawn.values())), len(found[0].total))


def _ratio(one: Doubles, other: Doubles) -> Doubles:
    """Return the ratio of each draw, or NaN if its reference is 0."""
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
                row = _to_json(found)
                if strategy != START and figure != "multilingual.rank_distance":
                    row["retention_of_start"] = _to_json(results.retention(strategy, size, key))
                    if part in {"all", "never"}:  # elsewhere the languages differ from size to size
                        row["retention_of_best"] = _to_json(results.retention(strategy, size, key, of="best"))
                rows.setdefault(strategy, {})[size_key(size)] = row
        values.setdefault(test, {}).setdefault(part, {})[figure] = rows
    return {
        "strategies": [s.name for s in study.strategies],
        "sizes": [size_key(size) for size in study.sizes],
        "values": values,
    }


def size_key(size: int) -> str:
    """Return the key of a size in JSON."""
    return str(size or "all")


def _to_json(found: Estimate | None) -> dict[str, Any]:
    return {} if found is None else {"value": found.value, "interval": found.ends, "seeds": found.seeds}
