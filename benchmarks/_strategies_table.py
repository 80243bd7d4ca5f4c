"""From the cells that are done to the table of strategies."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from _common import record, table
from panglot._files import write_text
from panglot.evaluation.bias import LOWER_IS_BETTER
from panglot.evaluation.bootstrap import Sums, draw, holm, interval, randomisation
from panglot.evaluation.exact_scores import Doubles

FIGURES = {
    "monolingual.mAP": "monolingual mAP",
    "crosslingual.mAP": "cross-lingual mAP",
    "multilingual.mAP": "multilingual mAP",
    "multilingual.rank_distance": "rank distance",
}
KEPT = (*FIGURES, "monolingual.R@1", "crosslingual.R@1", "multilingual.R@10", "multilingual.complete@100")
DRAWS, PERMUTATIONS, REAL = 1000, 10_000, 0.05
START = "start"


@dataclass(frozen=True)
class Strategy:
    """A strategy's cells.

    Attributes:
        name: What it is called.
        cells: The figures of each seed that is done.
        sums: The sums over question groups of each seed, by ``data set|figure``.
    """

    name: str
    cells: list[dict[str, Any]]
    sums: list[dict[str, Sums]]

    def mean(self, key: str) -> float:
        """Return a figure's mean over seeds."""
        return float(np.mean([seed[key].mean() for seed in self.sums]))

    def drawn(self, key: str) -> Doubles:
        """Return the mean in each draw of groups and seeds, with replacement, shape ``[draws]``.

        Strategies with equally many seeds are drawn alike, so that their draws are paired.
        """
        each = np.stack([draw({key: seed[key]}, DRAWS, 0)[key] for seed in self.sums])
        seeds = np.random.default_rng(1).integers(0, len(each), (len(each), DRAWS))
        return np.take_along_axis(each, seeds, axis=0).mean(axis=0)

    def interval(self, key: str) -> tuple[float, float] | None:
        """Return the interval of the mean."""
        return interval(self.drawn(key))

    def shares(self, key: str) -> np.ndarray:
        """Return what each question group adds to the mean over seeds, shape ``[groups]``."""
        return np.mean([seed[key].shares() for seed in self.sums], axis=0)

    def trained(self, name: str) -> str:
        """Return a figure of the training, mean over seeds."""
        values = [cell["training"][name] for cell in self.cells if name in cell["training"]]
        return f"{np.mean(values):,.0f}" if values else "–"


def compact(sums: Mapping[str, Sums]) -> dict[str, dict[str, np.ndarray]]:
    """Return the sums worth keeping, small.

    Where each group has equally many values in all cells, as on parallel data, one column, the mean over cells, gives
    the same figure on every draw of groups.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for name in KEPT:
        if name not in sums or not sums[name].number.size:
            continue
        total, number = sums[name].total, sums[name].number
        if (number == number[:, :1]).all():
            total, number = total.mean(axis=1, keepdims=True), number[:, :1]
        found[name] = {"total": total.astype(np.float32), "number": number.astype(np.uint16)}
    return found


def read(results: Path, name: str, seeds: Sequence[int]) -> Strategy:
    """Read a strategy's cells, those that are done."""
    stems = [name] if name == START else [f"{name}-{seed}" for seed in seeds]
    paths = [path for stem in stems if (path := results / f"{stem}.json").exists()]
    return Strategy(
        name, [json.loads(path.read_text("utf-8")) for path in paths], [_sums(p.with_suffix(".npz")) for p in paths]
    )


def _sums(path: Path) -> dict[str, Sums]:
    with np.load(path, allow_pickle=False) as arrays:
        keys = [name.removesuffix("|total") for name in arrays.files if name.endswith("|total")]
        return {
            key: Sums(*(arrays[f"{key}|{part}"].astype(np.float64) for part in ("total", "number"))) for key in keys
        }


def contest(strategies: Sequence[Strategy], key: str) -> dict[str, Any]:
    """Return the tests of all pairs on one figure, and which strategy beats every other one, or None.

    The test holds what other questions would change; the interval of the difference, what other seeds would too.
    """
    pairs = list(combinations(strategies, 2))
    if not pairs:
        return {"differences": [], "best": None}
    columns = np.stack([a.shares(key) - b.shares(key) for a, b in pairs], axis=1)
    p = randomisation(columns, PERMUTATIONS, 0).tolist()
    drawn = {strategy.name: strategy.drawn(key) for strategy in strategies}
    tests: list[dict[str, Any]] = [
        {"a": a.name, "b": b.name, "difference": a.mean(key) - b.mean(key),
         "interval": interval(drawn[a.name] - drawn[b.name]), "p": one, "p_corrected": corrected}
        for (a, b), one, corrected in zip(pairs, p, holm(p), strict=True)
    ]  # fmt: skip
    better = min if key.rpartition(".")[2] in LOWER_IS_BETTER else max
    leader = better(strategies, key=lambda strategy: strategy.mean(key)).name
    real = all(
        test["p_corrected"] < REAL and test["interval"] and test["interval"][0] * test["interval"][1] > 0
        for test in tests
        if leader in {test["a"], test["b"]}
    )
    return {"differences": tests, "best": leader if real else None}


