"""``reproduce``: compute every figure of the documentation again and compare it with what is stated."""

from __future__ import annotations

import functools
import json
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal

from panglot._environment import versions
from panglot._errors import PanglotError
from panglot._files import digest, explain_write, file_digest, known_digest, write_json
from panglot._values import packaged
from panglot.datasets.catalog import CARDS
from panglot.datasets.registry import find, set_name, split_language
from panglot.encoders.bundled import SOURCE_SHA256
from panglot.report.evaluations import dig

#: Options whose value is a place to write to, which does not affect figures.
_TARGETS = ("--output", "--json", "--report")
#: Settings of a recipe, or of a form of a suite, that name data or models.
_SETTINGS = ("model", "on", "exclude", "dev", "suite", "lexicons")


def input_digest(words: Sequence[str], data_dir: Path | None) -> str:
    """Return the digest of everything that the figures of a command depend on, except the processor.

    It covers the words of the command without ``panglot``, the versions of Python and of the packages that affect
    figures, panglot's own files without the stated figures, the bundled model, and the contents of every data set,
    recipe, suite, file and folder that the command or one of its recipes and suites names.
    """
    named = [pair for pair in zip(("", *words), words, strict=False) if pair[0] not in _TARGETS]
    parts = [part for before, word in named for part in _contents(word, data_dir, before.removeprefix("--"))]
    return digest(*words, json.dumps(versions(), sort_keys=True), SOURCE_SHA256, source_digest(), *parts)


