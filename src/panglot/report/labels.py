"""Names of languages and measures, and numbers as readers see them."""

from __future__ import annotations

import contextlib
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from panglot.evaluation.bias import BIAS_MEASURES
from panglot.evaluation.measures import MEANINGS

_LONG_WORD = 20  # Characters. A longer word at the end is cut, and a shorter one left out.


@dataclass(frozen=True)
class LanguageName:
    """A language's code in the figures, its name in itself (``العربية``) and in English, or the code if unknown.

    ``tag`` is a valid BCP 47 tag for HTML's ``lang``, or None.
    """

    code: str
    autonym: str
    english: str
    tag: str | None


@lru_cache(maxsize=1024)
def language_name(code: str) -> LanguageName:
    """Return the names of a language. An unknown code is its own name.

    >>> language_name("de").autonym, language_name("de").english, language_name("no such thing").english
    ('Deutsch', 'German', 'no such thing')
    """
    import langcodes

    shown, tag = sanitize(code), None
    # Not a tag at all, or without language_data, the optional package of names.
    with contextlib.suppress(ValueError, ImportError, LookupError):
        found = langcodes.Language.get(code)
        if found.is_valid():
            tag = found.to_tag()
            return LanguageName(shown, found.autonym(), found.display_name(), tag)
    return LanguageName(shown, shown, shown, tag)


def sanitize(text: object) -> str:
    r"""Return ``text`` without anything that a terminal or a browser could take for a command.

    Control characters and lone surrogates become the replacement character. Line breaks and tabs become spaces.

    >>> sanitize("a\x1b[31mb\nc")
    'a�[31mb c'
    """
    blanks = str(text).translate({ord("\n"): " ", ord("\t"): " ", ord("\r"): None})
    return "".join("�" if unicodedata.category(mark) in {"Cc", "Cs"} else mark for mark in blanks)


def shorten(text: str, length: int) -> str:
    """Return a text as one line of at most ``length`` characters, cut after a word if its last word is not a long one.

    >>> shorten("one  two three", 10), shorten("一二三四五六", 4)
    ('one two…', '一二三…')
    """
    line = " ".join(text.split())
    if len(line) <= length:
        return line
    start = line[: length - 1]
    whole = line[:length].rpartition(" ")[0]
    return f"{whole if len(whole) > max(len(start) - _LONG_WORD, 0) else start}…"


def short_names(models: tuple[str, ...]) -> dict[str, str]:
    """Return the last path segment of each model, or the whole name where two segments are equal.

    >>> short_names(("runs/mono", "runs/hybrid"))
    {'runs/mono': 'mono', 'runs/hybrid': 'hybrid'}
    >>> short_names(("a/x", "b/x"))
    {'a/x': 'a/x', 'b/x': 'b/x'}
    """
    short = {model: sanitize(model).rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1] for model in models}
    values = list(short.values())
    return {model: name if name and values.count(name) == 1 else sanitize(model) for model, name in short.items()}


Kind = Literal["score", "rank", "count", "percent", "times"]

MISSING = "–"


