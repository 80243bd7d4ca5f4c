"""Compare models that were measured on the same questions: figure by figure, or by one score over a suite's forms."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from panglot.evaluation.bias import LOWER_IS_BETTER, NEITHER_IS_BETTER
from panglot.evaluation.bootstrap import PerQuestion, Sums, draw, holm, interval, randomisation
from panglot.evaluation.figures import SETTINGS, Figures, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from panglot.evaluation.exact_scores import Doubles
    from panglot.evaluation.figures import Measured

MONOLINGUAL, CROSSLINGUAL = SETTINGS[:2]
# The corrected p below which a difference makes a model the best.
_SIGNIFICANT = 0.05


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
                "interval": _ends(drawn[a][name] - drawn[b][name]) if draws else None,
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


def _best(key: str, values: Mapping[str, float], differences: Sequence[Figures]) -> str | None:
    if key in NEITHER_IS_BETTER:
        return None
    leader = (min if key in LOWER_IS_BETTER else max)(values, key=lambda model: values[model])
    against = [each for each in differences if leader in {each["a"], each["b"]}]
    real = all(each["p_corrected"] is not None and each["p_corrected"] < _SIGNIFICANT for each in against)
    return leader if against and real else None


def scoreboard(models: Mapping[str, Mapping[str, PerQuestion]], measure: str, draws: int, seed: int) -> Figures:
    """Compare models on the forms of a suite, given their values question by question, by model and form.

    The score of a form is the mean of ``measure`` over the settings that it has, and the score of a model is the mean
    over forms. Differences are to the first model. Intervals are over question groups, drawn within each form.
    ``lowest`` is the form in which a model falls most, or gains least, within a language: in its monolingual setting,
    or in any setting of a form that has no cross-lingual answers, because there only the own language is right.

    Return ``{"measure", "forms": {form: {setting: {model: value}}}, "scores": {model: {"score", "interval",
    "monolingual", …}}, "differences": {model: {"to", "score", "interval", "lowest"}}}``.
    """
    # Per form and setting: the value, then those of the draws, shape [1 + draws].
    found = {
        model: {
            (form, setting): values
            for form, questions in forms.items()
            for setting, values in _settings(questions, measure, draws, seed).items()
        }
        for model, forms in models.items()
    }
    first = next(iter(found))
    forms: dict[str, Figures] = {form: {} for form in models[first]}
    for form, setting in found[first]:
        forms[form][setting] = {model: plain(float(values[form, setting][0])) for model, values in found.items()}
    scores: Figures = {}
    differences: Figures = {}
    for model, values in found.items():
        score = _score(values)
        means = {
            setting: plain(float(np.mean([each[0] for (_, own), each in values.items() if own == setting])))
            for setting in dict.fromkeys(own for _, own in values)
        }
        scores[model] = {"score": plain(float(score[0])), "interval": _ends(score[1:]), **means}
        if model != first:
            changes = {
                (form, setting): each - found[first][form, setting]
                for (form, setting), each in values.items()
                if setting == MONOLINGUAL or (form, CROSSLINGUAL) not in values
            }
            lowest = min(changes, key=lambda key: float(changes[key][0]), default=None)
            differences[model] = {
                "to": first,
                **_difference(score - _score(found[first]), "score"),
                "lowest": lowest
                and {"form": lowest[0], "setting": lowest[1], **_difference(changes[lowest], "difference")},
            }
    return {"measure": measure, "forms": forms, "scores": scores, "differences": differences}


def _settings(questions: PerQuestion, measure: str, draws: int, seed: int) -> dict[str, Doubles]:
    sums = questions.sums()
    known = {setting: sums[key] for setting in SETTINGS if (key := f"{setting}.{measure}") in sums}
    known = {setting: each for setting, each in known.items() if np.isfinite(each.mean())}
    drawn = draw(known, draws, seed)
    return {setting: np.concatenate([[each.mean()], drawn[setting]]) for setting, each in known.items()}


def _score(values: Mapping[tuple[str, str], Doubles]) -> Doubles:
    """Return the mean over forms of the mean over their settings."""
    forms: dict[str, list[Doubles]] = {}
    for (form, _), each in values.items():
        forms.setdefault(form, []).append(each)
    return np.mean([np.mean(each, axis=0) for each in forms.values()], axis=0)


def _difference(values: Doubles, name: str) -> Figures:
    return {name: plain(float(values[0])), "interval": _ends(values[1:])}


def _ends(values: Doubles) -> list[float] | None:
    ends = interval(values)
    return list(ends) if ends else None


def suites(models: Mapping[str, Mapping[str, Measured]], settings: Figures) -> Figures:
    """Return ``{"suites": {file: scoreboard}}`` of the suites that models were measured on, or nothing without one.

    ``models`` has what was measured by model and data set.
    """
    forms: dict[str, list[str]] = {}
    for name, found in next(iter(models.values())).items():
        if suite := found.collection.metadata.get("suite"):
            forms.setdefault(suite, []).append(name)
    names = settings["measures"]
    measure = "mAP" if "mAP" in names else names[0]
    boards = {
        suite: scoreboard(
            {model: {form: measured[form].per_question for form in own} for model, measured in models.items()},
            measure, settings["draws"], settings["seed"],
        )
        for suite, own in forms.items()
    }  # fmt: skip
    return {"suites": boards} if boards else {}
