"""Weak shares by language, script, length, question word and tokens per word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from panglot.probe import slices
from panglot.probe.rates import against_rest
from panglot.probe.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.corpus.collection import Collection
    from panglot.encoders.protocol import Encoder
    from panglot.probe.weak import Outcome

KINDS = ("language", "script", "length", "question word", "tokens per word")


def by_slice(
    outcomes: Sequence[Outcome], collection: Collection, encoder: Encoder
) -> tuple[dict[str, dict[str, Any]], list[dict[str, str]]]:
    """Return the weak share of each slice, among questions that English answers, beside that of the rest.

    Returns:
        Figures by kind of slice and slice (:func:`panglot.probe.rates.against_rest`), ``all`` among the kinds
        with its one slice, and what could not be measured.
    """
    texts = collection.questions["text"]
    english: list[str] = []
    other: list[str] = []
    languages: list[str] = []
    groups: list[str] = []
    weak: list[bool] = []
    for outcome in outcomes:
        found = outcome.ground.parallel
        places = np.flatnonzero(outcome.answered)
        for side, rows in zip((english, other), found.questions, strict=True):
            side.extend(texts[int(row)].as_py() for row in rows[places])
        languages.extend(outcome.language for _ in places)
        groups.extend(found.groups[place] for place in places)
        weak.extend(outcome.weak[places].tolist())
    if not weak:
        return {}, [{"what": "weak shares", "why": "no question is answered in English"}]
    missing: list[dict[str, str]] = []
    tokens = count_tokens(encoder, other)
    if tokens is None:
        missing.append({"what": "tokens per word", "why": "the model shows no tokenizer"})
    labels = {
        "all": ["all" for _ in weak],
        "language": languages,
        "script": [slices.script(language) for language in languages],
        "length": [slices.length(text) for text in english],
        "question word": [slices.question_word(text) for text in english],
    }
    if tokens is not None:
        labels["tokens per word"] = [slices.fertility(n, text) for n, text in zip(tokens, english, strict=True)]
    group = np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)
    hit = np.array(weak, np.bool_)
    figures: dict[str, dict[str, Any]] = {}
    for kind, names in labels.items():
        column = np.array(names)
        found_slices = {str(name): against_rest(hit, group, column == name) for name in np.unique(column)}
        fixed = slices.order(kind)
        key = fixed.index if fixed else lambda name, part=found_slices: -part[name]["questions"]
        if kind == "language":
            key = languages.index
        figures[kind] = {name: found_slices[name] for name in sorted(found_slices, key=key)}
    return figures, missing
