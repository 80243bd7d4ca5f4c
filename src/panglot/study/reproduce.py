"""``reproduce``: every figure of the documentation, computed again and held against what is written."""

from __future__ import annotations

import functools
import json
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from panglot._environment import versions
from panglot._errors import PanglotError
from panglot._files import digest, explain_write, file_digest, write_json
from panglot.datasets.registry import CARDS, find
from panglot.encoders.bundled import SOURCE_SHA256
from panglot.encoders.cache import known_digest

#: Options whose value is where something goes, not what it is made of.
_TARGETS = ("--output", "--json", "--report")
#: Settings of a recipe that name data or models.
_SETTINGS = ("model", "on", "exclude", "dev", "lexicons")


def basis(words: Sequence[str], data_dir: Path | None) -> str:
    """Return the digest of what the figures of a command rest on, beside the processor.

    It is of the words; of the versions of Python and of the packages that figures depend on, torch among them; of
    panglot's own source and data, without what the documentation states; of the bundled model; and of the contents of
    every known data set, recipe, file and folder that the words or a recipe among them name.

    Args:
        words: The command, without ``panglot``.
        data_dir: Where the known sets lie.
    """
    named = [word for before, word in zip(("", *words), words, strict=False) if before not in _TARGETS]
    parts = [part for word in named for part in _contents(word, data_dir)]
    return digest(*words, json.dumps(versions(), sort_keys=True), SOURCE_SHA256, source(), *parts)


