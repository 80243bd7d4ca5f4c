"""All filters on one row."""

from __future__ import annotations

from dataclasses import dataclass

from panglot.augment.filters.copied import copied_share
from panglot.augment.filters.language import wrong_language, wrong_script
from panglot.augment.filters.length import length_ratio
from panglot.augment.filters.letters import weight
from panglot.augment.filters.names import names_lost
from panglot.augment.filters.numbers import numbers_lost
from panglot.augment.filters.repeated import repetition

#: The reasons that :func:`judge` gives, and the one that an encoder may add.
REASONS = ("not translated", "language", "script", "length", "copied", "numbers", "names", "repeated", "similarity")
_SHORT = 30


@dataclass(frozen=True)
class Thresholds:
    """From where on a row is dropped; chosen to spare good translations rather than to catch all bad ones.

    Attributes:
        letters: A text with fewer is not asked for its language.
        sure: How sure the identification of another language must be.
        script: The least share of letters in the target's script.
        longer: The most that a text of 30 letters or more may be longer or shorter, as a factor; twice that for
            shorter ones.
        copied: The largest share of runs of three words that the source has as well, from four words on.
        numbers: The largest share of the source's numbers that may be missing.
        names: The largest share of the source's names that may be missing, from three on.
        repeated: How often a stretch may follow on itself, if that of the source does not.
    """

    letters: int = 20
    sure: float = 0.9
    script: float = 0.5
    longer: float = 2.5
    copied: float = 0.6
    numbers: float = 0.25
    names: float = 0.8
    repeated: int = 3


#: Limits that no text exceeds.
LAX = Thresholds(
    letters=2**31, sure=2.0, script=0.0, longer=float("inf"), copied=1.0, numbers=1.0, names=1.0, repeated=2**31
)


def judge(source: str, translation: str, spoken: str, target: str, thresholds: Thresholds) -> list[str]:
    """Return the reasons for which a translation should be left out, of :data:`REASONS`; none: keep it.

    Args:
        source: The text.
        translation: What the engine made of it.
        spoken: The source's language.
        target: The language asked for.
        thresholds: The limits.

    >>> judge("Who wrote the book in 1999?", "¿Quién escribió el libro en 1989?", "en", "es", Thresholds())
    ['numbers']
    """
    limits = thresholds
    factor = limits.longer * (1 if weight(source) >= _SHORT else 2)
    ratio = length_ratio(source, translation)
    again = repetition(translation)
    found = {
        "language": wrong_language(translation, target, letters=limits.letters, sure=limits.sure) is not None,
        "script": wrong_script(translation, target, limits.script) and not wrong_script(source, spoken, limits.script),
        "length": not 1 / factor <= ratio <= factor,
        # One name or two are the same in many languages.
        "copied": len(source.split()) + weight(source) / 10 > 4 and copied_share(source, translation) > limits.copied,
        "numbers": numbers_lost(source, translation, target) > limits.numbers,
        "names": names_lost(source, translation, spoken) > limits.names,
        "repeated": again > limits.repeated and again > repetition(source),
    }
    return [name for name, wrong in found.items() if wrong]
