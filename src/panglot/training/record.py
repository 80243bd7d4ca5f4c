"""The record of a run: its log, progress on standard error, and the card of its model."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from panglot._environment import machine, require, versions
from panglot._files import shareable, write_text
from panglot.augment.codeswitch import Switched, total
from panglot.augment.lexicons import KNOWN
from panglot.data.letters import lines_of
from panglot.encoders.model_folders import metadata, origin_of
from panglot.training.data import TrainingData, describe_nearest
from panglot.training.run import Progress
from panglot.training.settings import Settings

if TYPE_CHECKING:
    from panglot.batching.table import TrainingTable
    from panglot.training.gradient import StepResult

# How much of the earlier loss the shown one keeps per step. Losses of single batches jump too much to be read.
_SMOOTHING = 0.9
# Without a terminal, a line is written after this many seconds.
_QUIET_SECONDS = 20.0
# Steps after which objectives are compared, and the share of the largest gradient below which one hardly counts.
_STEPS, _SMALL = 20, 0.1
# Kinds of batches whose rows all have one pair of languages, so that the log can name it.
_ONE_PAIR = ("mono", "english", "cross-pair")
# More objectives than this are shown as one loss.
_SHOWN = 4


def step_values(result: StepResult, settings: Settings, sources: Sequence[TrainingTable]) -> dict[str, Any]:
    """Return what the log says of the batches of a step: losses, kinds, sources and languages."""
    met: dict[str, set[str]] = {}
    for batch in result.batches:
        codes = sources[batch.source].languages
        numbers = {i for side in (batch.question_languages, batch.passage_languages) for i in set(side)}
        met.setdefault(batch.kind, set()).update(codes[i] for i in numbers)
    first = result.batches[0]
    codes = sources[first.source].languages
    languages = sorted(set[str]().union(*met.values()))
    if settings.mixing == "none" and first.kind in _ONE_PAIR:
        languages = [codes[first.question_languages[0]], codes[first.passage_languages[0]]]
    return {
        "loss": result.loss,
        "kind": first.kind if settings.mixing == "none" else settings.mixing,
        "source": " + ".join(sorted({sources[batch.source].name for batch in result.batches})),
        "languages": languages,
        "met": {kind: sorted(codes) for kind, codes in met.items()},
        **result.metrics,
    }


class Log:
    """Writes ``log.jsonl``, TensorBoard events if asked for, and progress on standard error if ``show`` is set.

    Lines beyond ``step`` are dropped first, so that a resumed run has no line twice.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool, show: bool) -> None:
        path = folder / "log.jsonl"
        lines = lines_of(path.read_text("utf-8")) if path.exists() else []
        earlier = [line for line in lines if _step(line) <= step]
        self._resumed = bool(earlier)
        write_text(path, "".join(f"{line}\n" for line in earlier))
        self._file = path.open("a", encoding="utf-8")
        self._events: Any = None
        if tensorboard:
            require("the log for TensorBoard", "tensorboard", extra="tensorboard", field="tensorboard")
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        self._screen = _Screen() if show else None
        self._noted: set[str] = set()
        self._added: dict[str, list[float]] = {}
        self._compared = False

    def write(self, step: int, values: Mapping[str, Any], progress: float) -> None:
        """Record a step's values; ``progress`` is the used share of the budget."""
        small = self._small_objectives(values)
        self._write({"step": step, **values, **({"small_objectives": small} if small else {})})
        if self._events is not None:
            for name, value in _scalars(values):
                self._events.add_scalar(name, value, step)
        if self._screen is not None:
            self._screen.show(step, values, progress)
            for name, what in (("fallback", f"{values.get('kind')} in step"), ("gradcache", "GradCache in step")):
                if name in values and name not in self._noted:
                    sys.stderr.write(f"note: {what} {step}: {values[name]}. See log.jsonl\n")
                    self._noted.add(name)
            for name, share in small.items():
                hint = f"With mixing weighted, {1 / share:.2g} times its weight would make them equal"
                sys.stderr.write(f"note: {name} adds {share:.1%} of what the largest gradient adds. {hint}\n")

    def note(self, values: Mapping[str, Any]) -> None:
        """Record what is true for the whole run, as step 0. A resumed run already has that line."""
        if not self._resumed:
            self._write({"step": 0, **values})

    def _small_objectives(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return once, after some steps, the objectives that hardly count, with their share of the largest gradient."""
        if self._compared or values.get("kind") not in ("mean", "sum", "weighted"):
            return {}
        for objective in values.get("objectives", ()):
            if "norm" in objective:
                self._added.setdefault(objective["name"], []).append(objective["norm"] * objective["weight"])
        if min(map(len, self._added.values()), default=0) < _STEPS:
            return {}
        self._compared = True
        means = {name: sum(each) / len(each) for name, each in self._added.items()}
        largest = max(means.values())
        return {name: mean / largest for name, mean in means.items() if 0 < mean < _SMALL * largest}

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in (self._file, self._events, self._screen):
            if each is not None:
                each.close()


class _Screen:
    """Progress on standard error: a bar on a terminal, else a line from time to time."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._losses: dict[str, float] = {}
        self._last = time.monotonic()
        self._bar = None
        if console.is_terminal:
            columns = TextColumn("training"), BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn()
            self._bar = Progress(*columns, console=console)
            self._bar.start()
            self._task = self._bar.add_task("", total=1.0, text="")

    def show(self, step: int, values: Mapping[str, Any], progress: float) -> None:
        if "loss" in values:
            pair = "-".join(values["languages"]) if len(values["languages"]) <= 2 else "many"
            for name, loss in _losses(values):
                self._losses[name] = _SMOOTHING * self._losses.get(name, loss) + (1 - _SMOOTHING) * loss
            kinds = "  ".join(f"{kind} {loss:.3f}" for kind, loss in self._losses.items())
            text = f"step {step}  loss {kinds}  ({pair})  {values['pairs_per_second']:.1f} pairs/s"
            if "conflicts" in values:
                text += f"  cosine {values['cosine']:.2f}, {values['conflicts']:.0%} conflict"
        else:
            text = f"step {step}  dev " + "  ".join(f"{k} {v:.4f}" for k, v in values["dev"].items() if v is not None)
        if self._bar is not None:
            self._bar.update(self._task, completed=progress, text=text)
        elif time.monotonic() - self._last >= _QUIET_SECONDS or "dev" in values or progress >= 1:
            self._last = time.monotonic()
            sys.stderr.write(f"{progress:4.0%}  {text}\n")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):  # A killed process can leave half a line.
        return float("inf")