@functools.cache
def source_digest() -> str:
    """Return the digest of the package's files, without the file of stated figures."""
    root = Path(str(files("panglot")))
    found = (path for path in sorted(root.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    parts = [(path.relative_to(root).as_posix(), file_digest(path)) for path in found if path.name != "figures.toml"]
    return digest(*chain.from_iterable(parts))


def _contents(word: str, data_dir: Path | None, role: str) -> Iterator[str]:
    """Yield the names and digests of the files that a word refers to, if any. ``role`` is its option or setting."""
    if (head := set_name(word)) in CARDS:
        for card in (CARDS[head], *(CARDS[name] for name in CARDS[head].requires)):
            if card.folder and (folder := find(card, data_dir)) is not None:
                yield from _digests(folder)
        return
    path = _path(word, role)
    if path.suffix == ".toml" and path.is_file():
        yield from _digests(path)
        try:
            whole = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # the command reports it
            return
        forms = whole.get("forms")
        for table in (whole, *(forms.values() if isinstance(forms, dict) else ())):
            for name in _SETTINGS if isinstance(table, dict) else ():
                value = table.get(name, [])
                for each in value if isinstance(value, list) else [value]:
                    yield from _contents(str(each), data_dir, name)
    elif path.exists():
        yield from _digests(path)


def _path(word: str, role: str) -> Path:
    """Return the path that a word may mean. Recipes and suites of the package have bare names."""
    kind = "suite" if word.startswith("suite:") else role
    if kind in {"recipe", "suite"}:
        with suppress(PanglotError):  # the command reports an unknown name
            return packaged(word.removeprefix("suite:"), kind)
    return split_language(word)[0]


def _digests(path: Path) -> Iterator[str]:
    for file in sorted(p for p in (path.rglob("*") if path.is_dir() else [path]) if p.is_file()):
        yield from (file.name if file == path else file.relative_to(path).as_posix(), known_digest(file))


Verdict = Literal["ok", "drift", "fail", "skipped"]


@dataclass(frozen=True)
class StatedFigure:
    """A figure that the documentation states: its path in the command's JSON, with dots, and its value.

    A difference of up to the tolerance is ``ok``, and up to three times as much is ``drift``.
    """

    path: str
    value: float
    tolerance: float

    def verify(self, found: float) -> Verdict:
        """Return the verdict on a computed value.

        >>> figure = StatedFigure("mAP", 0.8, 0.004)
        >>> [figure.verify(found) for found in (0.803, 0.79, 0.7)]
        ['ok', 'drift', 'fail']
        """
        off = abs(found - self.value)
        return "ok" if off <= self.tolerance else "drift" if off <= 3 * self.tolerance else "fail"


@dataclass(frozen=True)
class DocumentedRun:
    """A command of the documentation, and the figures that it gives. A training that later runs need has none.

    The command is the words after ``panglot``, in which ``{runs}`` is the folder of trained models. It takes
    ``minutes`` on two cores with empty caches.
    """

    name: str
    command: str
    minutes: float
    figures: tuple[StatedFigure, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckedFigure:
    """A stated figure, its value computed again by a run, and why it failed or was skipped."""

    run: str
    figure: StatedFigure
    found: float | None
    verdict: Verdict
    why: str = ""


def documented_runs(file: Path | None = None) -> tuple[DocumentedRun, ...]:
    """Return the runs of a file of figures, by default of the one in the package."""
    text = file.read_text("utf-8") if file else files("panglot.study").joinpath("figures.toml").read_text("utf-8")
    try:
        return tuple(_run(values) for values in tomllib.loads(text)["run"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise PanglotError(f"this is not a file of figures: {error}", file=file,
                           hint="see src/panglot/study/figures.toml") from error  # fmt: skip


def reproduce(
    wanted: Sequence[DocumentedRun], folder: Path, *, data_dir: Path | None = None, minutes: float | None = None,
    only: Sequence[str] = (), progress: Callable[[str], None],
) -> Iterator[CheckedFigure]:  # fmt: skip
    """Run commands and yield their figures, compared with the documentation.

    A result is reused as long as its inputs (:func:`input_digest`) and those of the runs that it needs stay the same.
    Stated values and tolerances are not inputs. A model that was trained on other inputs is removed and trained again.

    In ``wanted``, a run comes after those that it needs. Runs that would exceed a total of ``minutes`` are skipped.
    With ``only``, those runs and what they need are run.
    """
    by_name = {run.name: run for run in wanted}
    if unknown := [name for name in only if name not in by_name]:
        raise PanglotError(f"there is no run {unknown[0]!r}", field="only", hint=f"choose among {', '.join(by_name)}")
    chosen = _with_needs(only or by_name, wanted)
    left, failed, keys = minutes, dict[str, str](), dict[str, str]()
    for run in wanted:
        if run.name not in chosen:
            continue
        broken = next((need for need in run.needs if need in failed), None)
        why = f"{broken} was not run" if broken else ""
        if not why and left is not None and run.minutes > left:
            why = f"it takes about {run.minutes:g} minutes"
        if why:
            failed[run.name] = why
            yield from (CheckedFigure(run.name, figure, None, "skipped", why) for figure in run.figures)
            continue
        if left is not None:
            left -= run.minutes
        progress(f"{run.name}: panglot {run.command} (about {run.minutes:g} minutes)")
        words = shlex.split(run.command)
        keys[run.name] = digest(input_digest(words, data_dir), *(keys[need] for need in run.needs))
        found, why = _execute(run, keys[run.name], folder, data_dir)
        if found is None:
            failed[run.name] = why
        yield from (_check(run, figure, found, why) for figure in run.figures)


def _check(run: DocumentedRun, figure: StatedFigure, found: Mapping[str, Any] | None, why: str) -> CheckedFigure:
    value = dig(found, *figure.path.split("."))
    if not isinstance(value, int | float):
        return CheckedFigure(run.name, figure, None, "fail", why or "the command does not give this figure")
    return CheckedFigure(run.name, figure, float(value), figure.verify(float(value)))


def _execute(run: DocumentedRun, key: str, folder: Path, data_dir: Path | None) -> tuple[Mapping[str, Any] | None, str]:
    """Return what a command wrote as JSON, or None and the reason."""
    kept = folder / f"{run.name}.json"
    before = _kept(kept)
    if before.get("key") == key and "found" in before:
        return before["found"], ""
    target = folder / f".{run.name}.part"
    words = [word.replace("{runs}", str(folder)) for word in shlex.split(run.command)]
    if before.get("key") != key:
        if before:  # otherwise the folder was not made by this command
            _clear(words, folder)
        write_json(kept, {"key": key})  # a killed run with this key can continue
    command = [sys.executable, "-m", "panglot.cli.main", *words]
    if run.figures:
        command += ["--json", str(target)]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode == 130:
        raise KeyboardInterrupt
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    found = json.loads(target.read_text("utf-8")) if run.figures else {}
    write_json(kept, {"key": key, "seconds": round(time.monotonic() - start), "found": found})
    target.unlink(missing_ok=True)
    return found, ""


def _kept(path: Path) -> dict[str, Any]:
    try:
        before = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return before if isinstance(before, dict) else {}


def _clear(words: Sequence[str], folder: Path) -> None:
    """Remove the model that a command trained in the folder from other inputs."""
    for before, word in pairwise(words):
        made = Path(word)
        if before == "--output" and made.is_dir() and made.resolve().parent == folder.resolve():
            with explain_write(made):
                shutil.rmtree(made)


def _run(values: Mapping[str, Any]) -> DocumentedRun:
    figures = tuple(
        StatedFigure(path, float(value), float(values["tolerance"][path.rpartition(".")[2]]))
        for path, value in values.get("figures", {}).items()
    )
    needs = tuple(values.get("needs", ()))
    return DocumentedRun(values["name"], values["command"], float(values["minutes"]), figures, needs)


def _with_needs(names: Iterable[str], runs: Sequence[DocumentedRun]) -> set[str]:
    found = set(names)
    # A run comes after those that it needs, so that backwards each is met before its needs.
    for run in reversed(runs):
        found.update(run.needs if run.name in found else ())
    return found