def format_number(value: float | None, kind: Kind = "score", *, digits: int = 3, sign: bool = False) -> str:
    """Return ``value`` as text, or an en dash if it is missing.

    ``kind`` is ``score`` for ``.800``, ``rank`` for ``1,214`` or ``77.6``, ``count`` for ``48``, ``percent`` for
    ``9.3%``, which has two decimals fewer than a score, or ``times`` for ``7.3×``. Differences have a plus ``sign``.
    A score or percentage that would look like 0 or 1 and is not has up to two decimals more.

    >>> format_number(0.79971), format_number(1214.2, "rank"), format_number(0.0933, "percent")
    ('.800', '1,214', '9.3%')
    >>> format_number(-0.0123, sign=True), format_number(0.5, digits=2), format_number(None)
    ('−.012', '.50', '–')
    >>> format_number(0.9996), format_number(0.996, "percent", digits=2), format_number(-0.0003, sign=True)
    ('.9996', '99.6%', '−.0003')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    text = _unsigned(abs(value), kind, digits)
    # What rounds to zero has no sign, because a plus would be wrong as often as not.
    if not any(digit in "123456789" for digit in text):
        return text
    return f"−{text}" if value < 0 else f"+{text}" if sign else text


def percent(share: float) -> str:
    """Return a share as a whole percentage, with decimals if it would look like none or all and is not.

    >>> percent(0.345), percent(0.004), percent(1.0)
    ('34%', '0.4%', '100%')
    """
    return format_number(share, "percent", digits=2)


def format_interval(
    interval: Sequence[float] | None, kind: Kind = "score", *, digits: int = 3, sign: bool = False
) -> str:
    """Return ``[low, high]``, or an empty string without an interval.

    >>> format_interval([0.788, 0.812]), format_interval((1180, 1250), "rank"), format_interval(None)
    ('[.788, .812]', '[1,180, 1,250]', '')
    """
    ends = ", ".join(format_number(end, kind, digits=digits, sign=sign) for end in interval or ())
    return f"[{ends}]" if ends else ""


def format_p(p: float | None) -> str:
    """Return a p-value: ``.012``, or ``< .001``. What is below .05 does not look as if it were not.

    >>> format_p(0.0123), format_p(0.0002), format_p(1.0), format_p(0.0496)
    ('.012', '< .001', '1.000', '< .050')
    """
    if p is None or p >= 0.05:
        return format_number(p)
    return "< .001" if p < 0.001 else "< .050" if round(p, 3) >= 0.05 else format_number(p)


def _unsigned(value: float, kind: Kind, digits: int) -> str:
    # Sums of exact figures may differ from 0 and 1 in their last bits.
    if kind in {"score", "percent"} and value > 1e-9 and abs(value - 1) > 1e-9:
        digits = next((more for more in range(digits, digits + 3) if round(value, more) not in {0, 1}), digits)
    match kind:
        case "score":
            text = f"{value:.{digits}f}"
            return text.removeprefix("0") or text
        case "rank":
            return f"{value:,.0f}" if value >= 99.95 or value == 0 else f"{value:.1f}"
        case "count":
            return f"{value:,.0f}"
        case "percent":
            return f"{100 * value:.{max(0, digits - 2)}f}%"
        case "times":
            return f"{value:.2f}×" if value < 9.995 else f"{value:.1f}×"


SETTING_LABELS = {"monolingual": "Monolingual", "crosslingual": "Cross-lingual", "multilingual": "Multilingual"}
SETTING_MEANINGS = {
    "monolingual": "Passages in the question's own language.",
    "crosslingual": "Passages in one other language, averaged over all language pairs.",
    "multilingual": "Passages of all languages in one pool. Every language version of an answer counts.",
}


@dataclass(frozen=True)
class Measure:
    """A measure as reports show it: its key in the figures, such as ``complete@20``, name and meaning for readers."""

    key: str
    label: str
    kind: Kind
    lower: bool
    meaning: str

    @property
    def heading(self) -> str:
        """The label, with an arrow down where lower is better."""
        return f"{self.label} ↓" if self.lower else self.label


# By the name without the cut-off, as figures may have other cut-offs than those that are computed today.
_BIAS = {each.name.partition("@")[0]: each for each in BIAS_MEASURES}

# Parts of a report that can be missing and are not measures.
_PARTS = {
    "interval": "Intervals",
    "geometry": "Geometry",
    "language_classifier": "Language classifier",
    "translation_cosine": "Cosine of translations",
}

# Numbers of a setting that are counts, not measures.
_SIZES = {"pool_size", "left_out", "questions"}


def measure(key: str) -> Measure:
    """Return the measure of a key. An unknown key is a score that is called by its key.

    >>> measure("complete@20").label, measure("rank_distance").lower, measure("nDCG@10").label
    ('Complete within 20', True, 'nDCG@10')
    """
    base, k = _parts(key)
    if key in _PARTS:
        return Measure(key, _PARTS[key], "score", False, "")
    if base in _BIAS:
        found = _BIAS[base]
        return Measure(key, found.label.format(k=k), found.kind, found.better == "lower", found.meaning.format(k=k))
    return Measure(key, key, "score", False, MEANINGS.get(base, "").format(k=k or "n"))


def bias_measures(keys: list[str]) -> list[Measure]:
    """Return the measures of language bias among ``keys``, in the order in which reports show them."""
    order = list(_BIAS)
    found = [(order.index(name), int(k or 0), key) for key in keys for name, k in [_parts(key)] if name in _BIAS]
    return [measure(key) for *_, key in sorted(found)]


def retrieval_measures(keys: list[str]) -> list[Measure]:
    """Return the other measures among ``keys``, in their own order."""
    return [measure(key) for key in keys if _parts(key)[0] not in _BIAS and key not in _SIZES]


def _parts(key: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.+)@(\d+)", key)
    return (found[1], found[2]) if found else (key, "")