@functools.cache
def source() -> str:
    """Return the digest of the package's files; the file of stated figures does not count."""
    root = Path(str(files("panglot")))
    found = (path for path in sorted(root.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    parts = [(path.relative_to(root).as_posix(), file_digest(path)) for path in found if path.name != "figures.toml"]
    return digest(*(word for part in parts for word in part))


def _contents(word: str, data_dir: Path | None) -> Iterator[str]:
    """Yield the names and digests of the files that a word stands for; nothing for a word that is just a word."""
    head = word.partition("@")[0].partition(":")[0]
    if head in CARDS:
        for card in (CARDS[head], *(CARDS[name] for name in CARDS[head].requires)):
            folder = find(card, data_dir) if card.folder else None
            if folder is not None:
                yield from _digests(folder)
        return
    path = Path(word)
    if path.suffix == ".toml" and path.is_file():
        yield from _digests(path)
        try:
            recipe = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # the command will say so
            return
        for name in _SETTINGS:
            value = recipe.get(name, [])
            for each in value if isinstance(value, list) else [value]:
                yield from _contents(str(each), data_dir)
    elif path.exists():
        yield from _digests(path)


def _digests(path: Path) -> Iterator[str]:
    for file in sorted(p for p in (path.rglob("*") if path.is_dir() else [path]) if p.is_file()):
        yield from (file.name if file == path else file.relative_to(path).as_posix(), known_digest(file))


Verdict = Literal["ok", "drift", "fail", "left out"]


@dataclass(frozen=True)
class Figure:
    """A figure that the documentation states.

    Attributes:
        path: Where it stands in the command's JSON, with dots between the steps.
        value: What the documentation says.
        tolerance: How far off is still ``ok``; up to three times that is ``drift``.
    """

    path: str
    value: float
    tolerance: float

    def judge(self, found: float) -> Verdict:
        """Return the verdict on a value.

        >>> figure = Figure("mAP", 0.8, 0.004)
        >>> [figure.judge(found) for found in (0.803, 0.79, 0.7)]
        ['ok', 'drift', 'fail']
        """
        off = abs(found - self.value)
        return "ok" if off <= self.tolerance else "drift" if off <= 3 * self.tolerance else "fail"


@dataclass(frozen=True)
class Run:
    """A command and the figures that it gives.

    Attributes:
        name: What it is called.
        command: The words behind ``panglot``; ``{runs}`` stands for the folder of what is trained.
        minutes: What it takes on two cores, with nothing cached.
        figures: What it gives; empty for a training that later commands need.
        needs: Names of runs that come first.
    """

    name: str
    command: str
    minutes: float
    figures: tuple[Figure, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A figure, held against the documentation.

    Attributes:
        run: The run's name.
        figure: The figure.
        found: What came out, or None.
        verdict: The verdict.
        why: Why it failed or was left out.
    """

    run: str
    figure: Figure
    found: float | None
    verdict: Verdict
    why: str = ""


def runs(file: Path | None = None) -> tuple[Run, ...]:
    """Return the runs of a file of figures; by default, of the one that comes with the package.

    Raises:
        PanglotError: The file is broken.
    """
    text = file.read_text("utf-8") if file else files("panglot.study").joinpath("figures.toml").read_text("utf-8")
    try:
        return tuple(_run(values) for values in tomllib.loads(text)["run"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise PanglotError(
            f"no file of figures: {error}", file=file, hint="see src/panglot/study/figures.toml"
        ) from error


def reproduce(
    wanted: Sequence[Run],
    folder: Path,
    *,
    data_dir: Path | None = None,
    minutes: float | None = None,
    only: Sequence[str] = (),
    tell: Callable[[str], None],
) -> Iterator[Row]:
    """Run commands and yield a row for each of their figures; what was computed before is read again.

    A result is kept as long as what it rests on stays (:func:`panglot.study.reproduce.basis`) and so does what it
    needs.
    What the documentation states, and by how much it may be off, is no part of that. A model that was trained on
    another basis is removed and trained anew.

    Args:
        wanted: The runs, those that others need first.
        folder: Where results and trained models go.
        data_dir: Where the known sets lie.
        minutes: Leave out runs that would go beyond so many minutes in all.
        only: Names of runs, with what they need; empty: all.
        tell: Called with lines for people.

    Raises:
        PanglotError: ``only`` names what is not there.
    """
    by_name = {run.name: run for run in wanted}
    if unknown := [name for name in only if name not in by_name]:
        raise PanglotError(f"no run is called {unknown[0]!r}", field="only", hint=f"choose among {', '.join(by_name)}")
    chosen = _closed(only or list(by_name), by_name)
    left, failed, keys = minutes, dict[str, str](), dict[str, str]()
    for run in wanted:
        if run.name not in chosen:
            continue
        broken = next((need for need in run.needs if need in failed), None)
        why = f"{broken} was not run" if broken else ""
        if not why and left is not None and run.minutes > left:
            why = f"it takes some {run.minutes:g} minutes"
        if why:
            failed[run.name] = why
            yield from (Row(run.name, figure, None, "left out", why) for figure in run.figures)
            continue
        if left is not None:
            left -= run.minutes
        tell(f"{run.name}: panglot {run.command} (some {run.minutes:g} minutes)")
        words = shlex.split(run.command)
        keys[run.name] = digest(basis(words, data_dir), *(keys[need] for need in run.needs))
        found, why = _execute(run, keys[run.name], folder, data_dir)
        if found is None:
            failed[run.name] = why
        yield from (_judge(run, figure, found, why) for figure in run.figures)


def _judge(run: Run, figure: Figure, found: Mapping[str, Any] | None, why: str) -> Row:
    if found is None:
        return Row(run.name, figure, None, "fail", why)
    value: Any = found
    for step in figure.path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    if not isinstance(value, int | float):
        return Row(run.name, figure, None, "fail", "the command does not give it")
    return Row(run.name, figure, float(value), figure.judge(float(value)))


def _execute(run: Run, key: str, folder: Path, data_dir: Path | None) -> tuple[Mapping[str, Any] | None, str]:
    """Return what a command wrote as JSON, or None and why not."""
    kept = folder / f"{run.name}.json"
    before = _kept(kept)
    if before.get("key") == key and "found" in before:
        return before["found"], ""
    target = folder / f".{run.name}.part"
    words = [word.replace("{runs}", str(folder)) for word in shlex.split(run.command)]
    if before.get("key") != key:
        if before:  # else what lies there is not of this command's making
            _clear(words, folder)
        write_json(kept, {"key": key})  # begun: what a killed run of this key left is gone on with
    command = [sys.executable, "-m", "panglot.cli.main", *words]
    if run.figures:
        command += ["--json", str(target)]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    begin = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode == 130:
        raise KeyboardInterrupt
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return None, said[-1] if said else f"status {done.returncode}"
    found = json.loads(target.read_text("utf-8")) if run.figures else {}
    write_json(kept, {"key": key, "seconds": round(time.monotonic() - begin), "found": found})
    target.unlink(missing_ok=True)
    return found, ""


def _kept(path: Path) -> dict[str, Any]:
    try:
        before = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return before if isinstance(before, dict) else {}


def _clear(words: Sequence[str], folder: Path) -> None:
    """Remove what a command wrote to a place of its own in the folder, on another basis."""
    for before, word in pairwise(words):
        made = Path(word)
        if before == "--output" and made.is_dir() and made.resolve().parent == folder.resolve():
            with explain_write(made):
                shutil.rmtree(made)


def _run(values: Mapping[str, Any]) -> Run:
    figures = tuple(
        Figure(path, float(value), float(values["tolerance"][path.rpartition(".")[2]]))
        for path, value in values.get("figures", {}).items()
    )
    return Run(values["name"], values["command"], float(values["minutes"]), figures, tuple(values.get("needs", ())))


def _closed(names: Sequence[str], by_name: Mapping[str, Run]) -> set[str]:
    found, todo = set[str](), list(names)
    while todo:
        if (name := todo.pop()) not in found:
            found.add(name)
            todo.extend(by_name[name].needs)
    return found