def write(
    results: Path, target: Path, names: Sequence[str], seeds: Sequence[int], title: str = "Strategies at equal pairs"
) -> str:
    """Write the table as Markdown, and the tests of all pairs beside it as JSON; return the Markdown."""
    every = [read(results, name, seeds) for name in (START, *names)]
    ready = [strategy for strategy in every if strategy.cells]
    if not ready:
        return f"No cell is done in {results}."
    datasets = list(ready[0].cells[0]["datasets"])
    values: dict[str, Any] = {}
    parts = [f"# {title}", "", _head(ready)]
    for dataset in datasets:
        rows, found = _rows(ready, dataset)
        values[dataset] = found
        parts += ["", f"## {dataset}", "", _about(ready, dataset), "", rows]
    absent = [f"{s.name}-{seed}" for s in every[1:] for seed in seeds if seed not in _seeds(s)]
    absent = [*([] if every[0].cells else [START]), *absent]
    parts += ["", f"Missing cells: {', '.join(absent)}." if absent else "All cells are done."]
    if doubts := _doubts(ready):
        parts += ["", *doubts]
    parts += ["", _foot(ready)]
    text = "\n".join(parts) + "\n"
    record(target.with_suffix(".json"), datasets=values, missing=absent)
    write_text(target, text)
    return text


def _rows(ready: Sequence[Strategy], dataset: str) -> tuple[str, dict[str, Any]]:
    keys = [f"{dataset}|{name}" for name in FIGURES]
    keys = [key for key in keys if all(key in seed for strategy in ready for seed in strategy.sums)]
    contests = {key: contest(ready, key) for key in keys}
    found: dict[str, Any] = {}
    rows: list[list[str]] = []
    for strategy in ready:
        row = ["untouched start" if strategy.name == START else strategy.name]
        for key in keys:
            value, ends = strategy.mean(key), strategy.interval(key)
            found.setdefault(key.partition("|")[2], {"values": {}, "intervals": {}, **contests[key]})
            found[key.partition("|")[2]]["values"][strategy.name] = value
            found[key.partition("|")[2]]["intervals"][strategy.name] = ends
            row.append(_cell(key, value, ends, bold=contests[key]["best"] == strategy.name))
        seeds = "–" if strategy.name == START else str(len(strategy.cells))
        rows.append([*row, strategy.trained("steps"), strategy.trained("seconds"), seeds])
    return table(["batches", *(FIGURES[k.partition("|")[2]] for k in keys), "steps", "seconds", "seeds"], rows), found


def _cell(key: str, value: float, ends: tuple[float, float] | None, *, bold: bool) -> str:
    form = ".4f" if not key.endswith("rank_distance") else ",.0f" if value >= 100 else ".1f"
    if math.isnan(value):
        return "–"
    text = f"**{value:{form}}**" if bold else f"{value:{form}}"
    return f"{text} [{ends[0]:{form}}, {ends[1]:{form}}]" if ends else text


def _head(ready: Sequence[Strategy]) -> str:
    settings = next((c["cell"]["training"] for s in ready for c in s.cells if c["cell"]["training"]), None)
    trained = (
        f"Trained on {' + '.join(settings['on'])}, {settings['pairs']:,} pairs in batches of {settings['batch_size']},"
        f" from `{settings['model']}`. "
        if settings
        else ""
    )
    return (
        f"{trained}Values are means over seeds. In brackets, the 95 % interval of that mean: {DRAWS:,} bootstrap draws,"
        " each of which takes question groups with replacement (all translations of a question together, the same"
        " groups for every seed) and seeds with replacement; with so few seeds it is rather too narrow than too wide,"
        " and with one seed it says nothing about seeds. **Bold**: better than every other row, the start included, by"
        f" a paired randomisation test over question groups on the values averaged over seeds ({PERMUTATIONS:,} sign"
        f" patterns), p < {REAL} after Holm's correction for all pairs of rows, and with an interval of the difference,"
        " over questions and seeds, that does not hold 0. Steps and seconds of training are means over seeds."
    )


def _about(ready: Sequence[Strategy], dataset: str) -> str:
    figures = ready[0].cells[0]["datasets"][dataset]
    absent = [item for item in figures["not_measured"] if item["what"] in {"crosslingual", "rank_distance"}]
    return (
        f"{figures['questions']:,} questions in {len(figures['languages'])} languages, {figures['passages']:,}"
        f" candidates ({figures['candidates']}, {'with' if figures['context'] else 'without'} context)."
        + "".join(f" No {item['what']}: {item['why']}." for item in absent)
    )


def _seeds(strategy: Strategy) -> set[int]:
    return {cell["seed"] for cell in strategy.cells}


def _doubts(ready: Sequence[Strategy]) -> list[str]:
    """Say where the rows are not of one kind."""
    cells = [cell for strategy in ready for cell in strategy.cells]
    found: list[str] = []
    for what in ("on", "pairs", "batch_size", "model"):
        kinds = {json.dumps(c["cell"]["training"][what]) for c in cells if c["cell"]["training"]}
        if len(kinds) > 1:
            found.append(f"Beware: the rows differ in `{what}`: {', '.join(sorted(kinds))}.")
    return found + [
        f"Beware: the rows were measured on different versions of {dataset}."
        for dataset in cells[0]["datasets"]
        if len({cell["datasets"].get(dataset, {}).get("digest") for cell in cells}) > 1
    ]


def _foot(ready: Sequence[Strategy]) -> str:
    cells = [cell for strategy in ready for cell in strategy.cells]
    dates = sorted({cell["date"] for cell in cells})
    processors = sorted({f"{cell['machine']['processor']}, {cell['machine']['cores']} cores" for cell in cells})
    kinds = sorted({", ".join(f"{name} {v}" for name, v in sorted(cell["versions"].items()))
                    for cell in cells})  # fmt: skip
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"Measured {when} on {'; '.join(processors)}. Versions: {'; '.join(kinds)}."
