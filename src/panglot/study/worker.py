"""A worker takes the cells of a study that no other worker has, one after the other, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from panglot._errors import PanglotError
from panglot.evaluation.figures import SETTINGS
from panglot.study.cell import cell_folder, check, fail, run_cell
from panglot.study.data import prepare
from panglot.study.design import EACH, START, Cell, Study

#: Exit status of a cell that another worker runs.
_TAKEN = 75
_REFUSED = 2
_INTERRUPTED = (130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)


@dataclass(frozen=True)
class Status:
    """How far a study is: cells that are measured, that failed, that other workers run, and that nobody runs yet."""

    done: tuple[Cell, ...]
    failed: tuple[Cell, ...]
    elsewhere: tuple[Cell, ...]
    missing: tuple[Cell, ...]

    def __str__(self) -> str:
        """Return the counts in one line."""
        counts = {"done": self.done, "failed": self.failed, "with other workers": self.elsewhere, "to do": self.missing}
        return ", ".join(f"{len(cells)} {name}" for name, cells in counts.items() if cells)


def status_of(study: Study) -> Status:
    """Return how far a study is."""
    kinds: dict[str, list[Cell]] = {"done": [], "failed": [], "elsewhere": [], "missing": []}
    for cell in (*study.trials(), *study.cells()):
        folder = cell_folder(study, cell)
        # A failed cell that a worker runs again still has the file of its failure.
        kind = "done" if folder.done else "elsewhere" if folder.taken else "failed" if folder.failed else "missing"
        kinds[kind].append(cell)
    return Status(**{kind: tuple(cells) for kind, cells in kinds.items()})


def work(
    study: Study, data_dir: Path | None, *, again: bool = False, only: Sequence[str] = (),
    progress: Callable[[str], None],
) -> Status:  # fmt: skip
    """Run every cell that is not done and that no other worker runs, first those that choose learning rates.

    Any number of workers may run at once, and each may be killed at any moment. The same call continues from there.
    A cell that fails is recorded and skipped, and with ``again`` it is run again. ``only`` names strategies, and
    without any, all are run. By Ctrl-C, the running cell saves its state and KeyboardInterrupt is raised.
    """
    names = [strategy.name for strategy in study.strategies]
    if unknown := [name for name in only if name not in names]:
        raise PanglotError(f"there is no strategy {unknown[0]!r}", file=study.file, field="only",
                           hint=f"choose among {', '.join(names)}")  # fmt: skip
    data = prepare(study, data_dir)
    tried = set[Cell]()
    for cells, waits in ((study.trials(), True), (study.cells(), False)):
        chosen = [cell for cell in cells if not only or cell.strategy in {*only, START}]
        while todo := [cell for cell in chosen if _is_open(study, cell, tried, again=again)]:
            cell = next((cell for cell in todo if not cell_folder(study, cell).taken), None)
            if cell is None:
                if not waits:
                    break
                # Learning rates depend on all trials, so the cells wait for those of other workers.
                time.sleep(2)
                continue
            progress(f"{chosen.index(cell) + 1} of {len(chosen)}: {cell.name}")
            status, output = _start(study, cell, data_dir)
            if status == _TAKEN:
                continue
            tried.add(cell)
            if status not in (0, _REFUSED):  # a cell that refuses its settings or data has recorded that itself
                fail(study, cell, status, output)
            if status:
                progress(f"{cell.name} failed: {(output.strip().splitlines() or [f'status {status}'])[-1]}")
        for cell in chosen:
            if cell_folder(study, cell).done:
                check(study, cell, data, _rate(study, cell))
    return status_of(study)


def _is_open(study: Study, cell: Cell, tried: set[Cell], *, again: bool) -> bool:
    folder = cell_folder(study, cell)
    return not folder.done and cell not in tried and (again or not folder.failed)


def _rate(study: Study, cell: Cell) -> float | None:
    return None if cell.strategy == START or cell.rate is not None else best_rate(study, cell.strategy, cell.size)


def run_named(study: Study, name: str, data_dir: Path | None, progress: Callable[[str], None]) -> int:
    """Run one cell in this process and return its exit status."""
    by_name = {cell.name: cell for cell in (*study.trials(), *study.cells())}
    if name not in by_name:
        raise PanglotError(f"there is no cell {name!r}", file=study.file, hint=f"choose among {', '.join(by_name)}")
    cell, data = by_name[name], prepare(study, data_dir)
    ran = run_cell(study, cell, data, _rate(study, cell), data_dir=data_dir, progress=progress)
    return 0 if ran else _TAKEN


def _start(study: Study, cell: Cell, data_dir: Path | None) -> tuple[int, str]:
    """Run a cell in a process of its own, and return its status and the end of its standard error.

    Its standard error is also passed on line by line. If the cell is interrupted, so is this process.
    """
    command = [sys.executable, "-m", "panglot.cli.main", "study", "run", str(study.file), "--cell", cell.name]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    output: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:  # noqa: S603
        assert process.stderr is not None
        try:
            for line in process.stderr:
                sys.stderr.write(f"  {line}")
                output = [*output[-20:], line]
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    if process.returncode in _INTERRUPTED:
        raise KeyboardInterrupt
    return process.returncode, "".join(output)


def best_rate(study: Study, strategy: str, size: int) -> float | None:
    """Return the learning rate of a strategy at a number of languages, or None if the study has no rates.

    A trial that is not done yet is an error, and so are trials that all failed.
    """
    if study.rates is None:
        return None
    if len(study.rates.grid) == 1:
        return study.rates.grid[0]
    name = study.strategy(strategy).rates_of or strategy
    trials = [cell for cell in study.trials() if cell.strategy == name]
    if study.rates.size == EACH:
        trials = [cell for cell in trials if cell.size == size]
    scores: dict[float, list[float]] = {}
    for cell in trials:
        folder = cell_folder(study, cell)
        if not (folder.done or folder.failed):
            raise PanglotError(f"{cell.name} is not done yet", file=study.file, field="rates",
                               hint="run the study first")  # fmt: skip
        # A rate is chosen among those whose trials did not fail.
        if folder.done and cell.rate is not None:
            dev = folder.read()["training"]["dev"]
            values = [value for setting in SETTINGS if (value := dev.get(setting)) is not None]
            scores.setdefault(cell.rate, []).append(float(np.mean(values)))
    if not scores:
        raise PanglotError(f"all trials of {strategy} failed", file=study.file, field="rates",
                           hint="see failed.json in their folders, or name a single rate")  # fmt: skip
    return choose_rate(scores)


def rates_of(study: Study) -> dict[str, float | None]:
    """Return the learning rate of each strategy, and of each size if they differ, None before its trials are done."""
    found: dict[str, float | None] = {}
    each = study.rates is not None and study.rates.size == EACH
    for strategy in study.strategies:
        for size in filter(strategy.allows, study.sizes) if each else study.sizes[-1:]:
            name = f"{strategy.name} ({size_name(size)})" if each else strategy.name
            try:
                found[name] = best_rate(study, strategy.name, size)
            except PanglotError:  # its trials are not done yet
                found[name] = None
    return found


def size_name(size: int) -> str:
    """Return a number of training languages in words.

    >>> size_name(1), size_name(4), size_name(0)
    ('1 language', '4 languages', 'all languages')
    """
    return "all languages" if size == 0 else f"{size} language{'s' if size > 1 else ''}"


def choose_rate(scores: Mapping[float, Sequence[float]]) -> float:
    """Return the smallest learning rate whose mean score is within one standard error of the best mean.

    The standard error is that of a mean over seeds, from the variance within learning rates, pooled over the grid. With
    one seed it is 0. ``scores`` are those of each learning rate, one per seed.

    >>> choose_rate({1e-5: [0.70, 0.72], 2e-5: [0.71, 0.73], 5e-5: [0.60, 0.62]})
    1e-05
    >>> choose_rate({1e-5: [0.70], 2e-5: [0.71], 5e-5: [0.71]})
    2e-05
    """
    squares = sum(float(np.var(values)) * len(values) for values in scores.values())
    freedom = sum(len(values) - 1 for values in scores.values())
    means = {rate: float(np.mean(values)) for rate, values in scores.items()}
    best = max(means, key=lambda rate: means[rate])
    error = (squares / freedom / len(scores[best])) ** 0.5 if freedom else 0.0
    return min(rate for rate, value in means.items() if value >= means[best] - error)
