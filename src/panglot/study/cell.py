"""One cell: train, measure, keep what tables and tests need."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from panglot._errors import PanglotError
from panglot._files import atomic_file, digest, write_json
from panglot.batching.policy import is_english
from panglot.data.collection import Collection
from panglot.evaluation.bootstrap import Sums
from panglot.evaluation.evaluate import Evaluation, evaluate
from panglot.evaluation.per_question import PerQuestion
from panglot.study.claim import claim
from panglot.study.design import EACH, START, Cell, Study
from panglot.study.material import Material
from panglot.training.settings import RENAMED

#: The figures whose sums over question groups are kept.
KEPT = (
    "monolingual.mAP", "crosslingual.mAP", "multilingual.mAP", "multilingual.rank_distance",
    "monolingual.R@1", "crosslingual.R@1", "multilingual.R@10", "multilingual.self_preference@10",
)  # fmt: skip
_LEFT = ("log.jsonl", "recipe.toml", "run.json")


@dataclass(frozen=True)
class Place:
    """Where a cell lies: ``run/`` while it trains, then ``cell.json``, ``sums.npz``; ``failed.json`` if it failed."""

    folder: Path

    @property
    def done(self) -> bool:
        """Whether its figures are there."""
        return (self.folder / "cell.json").exists()

    @property
    def failed(self) -> bool:
        """Whether it failed, and nothing was said about trying again."""
        return (self.folder / "failed.json").exists()


def place(study: Study, cell: Cell) -> Place:
    """Return where a cell lies."""
    return Place(study.output / "cells" / cell.name)


def settings(study: Study, cell: Cell, material: Material, rate: float | None) -> dict[str, Any]:
    """Return the recipe of a cell."""
    chosen = cell.rate if cell.rate is not None else rate
    found: dict[str, Any] = {
        **study.train,
        **study.strategy(cell.strategy).settings,
        "on": [str(folder) for folder in material.training],
        "languages": list(material.languages[cell.size].languages),
        "seed": cell.seed,
        "output": str(place(study, cell).folder / "run"),
    }
    if found.get("code_switch", "none") != "none" and found.get("batches") == "english":
        # English text alone, switched into the languages that others train on.
        found["code_switch_languages"] = [code for code in found["languages"] if not is_english(code)]
        found["languages"] = [code for code in found["languages"] if is_english(code)]
    if chosen is not None:
        found["learning_rate"] = chosen
    if cell.rate is not None:
        # Measured once, at the end: on the same rows for every strategy.
        found |= {"dev": str(material.dev), "eval_every": 1_000_000}
    return found


def key(study: Study, cell: Cell, material: Material, rate: float | None) -> str:
    """Return the digest of all that a cell's figures depend on."""
    recipe = {} if cell.strategy == START else settings(study, cell, material, rate)
    model = study.train.get("model", "bundled")
    # Under the names that settings had at first, so that cells made with those stay valid.
    former = {now: before for before, now in RENAMED.items()}
    recipe = {former.get(name, name): value for name, value in recipe.items()}
    parts = [material.key, model, {**recipe, "output": "", "on": "", "dev": ""}]
    if asked_in := [[test.on, test.asked_in] for test in study.tests if test.asked_in]:
        parts.append(asked_in)
    return digest(json.dumps(parts, sort_keys=True))


def check(study: Study, cell: Cell, material: Material, rate: float | None) -> None:
    """Check that a done cell was made as the study says now.

    Raises:
        PanglotError: It was made with other settings or data.
    """
    path = place(study, cell).folder / "cell.json"
    if path.exists() and json.loads(path.read_text("utf-8"))["key"] != key(study, cell, material, rate):
        raise PanglotError(
            "this cell was made with other settings or data than the study has now",
            file=path.parent,
            hint="remove the folder to make it anew, or give the study another output",
        )


