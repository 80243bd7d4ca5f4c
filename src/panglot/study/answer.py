"""The answer of a study, in words and in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from panglot.study.contest import Contest, contests
from panglot.study.design import Study
from panglot.study.results import FIGURES, Estimate, Results, named

PARTS = {
    "all": "all languages",
    "seen": "languages trained on",
    "unseen": "languages not trained on",
    "never": "languages that no cell trained on",
}


def answer(results: Results) -> list[str]:
    """Return how much of the start the study's focus keeps beside its rival: in sum, then a sentence a figure.

    A difference is called one where p, corrected after Holm for all of the sentences' comparisons, is below .05.
    """
    study, every = results.study, contests(results)
    if not every:
        return []
    said: list[str] = []
    for key, group in groupby(every, key=lambda contest: contest.key):
        test, part, figure = key.split("|")
        told = "; ".join(_contest(results, contest) for contest in group)
        said.append(f"{test}, {FIGURES[figure]}, {PARTS[part]}: of the start's value, {study.focus} keeps {told}.")
    return [_sum(study, every), *said]


def _sum(study: Study, every: Sequence[Contest]) -> str:
    """Say in one sentence what all comparisons come to, and how they were tested."""
    judged = [contest for contest in every if contest.corrected is not None]
    if not judged:
        return (
            f"{study.focus} and {study.rival} have one seed in common: another training run may turn every difference"
            " around. Brackets are 95 % intervals over question groups alone."
        )
    ahead, behind = (sum(contest.sign == sign for contest in judged) for sign in (1, -1))
    seeds = sorted({contest.gap.seeds for contest in judged})
    return (
        f"Beside {study.rival}, {study.focus} keeps more in {ahead} and less in {behind} of {len(judged)}"
        f" comparisons, and {len(judged) - ahead - behind} are not told apart. p is of a t test of the difference,"
        f" paired by seed and question, whose variance is that over {_range(seeds)} seeds plus that over question"
        f" groups; it is corrected after Holm for all {len(judged)} comparisons. Brackets are 95 % intervals, and"
        " uncorrected."
    )


def _contest(results: Results, contest: Contest) -> str:
    study, kept = results.study, results.retention(results.study.focus, contest.size, contest.key)
    assert kept is not None
    verdict = {1: f"{study.focus} keeps more", -1: f"{study.rival} keeps more", 0: "not told apart"}[contest.sign]
    tested = "" if contest.corrected is None else f", p {_p(contest.corrected)}: {verdict}"
    gap = f"{100 * contest.gap.value:+.1f} points{_points(contest.gap)} beside {study.rival}"
    return f"{percent(kept)} % at {languages(contest.size)} ({gap}{tested})"


def answers(results: Results) -> dict[str, Any]:
    """Return every comparison of the answer by size and figure, ready for JSON."""
    found: dict[str, Any] = {}
    for contest in contests(results):
        found.setdefault(named(contest.size), {})[contest.key] = {
            "value": contest.gap.value, "interval": contest.gap.ends, "seeds": contest.gap.seeds,
            "p": contest.p, "p_corrected": contest.corrected,
        }  # fmt: skip
    return found


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"= {value:.3f}".replace("0.", ".")


def _range(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def percent(found: Estimate) -> str:
    """Return a share in hundredths, with its interval."""
    ends = f" [{100 * found.ends[0]:.1f}, {100 * found.ends[1]:.1f}]" if found.ends else ""
    return f"{100 * found.value:.1f}{ends}"


def _points(found: Estimate) -> str:
    return f" [{100 * found.ends[0]:+.1f}, {100 * found.ends[1]:+.1f}]" if found.ends else ""


def languages(size: int) -> str:
    """Return what a size is called in words."""
    return "all languages" if size == 0 else f"{size} language{'s' if size > 1 else ''}"
