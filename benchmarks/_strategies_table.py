"""Read the finished cells of strategies, compare them, and write their table."""

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
    """A strategy with the figures of each finished seed, and its sums over question groups by ``data set|figure``."""

    name: str
    cells: list[dict[str, Any]]
    sums: list[dict[str, Sums]]

    def mean(self, key: str) -> float:
        """Return the mean of a figure over seeds."""
        return float(np.mean([seed[key].mean() for seed in self.sums]))

    def drawn(self, key: str) -> Doubles:
        """Return the mean in each draw of groups and seeds with replacement, shape ``[draws]``.

        Strategies with the same number of seeds share their draws, so that these are paired.
        """
        each = np.stack([draw({key: seed[key]}, DRAWS, 0)[key] for seed in self.sums])
        seeds = np.random.default_rng(1).integers(0, len(each), (len(each), DRAWS))
        return np.take_along_axis(each, seeds, axis=0).mean(axis=0)

    def interval(self, key: str) -> tuple[float, float] | None:
        """Return the confidence interval of the mean."""
        return interval(self.drawn(key))

    def shares(self, key: str) -> np.ndarray:
        """Return the contribution of each question group to the mean over seeds, shape ``[groups]``."""
        return np.mean([seed[key].shares() for seed in self.sums], axis=0)

    def trained(self, name: str) -> str:
        """Return the mean of a training figure over seeds, formatted for the table."""
        values = [cell["training"][name] for cell in self.cells if name in cell["training"]]
        return f"{np.mean(values):,.0f}" if values else "–"


def compact(sums: Mapping[str, Sums]) -> dict[str, dict[str, np.ndarray]]:
    """Return the sums of the figures in ``KEPT``, as small as possible.

    On parallel data, a group has the same number of values in all cells. The mean over cells then gives the same figure
    on every draw of groups, so one column is enough.
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
    """Read the finished cells of a strategy."""
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


def compare(strategies: Sequence[Strategy], key: str) -> dict[str, Any]:
    """Test all pairs of strategies on one figure; return the tests and the strategy that beats all others, or None.

    The test covers the choice of questions. The interval of the difference also covers the choice of seeds.
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
    """Write the table as Markdown and the tests of all pairs as JSON of the same name; return the Markdown."""
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
    absent = [
        *([] if every[0].cells else [START]),
        *(f"{s.name}-{seed}" for s in every[1:] for seed in seeds if seed not in {cell["seed"] for cell in s.cells}),
    ]
    parts += ["", f"Missing cells: {', '.join(absent)}." if absent else "All cells are done."]
    if warnings := _warnings(ready):
        parts += ["", *warnings]
    parts += ["", _foot(ready)]
    text = "\n".join(parts) + "\n"
    record(target.with_suffix(".json"), datasets=values, missing=absent)
    write_text(target, text)
    return text


def _rows(ready: Sequence[Strategy], dataset: str) -> tuple[str, dict[str, Any]]:
    keys = [f"{dataset}|{name}" for name in FIGURES]
    keys = [key for key in keys if all(key in seed for strategy in ready for seed in strategy.sums)]
    comparisons = {key: compare(ready, key) for key in keys}
    found: dict[str, Any] = {}
    rows: list[list[str]] = []
    for strategy in ready:
        row = ["untouched start" if strategy.name == START else strategy.name]
        for key in keys:
            value, ends = strategy.mean(key), strategy.interval(key)
            found.setdefault(key.partition("|")[2], {"values": {}, "intervals": {}, **comparisons[key]})
            found[key.partition("|")[2]]["values"][strategy.name] = value
            found[key.partition("|")[2]]["intervals"][strategy.name] = ends
            row.append(_cell(key, value, ends, bold=comparisons[key]["best"] == strategy.name))
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
        f"{trained}Values are means over seeds. Brackets hold the 95 % interval of the mean from {DRAWS:,} bootstrap"
        " draws. Each draw takes question groups with replacement (all translations of a question together, the same"
        " groups for every seed), then seeds with replacement. With few seeds, the interval is more likely too narrow"
        " than too wide. With one seed, it does not cover the choice of the seed. **Bold** is better than every other"
        " row, including the start: an interval of the difference over questions and seeds excludes 0, and a paired"
        " randomisation test over question groups, on values averaged over seeds, has"
        f" p < {REAL} ({PERMUTATIONS:,} sign patterns, Holm's correction over all pairs of rows). Steps and seconds of"
        " training are means over seeds."
    )


def _about(ready: Sequence[Strategy], dataset: str) -> str:
    figures = ready[0].cells[0]["datasets"][dataset]
    absent = [item for item in figures["not_measured"] if item["what"] in {"crosslingual", "rank_distance"}]
    return (
        f"{figures['questions']:,} questions in {len(figures['languages'])} languages, {figures['passages']:,}"
        f" candidates ({figures['candidates']}, {'with' if figures['context'] else 'without'} context)."
        + "".join(f" No {item['what']}: {item['why']}." for item in absent)
    )


def _warnings(ready: Sequence[Strategy]) -> list[str]:
    """Return warnings about rows with different settings or data."""
    cells = [cell for strategy in ready for cell in strategy.cells]
    found: list[str] = []
    for what in ("on", "pairs", "batch_size", "model"):
        kinds = {json.dumps(c["cell"]["training"][what]) for c in cells if c["cell"]["training"]}
        if len(kinds) > 1:
            found.append(f"Warning: the rows differ in `{what}`: {', '.join(sorted(kinds))}.")
    return found + [
        f"Warning: the rows were measured on different versions of {dataset}."
        for dataset in cells[0]["datasets"]
        if len({cell["datasets"].get(dataset, {}).get("digest") for cell in cells}) > 1
    ]


def _foot(ready: Sequence[Strategy]) -> str:
    cells = [cell for strategy in ready for cell in strategy.cells]
    dates = sorted({cell["date"] for cell in cells})
    processors = sorted({f"{cell['machine']['processor']}, {cell['machine']['cores']} cores" for cell in cells})
    kinds = sorted({", ".join(f"{name} {v}" for name, v in sorted(cell["versions"].items())) for cell in cells})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"Measured {when} on {'; '.join(processors)}. Versions: {'; '.join(kinds)}."
