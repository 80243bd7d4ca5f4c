"""Is the translation much longer or shorter than its source?"""

from __future__ import annotations

from panglot.augment.filters.letters import weight


def length_ratio(source: str, translation: str) -> float:
    """Return the length of the translation by that of its source, in letters of an alphabet (:func:`weight`).

    A text without letters counts as one letter long.

    >>> length_ratio("Who are you?", "你是谁？")
    1.0
    """
    return max(weight(translation), 1.0) / max(weight(source), 1.0)
