"""What a collection cannot support, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panglot.evaluation.bias import spans

if TYPE_CHECKING:
    from panglot.evaluation.ranks import Ranks

SETTINGS = ("monolingual", "crosslingual", "multilingual")


def reasons(ranks: Ranks, draws: int) -> list[dict[str, str]]:
    """Return ``{"what", "why"}`` for each setting, measure of bias and interval that cannot be measured."""
    spoken = ranks.passage_language[ranks.passage]
    own = ranks.question_language[ranks.question] == spoken
    if not len(own):
        return [{"what": setting, "why": "no question has a relevant passage"} for setting in SETTINGS]
    found: dict[str, str] = {}
    if not own.any():
        found["monolingual"] = "no passage answers a question in its own language"
    one_pool = (ranks.pool > 0).sum() < 2
    if own.all():
        one_language = one_pool and len(np.unique(ranks.question_language)) < 2
        found["crosslingual"] = (
            "questions and passages are in one language"
            if one_language
            else "no passage in another language answers a question"
        )
    if one_pool:
        found["multilingual"] = "the passages are in one language, so there is no pool of several"
    else:
        found |= _bias_reasons(ranks, own_only=bool(own.all()))
    if draws and len(np.unique(ranks.question_group)) < 2:
        found["interval"] = "there is one question group only"
    return [{"what": what, "why": why} for what, why in found.items()]


def _bias_reasons(ranks: Ranks, *, own_only: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    if not spans(ranks).parallel.any():
        where = "its own language only" if own_only else "one language only"
        found["rank_distance"] = (
            f"the relevant passages of a question are in {where}; so there is no max rank, complete@k, "
            "PEER@k or language preference rate either"
        )
    versions = np.unique(np.stack([ranks.question_group, ranks.question_language]), axis=1)
    if len(np.unique(versions[0])) == versions.shape[1]:
        found["rank_correlation"] = "no question group is asked in two languages"
    return found
