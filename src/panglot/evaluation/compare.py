"""``compare``: measure several models on the same questions, and test their differences."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from panglot._errors import PanglotError
from panglot.evaluation.bias import LOWER_IS_BETTER, NEITHER_IS_BETTER
from panglot.evaluation.bootstrap import PerQuestion, Sums, draw, holm, interval, randomisation
from panglot.evaluation.evaluate import Evaluation, Sets, evaluate, open_encoder, open_sets
from panglot.evaluation.figures import Figures, Result, plain
from panglot.evaluation.runs import open_reranker
from panglot.evaluation.scoreboard import suites

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from panglot._environment import Precision
    from panglot.encoders.protocol import Encoder
    from panglot.evaluation.exact_scores import Doubles
    from panglot.evaluation.measures import Measure
    from panglot.evaluation.runs import Scorer

# The corrected p below which a difference makes a model the best.
_SIGNIFICANT = 0.05


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """Several encoders measured on the same collections, with the evaluation of each by its name.

    ``figures["models"]`` has the names, and ``figures["evaluations"]`` the figures of each model. For each data set
    and ``setting.measure``, ``figures["datasets"]`` has the ``values`` of the models, the ``differences`` of all pairs
    with interval and p, and the ``best`` model or None.
    """

    evaluations: Mapping[str, Evaluation]

    def __repr__(self) -> str:
        return f"Comparison({', '.join(map(repr, self.evaluations.values()))})"


def compare(
    models: Sequence[Encoder | str | Path],
    *,
    test: Sets | Sequence[Sets],
    data_dir: str | Path | None = None,
    candidates: str | None = None,
    context: bool = False,
    languages: Sequence[str] | None = None,
    measures: Sequence[str | Measure] | None = None,
    draws: int = 1000,
    permutations: int = 10_000,
    seed: int = 0,
    trust_remote_code: bool = False,
    precision: Precision = "auto",
    reranker: Scorer | str | Path | None = None,
    rerank_depth: int = 50,
    command: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Measure several encoders on the same questions and test their differences.

    Each figure and pair of models gets the difference, its bootstrap interval over question groups, and the p-value
    of a paired randomisation test over groups, corrected after Holm for the number of pairs. A model is *best* at a
    figure if it is better than every other one with a corrected p < .05.

    ``models`` are two or more encoders and ``test`` is one or more collections, as for :func:`evaluate`, which explains
    the other arguments too. With a ``reranker``, each model is followed by what the cross-encoder makes of its ranking,
    and one model is enough. ``permutations`` is the number of random sign patterns of the test. ``seed`` seeds draws
    and patterns.

    Raises:
        PanglotError: There are fewer than two models, two have one name, or :func:`evaluate` fails.
    """
    if len(models) < (2 if reranker is None else 1):
        raise PanglotError(f"expected two or more models, got {len(models)}", field="models", hint="name another model")
    sets = open_sets(test, data_dir=data_dir, candidates=candidates, context=context, languages=languages)
    scorer = open_reranker(reranker, rerank_depth)
    evaluations: dict[str, Evaluation] = {}
    for given in models:
        encoder = open_encoder(given, trust_remote_code=trust_remote_code, precision=precision)
        name = encoder.name
        if name in evaluations:
            raise PanglotError(f"two models have the name {name}", field="models", hint="rename the folder of one")
        evaluations[name] = evaluate(
            encoder, list(sets.values()), candidates=candidates, context=context, languages=languages,
            measures=measures, draws=draws, seed=seed, command=command, progress=progress, precision=precision,
            reranker=scorer, rerank_depth=rerank_depth,
        )  # fmt: skip
        if (again := evaluations[name].reranked) is not None:
            evaluations[again.figures["model"]["name"]] = again
    first = next(iter(evaluations.values()))
    figures: Figures = {
        "panglot": first.figures["panglot"],
        "date": first.figures["date"],
        "command": command,
        "models": list(evaluations),
        "settings": {**first.figures["settings"], "permutations": permutations},
        "datasets": {
            dataset: compare_questions(
                {name: each.per_question[dataset] for name, each in evaluations.items()},
                draws=draws, permutations=permutations, seed=seed,
            )
            for dataset in sets
        },
        "evaluations": {name: each.figures for name, each in evaluations.items()},
        **suites({name: each.measured for name, each in evaluations.items()}, first.figures["settings"]),
    }  # fmt: skip
    return Comparison(figures, evaluations)


def compare_questions(
    models: Mapping[str, PerQuestion], *, draws: int = 1000, permutations: int = 10_000, seed: int = 0
) -> Figures:
    """Compare models figure by figure on one collection. All arrays must be of the same questions.

    Return ``{"monolingual.mAP": {"values", "differences", "best"}, …}``, without figures that a model lacks.
    """
    sums = {model: questions.sums() for model, questions in models.items()}
    # All models see the same draws, so that intervals of differences are paired.
    groups = max((int(questions.group.max(initial=-1)) + 1 for questions in models.values()), default=0)
    drawn = {model: draw(each, draws, seed) if draws else {} for model, each in sums.items()}
    first = next(iter(sums.values()))
    names = [name for name in first if all(_same(first[name], each[name]) for each in sums.values())]
    pairs = list(combinations(models, 2))
    shares = {(model, name): sums[model][name].shares() for model in models for name in names}
    # One test for all figures and pairs at once draws each sign pattern only once.
    columns = [shares[a, name] - shares[b, name] for name in names for a, b in pairs]
    p = randomisation(np.stack(columns, axis=1), permutations, seed).tolist() if columns and groups > 1 else []
    found: Figures = {}
    for place, name in enumerate(names):
        own = p[place * len(pairs) : (place + 1) * len(pairs)]
        corrected = holm(own)
        values = {model: sums[model][name].mean() for model in models}
        differences = [
            {
                "a": a,
                "b": b,
                "difference": plain(values[a] - values[b]),
                "interval": _interval(drawn[a], drawn[b], name),
                "p": own[at] if own else None,
                "p_corrected": corrected[at] if own else None,
            }
            for at, (a, b) in enumerate(pairs)
        ]
        found[name] = {
            "values": {model: plain(value) for model, value in values.items()},
            "differences": differences,
            "best": _best(name.partition(".")[2], values, differences),
        }
    return found


def _same(a: Sums, b: Sums) -> bool:
    """Return whether two models were measured on the same questions, at least on one."""
    return a.number.size > 0 and np.array_equal(a.number, b.number)


def _interval(a: Mapping[str, Doubles], b: Mapping[str, Doubles], name: str) -> list[float] | None:
    ends = interval(a[name] - b[name]) if name in a else None
    return list(ends) if ends else None


def _best(key: str, values: Mapping[str, float], differences: Sequence[Figures]) -> str | None:
    if key in NEITHER_IS_BETTER:
        return None
    leader = (min if key in LOWER_IS_BETTER else max)(values, key=lambda model: values[model])
    against = [each for each in differences if leader in {each["a"], each["b"]}]
    real = all(each["p_corrected"] is not None and each["p_corrected"] < _SIGNIFICANT for each in against)
    return leader if against and real else None
