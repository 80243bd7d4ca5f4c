"""What questions have in common and passages do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panglot.corpus.registry import read
from panglot.search._checks import check_encoded

if TYPE_CHECKING:
    from pyarrow import Table

    from panglot.encoders.protocol import Encoder, Side
    from panglot.search.pool import Doubles

FACTS = 20
"""Facts that are asked and told, each in twelve languages."""


def side_shift(encoder: Encoder) -> Doubles:
    """Return the mean of questions less that of the passages that answer them, shape ``[dimension]``.

    When an index is built, nobody has asked yet; but the difference between the sides, of prompt and of form, is much
    the same in every language. It is measured on the starter collection, which comes with panglot.

    Args:
        encoder: Gives plain vectors.

    Raises:
        PanglotError: The encoder gives a vector that is not finite.
    """
    facts = read("starter:train")
    groups = set(sorted(set(facts.passages["group"].to_pylist()))[:FACTS])

    def mean(table: Table, side: Side) -> Doubles:
        rows = [row for row in table.to_pylist() if row["group"] in groups]
        found = encoder.encode([row["text"] for row in rows], side)
        checked = check_encoded(found, [row["id"] for row in rows], encoder, f"{side} of the starter collection")
        return checked.mean(axis=0, dtype=np.float64)

    return mean(facts.questions, "question") - mean(facts.passages, "passage")
