"""What a plan will do, in counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from panglot.batching.plan import Plan


@dataclass(frozen=True)
class Description:
    """Counts over the first steps of a plan.

    Attributes:
        steps: How many steps were counted.
        questions: Questions in them.
        kinds: Steps of each kind.
        sources: Questions of each source.
        languages: Questions of each pair of languages, by ``(question's, passage's)`` code; for
            ``whole-group``, which has no pairs, every question counts once for each passage of its group.
        epochs: How often each source's rows were seen on average, by source name.
        batch_size: The smallest and the largest number of questions in a batch.
    """

    steps: int
    questions: int
    kinds: Mapping[str, int]
    sources: Mapping[str, int]
    languages: Mapping[tuple[str, str], int]
    epochs: Mapping[str, float]
    batch_size: tuple[int, int]


def describe(plan: Plan, steps: int) -> Description:
    """Count kinds, sources and languages over the first ``steps`` steps of a plan."""
    kinds: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    languages: Counter[tuple[str, str]] = Counter()
    sizes: list[int] = []
    for k in range(steps):
        batch = plan(k)
        source = plan.sources[batch.source]
        kinds[batch.kind] += 1
        sources[source.name] += len(batch.questions)
        rows[source.name] += len(np.unique(batch.rows))
        sizes.append(len(batch.questions))
        if batch.positive is None:
            x, y = batch.question_languages, batch.passage_languages
        else:
            asked, answered = np.nonzero(batch.positive)
            x, y = batch.question_languages[asked], batch.passage_languages[answered]
        pairs, counts = np.unique(np.stack([x, y]), axis=1, return_counts=True)
        for pair, count in zip(pairs.T, counts, strict=True):
            languages[source.languages[pair[0]], source.languages[pair[1]]] += int(count)
    size_of = {source.name: source.rows for source in plan.sources}
    return Description(
        steps=steps,
        questions=sum(sizes),
        kinds=dict(kinds.most_common()),
        sources=dict(sources.most_common()),
        languages=dict(languages.most_common()),
        epochs={name: count / size_of[name] for name, count in rows.items()},
        batch_size=(min(sizes, default=0), max(sizes, default=0)),
    )
