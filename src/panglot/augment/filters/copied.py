"""Is the translation the source again?"""

from __future__ import annotations

from panglot.augment.filters.letters import words

_LONG = 3


def copied_share(source: str, translation: str) -> float:
    """Return the share of the translation's runs of three words that the source has as well.

    A translation of fewer than three words is compared as a whole. In scripts without blanks, a letter is a word.

    >>> copied_share("Who wrote this book?", "Who wrote this book?"), copied_share("Who is it?", "¿Quién es él?")
    (1.0, 0.0)
    """
    first, second = words(source), words(translation)
    if len(second) < _LONG:
        return float(first == second)
    runs = [tuple(second[place : place + _LONG]) for place in range(len(second) - _LONG + 1)]
    known = {tuple(first[place : place + _LONG]) for place in range(len(first) - _LONG + 1)}
    return sum(run in known for run in runs) / len(runs)
