"""What questions have in common and passages do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panglot.corpus.registry import read

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder
    from panglot.search.pool import Doubles

FACTS = 20
"""Facts that are asked and told, each in twelve languages."""


def side_shift(encoder: Encoder) -> Doubles:
    """Return the mean of questions less that of the passages that answer them, shape ``[dimension]``.

    When an index is built, nobody has asked yet; but the difference between the sides, of prompt and of form, is much
    the same in every language. It is measured on the starter collection, which comes with panglot.

    Args:
        encoder: Gives plain vectors.
    """
    facts = read("starter:train")
    groups = set(sorted(set(facts.passages["group"].to_pylist()))[:FACTS])
    questions, passages = (
        [row["text"] for row in table.to_pylist() if row["group"] in groups]
        for table in (facts.questions, facts.passages)
    )
    asked, told = encoder.encode(questions, "question"), encoder.encode(passages, "passage")
    return asked.mean(axis=0, dtype=np.float64) - told.mean(axis=0, dtype=np.float64)
