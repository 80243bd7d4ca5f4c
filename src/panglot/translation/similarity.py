"""Is the translation near its source under an encoder?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

#: Of cosines of sources with other rows' translations, the quantile that a row's own must reach.
QUANTILE = 0.95
_FEWEST = 20


def distant(sources: npt.NDArray[np.float32], translations: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Mark the rows whose translation is no nearer to its source than other rows' translations are.

    The limit is the .95 quantile of the cosines of each source with the next row's translation, so that no encoder
    needs a threshold of its own. With fewer than 20 rows none is marked.

    Args:
        sources: Unit vectors, shape ``[rows, dimension]``.
        translations: Unit vectors, the same shape.

    Returns:
        One mark a row.
    """
    if len(sources) < _FEWEST:
        return np.zeros(len(sources), np.bool_)
    own = np.einsum("rd,rd->r", sources, translations)
    others = np.einsum("rd,rd->r", sources, np.roll(translations, 1, axis=0))
    return own < np.quantile(others, QUANTILE)


def distant_by(encoder: Any) -> Callable[[Sequence[str], Sequence[str], Any], list[bool]]:
    """Return the filter of an :class:`panglot.encoders.protocol.Encoder`.

    Both texts of a row are encoded on its side, question or passage.
    """

    def marks(sources: Sequence[str], translations: Sequence[str], side: Any) -> list[bool]:
        found = distant(encoder.encode(sources, side), encoder.encode(translations, side))
        return [bool(mark) for mark in found]

    return marks
