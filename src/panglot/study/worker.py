"""A worker: takes the cells of a study that nobody has, one after the other, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from panglot._errors import PanglotError
from panglot.study.cell import best_rate, check, fail, place, run
from panglot.study.claim import claimed
from panglot.study.design import START, Cell, Study
from panglot.study.material import prepare

TAKEN = 75
"""Exit status of a cell that another worker has."""
_REFUSED = 2
_INTERRUPTED = (130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)


@dataclass(frozen=True)
class Tally:
    """Where a study stands.

    Attributes:
        done: Cells that are measured.
        failed: Cells that failed.
        elsewhere: Cells that other workers have.
        missing: Cells that nobody has taken.
    """

    done: tuple[Cell, ...]
    failed: tuple[Cell, ...]
    elsewhere: tuple[Cell, ...]
    missing: tuple[Cell, ...]

    def __str__(self) -> str:
        """Return a line for people."""
        counts = {"done": self.done, "failed": self.failed, "with other workers": self.elsewhere, "to do": self.missing}
        return ", ".join(f"{len(cells)} {name}" for name, cells in counts.items() if cells)


def tally(study: Study) -> Tally:
    """Return where a study stands."""
    kinds: dict[str, list[Cell]] = {"done": [], "failed": [], "elsewhere": [], "missing": []}
    for cell in (*study.trials(), *study.cells()):
        lies = place(study, cell)
        kind = "done" if lies.done else "elsewhere" if claimed(lies.folder) else "failed" if lies.failed else "missing"
        kinds[kind].append(cell)
    return Tally(*(tuple(cells) for cells in kinds.values()))


def work(
    study: Study, data_dir: Path | None, *, again: bool = False, only: Sequence[str] = (), tell: Callable[[str], None]
) -> Tally:
    """Run every cell that is not done and that no other worker has; learning rates are chosen first.

    Any number of workers may do so at once, and each may be killed at any moment: the same call goes on from there. A
    cell that fails is written down and passed over.

    Args:
        study: The study.
        data_dir: Where the known sets lie.
        again: Whether failed cells are tried again.
        only: Strategies to run; empty: all.
        tell: Called with lines for people.

    Raises:
        PanglotError: Data are not at hand.
        KeyboardInterrupt: By Ctrl-C; the cell at hand has saved its state.
    """
    if unknown := [name for name in only if name not in {s.name for s in study.strategies}]:
        raise PanglotError(f"no strategy is called {unknown[0]!r}", file=study.file, field="only",
                           hint=f"choose among {', '.join(s.name for s in study.strategies)}")  # fmt: skip
    material = prepare(study, data_dir)
    tried = set[Cell]()
    for cells, waits in ((study.trials(), True), (study.cells(), False)):
        chosen = [cell for cell in cells if not only or cell.strategy in {*only, START}]
        while todo := [cell for cell in chosen if _open(study, cell, tried, again=again)]:
            mine = [cell for cell in todo if not claimed(place(study, cell).folder)]
            if not mine and not waits:
                break
            if not mine:
                # Rates are chosen by all trials, so the cells wait for those of other workers.
                time.sleep(2)
                continue
            cell = mine[0]
            tell(f"{chosen.index(cell) + 1} of {len(chosen)}: {cell.name}")
            status, told = _start(study, cell, data_dir)
            if status != TAKEN:
                tried.add(cell)
            if status not in (0, TAKEN):
                if status != _REFUSED:  # it wrote that down itself
                    fail(study, cell, status, told)
                tell(f"{cell.name} failed: {told.strip().splitlines()[-1] if told.strip() else f'status {status}'}")
        for cell in chosen:
            if place(study, cell).done:
                check(study, cell, material, _rate(study, cell))
    return tally(study)


def _open(study: Study, cell: Cell, tried: set[Cell], *, again: bool) -> bool:
    lies = place(study, cell)
    return not lies.done and cell not in tried and (again or not lies.failed)


def _rate(study: Study, cell: Cell) -> float | None:
    return None if cell.strategy == START or cell.rate is not None else best_rate(study, cell.strategy, cell.size)


def run_cell(study: Study, name: str, data_dir: Path | None, tell: Callable[[str], None]) -> int:
    """Run one cell in this process; return its exit status.

    Raises:
        PanglotError: There is no such cell, or what :func:`panglot.study.cell.run` raises.
    """
    by_name = {cell.name: cell for cell in (*study.trials(), *study.cells())}
    if name not in by_name:
        raise PanglotError(f"no cell is called {name!r}", file=study.file, hint=f"choose among {', '.join(by_name)}")
    cell = by_name[name]
    material = prepare(study, data_dir)
    return 0 if run(study, cell, material, _rate(study, cell), data_dir=data_dir, tell=tell) else TAKEN


def _start(study: Study, cell: Cell, data_dir: Path | None) -> tuple[int, str]:
    """Run a cell in a process of its own; return its status and the end of what it said on standard error.

    What it says is passed on line by line. An interrupted cell ends this process too.
    """
    command = [sys.executable, "-m", "panglot.cli.main", "study", str(study.file), "--cell", cell.name]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    said: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:  # noqa: S603
        assert process.stderr is not None
        try:
            for line in process.stderr:
                sys.stderr.write(f"  {line}")
                said = [*said[-20:], line]
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    if process.returncode in _INTERRUPTED:
        raise KeyboardInterrupt
    return process.returncode, "".join(said)