def _losses(values: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the losses to show: one per objective if there are few, otherwise that of the step."""
    objectives = values.get("objectives", ())
    if 0 < len(objectives) <= _SHOWN:
        return [(objective["name"], objective["loss"]) for objective in objectives]
    return [(values["kind"], values["loss"])]


def _scalars(values: Mapping[str, Any]) -> list[tuple[str, float]]:
    found = [(name, float(value)) for name, value in values.items() if isinstance(value, int | float)]
    if "loss" in values:
        found.append((f"loss/{values['kind']}/{'-'.join(values['languages'][:2])}", values["loss"]))
    for objective in values.get("objectives", ()):
        found += [(f"objective/{key}/{objective['name']}", objective[key]) for key in ("loss", "weight")]
    return found + [(f"dev/{name}", value) for name, value in values.get("dev", {}).items() if value is not None]


def model_card(base: Path, settings: Settings, data: TrainingData, progress: Progress, share: float) -> str:
    """Return the model card: data, settings, figures and versions, with metadata as the hub reads them.

    ``base`` is the folder of the model that the run started from, and ``share`` that of the trained weights in the
    saved ones.
    """
    sets = "".join(
        f"| {c.name} | {c.metadata.get('licence', 'not stated')} | {rows.rows:,} | {', '.join(rows.languages)} |\n"
        for c, rows in zip(data.collections, data.sources, strict=True)
    )
    batches = f"`{settings.batches}` batches"
    if settings.mixing != "none":
        objectives = ", ".join(f"`{name}`" for name in settings.objectives)
        batches = f"the gradients of {objectives} mixed by `{settings.mixing}`"
    best = ""
    if share < 1 or settings.suite:
        chosen = f", which did best on the suite `{shareable(settings.suite)}`" if settings.suite else ""
        best = f" The saved weights are {share:g} of the trained ones and {1 - share:g} of the start{chosen}."
    if data.dev is not None and progress.best is not None:
        weights = "saved" if share == 1 else "trained"
        best += f" On the dev collection `{data.dev.name}` the {weights} weights (step {progress.best_step}) have a"
        best += f" mean mAP over settings of {progress.best:.4f}"
        best += "." if share == 1 else ", measured before they were averaged with the start."
    notes = "".join(f"{paragraph}\n\n" for paragraph in (*_left_out(data), *_code_switching(settings, data)))
    origin = origin_of(settings.model, base)
    results = [] if share < 1 else _dev_results(settings.output / "log.jsonl", data, progress)
    languages = sorted({language for collection in data.collections for language in collection.languages})
    sources = [(each.name, each.metadata) for each in data.collections]
    header = metadata(settings.output.name, origin, languages, sources, results)
    start = shareable(settings.model)
    return f"""---
{header}
---

# {settings.output.name}

A multilingual retrieval model, trained by [panglot](https://github.com/panglot/panglot) from \
`{start}` with {batches}: {progress.pairs:,} pairs in {progress.step:,} steps, \
{progress.seconds:,.0f} seconds.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{settings.output.name}")  # the path of this folder
questions = model.encode_query(["Where does the river end?"])
passages = model.encode_document(["The river flows into the Black Sea."])
similarity = model.similarity(questions, passages)
```

## Training data

| set | licence | rows | languages |
|---|---|---|---|
{sets}
{notes}The licence of the model that training started from: {origin.licence or "not stated"}.

## Figures

No test set was used during training.{best} Measure the model in three settings with \
`panglot evaluate {settings.output.name} DATASET`.

## Recipe

```toml
{settings.to_toml(share=True).rstrip()}
```

Versions: {", ".join(f"{name} {version}" for name, version in versions().items())}.
Machine: {", ".join(f"{name} {value}" for name, value in machine().items())}.
"""


def _left_out(data: TrainingData) -> list[str]:
    """Return paragraphs on the test sets that the data were compared with, and on what was left out for them."""
    if not data.overlaps:
        return ["The training sets were compared with no test set."]
    tests = ", ".join(sorted({each.test for each in data.overlaps}))
    rows = [f"| {each.training} | {each.test} | {each.equal:,} | {each.near:,} | {each.groups:,} |"
            for each in data.overlaps if each.groups]  # fmt: skip
    head = ["| set | kept apart | equal texts | near texts | groups |", "|---|---|---|---|---|"]
    table = ["Left out with all translations because such a set has them:", "\n".join([*head, *rows])] if rows else []
    nearest = [f"What is left of {each.training} shares most with {each.test} in {words}."
               for each in data.overlaps if (words := describe_nearest(each))]  # fmt: skip
    return [
        f"Compared with {tests}, on which nothing is trained{'' if rows else ' and which share no text with them'}.",
        *table,
        *nearest,
    ]


def _code_switching(settings: Settings, data: TrainingData) -> list[str]:
    """Return paragraphs on the languages that English words were replaced by, and on how many words were."""
    if data.switching is None:
        return []
    lexicon, switched = data.switching.lexicon, total_switched(settings.output / "log.jsonl")
    names = ", ".join(f"{name} ({KNOWN.get(name, 'licence not stated')})" for name in lexicon.names)
    words = max(switched.words, 1)
    summary = (
        f"Code-switching (2305.05295), {settings.code_switch}, p = {settings.code_switch_share}, into"
        f" {len(lexicon.languages)} languages by the lexicons {names}: {sum(switched.replaced.values()) / words:.1%} of"
        f" {switched.words:,} English words were replaced, and {switched.covered / words:.1%} had a translation."
    )
    if lexicon.missing:
        summary += f" No lexicon has {', '.join(lexicon.missing)}."
    shares = sorted(switched.replaced.items(), key=lambda entry: (-entry[1], entry[0]))
    by_language = ", ".join(f"{language} {count / words:.2%}" for language, count in shares)
    return [summary, *([f"By language: {by_language}."] if by_language else [])]


def _dev_results(log: Path, data: TrainingData, progress: Progress) -> list[tuple[str, str, float]]:
    """Return data set, measure and value of each figure of the saved weights on the dev collection."""
    if data.dev is None or progress.best is None:
        return []
    lines = map(json.loads, lines_of(log.read_text("utf-8")))
    figures = [line["dev"] for line in lines if line["step"] == progress.best_step and "dev" in line]
    return [
        (data.dev.name, f"{name} mAP", float(value))
        for name, value in (figures[-1] if figures else {}).items()
        if name.endswith("lingual")
    ]


def total_switched(log: Path) -> Switched:
    """Return the sums over the steps of a run's ``log.jsonl``."""
    lines = lines_of(log.read_text("utf-8")) if log.exists() else ()
    steps = (json.loads(line).get("switched") for line in lines)
    return total(Switched("", **numbers) for numbers in steps if numbers)