def run(
    study: Study,
    cell: Cell,
    material: Material,
    rate: float | None,
    *,
    data_dir: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> bool:
    """Train and measure a cell, going on where an earlier process stopped; return False if another one has it.

    Raises:
        PanglotError: Settings or data are wrong, or the loss is no longer a number; that is written down.
    """
    lies = place(study, cell)
    with claim(lies.folder) as free:
        if not free:
            return False
        try:
            check(study, cell, material, rate)
            if not lies.done:
                _run(study, cell, material, rate, lies.folder, data_dir, tell)
        except PanglotError as error:
            fail(study, cell, 2, str(error))
            raise
        (lies.folder / "failed.json").unlink(missing_ok=True)
        _tidy(lies.folder)
    return True


def _run(
    study: Study,
    cell: Cell,
    material: Material,
    rate: float | None,
    folder: Path,
    data_dir: Path | None,
    tell: Callable[[str], None] | None,
) -> None:
    import panglot
    from panglot.encoders.cache import Cached
    from panglot.encoders.load import load

    made = key(study, cell, material, rate)
    about: dict[str, Any] = {
        "key": made,
        "material": material.key,
        "strategy": cell.strategy,
        "size": cell.size,
        "seed": cell.seed,
        "rate": cell.rate,
    }
    if cell.strategy == START:
        model: Any = str(study.train.get("model", "bundled"))
        about["training"] = None
    else:
        recipe = settings(study, cell, material, rate)
        # What the study's test sets have is out of its material already.
        panglot.train(**recipe, exclude=[], data_dir=data_dir)
        about["training"] = {**_trained(folder / "run"), "learning_rate": recipe.get("learning_rate")}
        about["recipe"] = {name: value for name, value in recipe.items() if name not in {"output", "languages"}}
        if cell.rate is not None:
            write_json(folder / "cell.json", about)
            return
        # Vectors lie beside the model, so that a killed measurement goes on, and go away with it.
        model = Cached(load(folder / "run", name=cell.name), folder / "vectors")
    about["languages"] = list(material.languages[cell.size].languages) if cell.strategy != START else []
    found = evaluate(model, list(material.tests.values()), draws=0, progress=tell)
    sums: dict[str, Any] = {}
    for name, collection in material.tests.items():
        asked_in = next(test.asked_in for test in study.tests if test.on == name)
        parts = {part: (codes, codes) for part, codes in slices(material, cell, collection).items()}
        parts |= {part: (codes, collection.languages) for part, codes in asked_in.items()}
        for part, (asked, answered) in parts.items():
            of_part = compact(found.per_question[name], asked, answered)
            sums |= {
                f"{name}|{part}|{figure}|{kind}": a for figure, both in of_part.items() for kind, a in both.items()
            }
    with atomic_file(folder / "sums.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **sums)
    write_json(folder / "cell.json", {**about, "figures": _light(found)})


def slices(material: Material, cell: Cell, collection: Collection) -> dict[str, tuple[str, ...]]:
    """Return the languages of a test set that figures are taken over.

    They are all; those of which the cell saw training text (``seen``) and those of which it did not (``unseen``); and
    those of which no cell of the study did (``never``), the same at every size.
    """
    every = collection.languages
    largest = max(material.languages.values(), key=len)
    found = {"all": every, "never": largest.split(every)[1]}
    if cell.strategy != START:
        found["seen"], found["unseen"] = material.languages[cell.size].split(every)
    else:
        for size, languages in material.languages.items():
            found[f"seen-{size}"], found[f"unseen-{size}"] = languages.split(every)
    return {name: languages for name, languages in found.items() if languages}


def compact(
    questions: PerQuestion, asked_in: tuple[str, ...], answered_in: tuple[str, ...]
) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """Return the sums over question groups of questions in some languages, and of passages in some; small.

    Where each group has equally many values in all cells, as on parallel data, one column, the mean over cells, gives
    the same figure on every draw of groups.
    """
    asked, chosen = (np.asarray([code in some for code in questions.languages]) for some in (asked_in, answered_in))
    asked = asked[questions.language]
    found: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for name in KEPT:
        if name not in questions.values:
            continue
        values = np.where(asked if questions.values[name].ndim == 1 else asked[:, None], questions.values[name], np.nan)
        if values.ndim == 2:
            values = np.where(chosen, values, np.nan)
        sums = Sums.of(values, questions.language, questions.group)
        total, number = sums.total, sums.number
        if not number.size:
            continue
        if (number == number[:, :1]).all():
            total, number = total.mean(axis=1, keepdims=True), number[:, :1]
        found[name] = {"total": total.astype(np.float32), "number": number.astype(np.uint16)}
    return found


def _light(found: Evaluation) -> dict[str, Any]:
    """Return the dictionary of figures without its L x L matrices, which a hundred languages make large."""
    figures = json.loads(json.dumps(found.figures))
    for dataset in figures["datasets"].values():
        for part, keys in {
            "crosslingual": ["matrix"],
            "multilingual": ["language_share@10"],
            "geometry": ["mean_distance"],
        }.items():
            for key in keys:
                (dataset.get(part) or {}).pop(key, None)
    return figures


def _trained(folder: Path) -> dict[str, Any]:
    """Return steps, pairs, seconds, dev figures and data digests from a run folder's log."""
    lines: list[Mapping[str, Any]] = [
        json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()
    ]
    last = [line for line in lines if "loss" in line][-1]
    begun = json.loads((folder / "run.json").read_text("utf-8"))
    conflicts = [line["conflicts"] for line in lines if "conflicts" in line]
    met: dict[str, set[str]] = {}
    for line in lines:
        for kind, codes in line.get("met", {}).items():
            met.setdefault(kind, set()).update(codes)
    found: dict[str, Any] = {
        "steps": last["step"], "pairs": last["pairs"], "seconds": last["seconds"], "data": begun["data"],
        "languages_met": {kind: len(codes) for kind, codes in sorted(met.items())},
    }  # fmt: skip
    if conflicts:
        found["conflicts"] = float(np.mean(conflicts))
        found["cosine"] = float(np.mean([line["cosine"] for line in lines if "cosine" in line]))
    if dev := [line["dev"] for line in lines if "dev" in line]:
        found["dev"] = dev[-1]
    return found


def _tidy(folder: Path) -> None:
    """Remove weights, checkpoints and vectors of a cell that is done; its log and recipe stay."""
    shutil.rmtree(folder / "vectors", ignore_errors=True)
    if (folder / "run").is_dir():
        for path in (folder / "run").iterdir():
            if path.name not in _LEFT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def fail(study: Study, cell: Cell, status: int, told: str) -> None:
    """Write down that a cell failed.

    Raises:
        PanglotError: The place cannot be written.
    """
    about = {"strategy": cell.strategy, "size": cell.size, "seed": cell.seed, "rate": cell.rate}
    write_json(place(study, cell).folder / "failed.json", {**about, "status": status, "told": told[-2000:]})


def best_rate(study: Study, strategy: str, size: int) -> float | None:
    """Return the learning rate of a strategy at a number of languages, None where nothing was tried.

    It is the smallest whose mean over the trials' seeds is within one standard error of the best mean. The standard
    error is that of a mean over seeds, from the variance within learning rates, pooled over the grid; with one seed it
    is 0.

    Raises:
        PanglotError: A trial of the strategy is still to be done, or none came to its end.
    """
    if study.rates is None:
        return None
    name = study.strategy(strategy).rates_of or strategy
    trials = [cell for cell in study.trials() if cell.strategy == name]
    if study.rates.size == EACH:
        trials = [cell for cell in trials if cell.size == size]
    if not trials:
        return study.rates.grid[0]
    scores: dict[float, list[float]] = {}
    for cell in trials:
        lies = place(study, cell)
        if not (lies.done or lies.failed):
            raise PanglotError(f"{cell.name} is still to be done", file=study.file, field="rates",
                               hint="run the study first")  # fmt: skip
        if lies.done and cell.rate is not None:
            dev = json.loads((lies.folder / "cell.json").read_text("utf-8"))["training"]["dev"]
            values = [dev.get(name) for name in ("monolingual", "crosslingual", "multilingual")]
            scores.setdefault(cell.rate, []).append(float(np.mean([value for value in values if value is not None])))
    if not scores:
        raise PanglotError(f"no learning rate of {strategy} came to its end", file=study.file, field="rates",
                           hint="see failed.json in its cells, or name one rate")  # fmt: skip
    return chosen_rate(scores)


def chosen_rate(scores: Mapping[float, Sequence[float]]) -> float:
    """Return the smallest learning rate within one standard error of the best.

    Args:
        scores: Scores by learning rate, one a seed.

    >>> chosen_rate({1e-5: [0.70, 0.72], 2e-5: [0.71, 0.73], 5e-5: [0.60, 0.62]})
    1e-05
    >>> chosen_rate({1e-5: [0.70], 2e-5: [0.71], 5e-5: [0.71]})
    2e-05
    """
    squares = sum(float(np.var(values)) * len(values) for values in scores.values())
    freedom = sum(len(values) - 1 for values in scores.values())
    means = {rate: float(np.mean(values)) for rate, values in scores.items()}
    best = max(means, key=lambda rate: means[rate])
    error = (squares / freedom / len(scores[best])) ** 0.5 if freedom else 0.0
    return min(rate for rate, value in means.items() if value >= means[best] - error)
