"""The scoreboard of a suite: one score per model over all forms, and where a model falls within a language."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panglot.evaluation.bootstrap import PerQuestion, draw, interval
from panglot.evaluation.figures import SETTINGS, Figures, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from panglot.evaluation.exact_scores import Doubles
    from panglot.evaluation.figures import Measured

MONOLINGUAL, CROSSLINGUAL = SETTINGS[:2]


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
        scores[model] = {"score": plain(float(score[0])), "interval": _ends(score), **means}
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
    return {name: plain(float(values[0])), "interval": _ends(values)}


def _ends(values: Doubles) -> list[float] | None:
    ends = interval(values[1:])
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
