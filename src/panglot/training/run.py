"""The run folder: which recipe, data and versions belong to it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._environment import machine, versions
from panglot._errors import PanglotError
from panglot._files import explain_write, write_json, write_text
from panglot.corpus.sieve import keep_aside

if TYPE_CHECKING:
    from panglot.training.data import TrainingData
    from panglot.training.settings import Settings


class Run:
    """The folder of one run.

    ``recipe.toml`` is what it was started with, ``run.json`` what it was made of, ``log.jsonl`` what happened,
    ``checkpoints/`` what it needs to go on; ``modules.json`` and the rest of a sentence-transformers folder come last.

    Args:
        settings: The recipe; its ``output`` is the folder.

    Attributes:
        settings: The recipe, as the run in the folder was begun (:func:`as_begun`).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = as_begun(settings)
        self.folder = settings.output
        self.checkpoints = self.folder / "checkpoints"

    @property
    def compared(self) -> frozenset[str] | None:
        """The test sets that the training sets were compared with when the run began; None: it begins now."""
        path = self.folder / "run.json"
        return frozenset(_json(path).get("compared", ())) if path.exists() else None

    def finished(self) -> bool:
        """Whether this very recipe has already been trained to its end here.

        Raises:
            PanglotError: The folder belongs to another recipe, or to something else.
        """
        self._check()
        return (self.folder / "modules.json").exists()

    def begin(self, data: TrainingData, processes: int) -> None:
        """Write down what the run is made of, or check that it still is.

        Raises:
            PanglotError: The training data have changed, or the folder cannot be written.
        """
        path = self.folder / "run.json"
        if path.exists():
            before = _json(path)["data"]
            if changed := sorted(name for name, now in data.digests.items() if before.get(name) != now):
                raise PanglotError(
                    f"{', '.join(changed)} changed since the run began",
                    file=self.folder,
                    cure="put the data back, or choose another output",
                )
            return
        with explain_write(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "recipe.toml", self.settings.to_toml())
        for name, lines in data.broken.items():
            keep_aside(lines, self.folder / f"{Path(name).name}.broken.jsonl")
        write_json(
            path,
            {
                "settings": self.settings.essence(),
                "data": data.digests,
                "compared": data.compared,
                "left_out": data.left_out,
                "rows": {source.name: source.rows for source in data.sources},
                "processes": processes,
                "versions": versions(),
                "machine": machine(),
            },
        )

    def _check(self) -> None:
        path = self.folder / "run.json"
        if not path.exists():
            if self.folder.is_dir() and any(p.name != "recipe.toml" for p in self.folder.iterdir()):
                raise PanglotError("not a run folder, and not empty", file=self.folder, cure="choose another output")
            if self.folder.exists() and not self.folder.is_dir():
                raise PanglotError("is a file", file=self.folder, cure="choose another output")
            return
        before, now = type(self.settings).completed(_json(path)["settings"]), self.settings.essence()
        changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        if changed:
            what = ", ".join(f"{name} {before.get(name)!r} there and {now.get(name)!r} now" for name in changed)
            raise PanglotError(
                f"the folder holds a run of another recipe ({what})",
                file=self.folder,
                cure="choose another output, or remove the folder",
            )


def as_begun(settings: Settings) -> Settings:
    """Return the settings, with nothing left out where the run was begun when that was the default.

    Such a run goes on with the rows that it had.
    """
    path = settings.output / "run.json"
    if settings.leave_out != type(settings).leave_out or not path.exists():
        return settings
    before = _json(path)
    # Newer runs say what was left out, even if it was nothing.
    if "left_out" in before or before["settings"].get("leave_out"):
        return settings
    return dataclasses.replace(settings, leave_out=())


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise PanglotError(f"not readable: {error}", file=path, cure="choose another output") from error
