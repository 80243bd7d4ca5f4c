"""Shares of questions, with intervals that take into account that translations of a question fail together."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import langcodes
import numpy as np

from panglot.data.collection import Collection, Ints
from panglot.encoders.protocol import Encoder, behind
from panglot.evaluation.exact_scores import Bools, Doubles
from panglot.probe.pools import Outcome

_Z = 1.959963984540054
#: Fewer groups do not show how much groups vary. With fewer on either side, no difference is reported.
_MIN_GROUPS = 10


def share(hit: Bools, group: Ints) -> tuple[float, float, float]:
    """Return the share of hits and the ends of its 95 % interval.

    The interval is Wilson's, (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n), with the effective number of
    questions n = N / deff. Kish's design effect deff is the variance between groups, stretched if they are few
    (:func:`_stretch`), divided by the variance of N independent questions. n is at most N, and at least N² / Σ_g N_g²,
    as if the questions of a group were always all hits or all none. n is that least number if all or no questions are
    hits, or with fewer than :data:`_MIN_GROUPS` groups.

    Translations share a group. ``hit`` and ``group`` have the shape ``[questions]``, with at least one question.

    >>> [round(value, 3) for value in share(np.arange(20) < 4, np.arange(20))]
    [0.2, 0.081, 0.416]
    """
    number, rate, sizes = len(hit), float(hit.mean()), np.bincount(group)
    effective, groups = number**2 / float((sizes**2).sum()), int(np.count_nonzero(sizes))
    if 0 < rate < 1 and groups >= _MIN_GROUPS:
        spread = float((_deviations(hit, group, len(sizes)) ** 2).sum()) * _stretch(groups) / _Z**2
        effective = max(effective, number / max(1.0, spread / (rate * (1 - rate) / number)))
    z = _Z**2 / effective
    middle = (rate + z / 2) / (1 + z)
    half = _Z * math.sqrt(rate * (1 - rate) / effective + z / (4 * effective)) / (1 + z)
    return rate, max(0.0, middle - half), min(1.0, middle + half)


def against_rest(hit: Bools, group: Ints, inside: Bools) -> dict[str, Any]:
    """Return the share of hits among some questions, the share among the rest, and the difference, with intervals.

    The interval of the difference p − p' is made of those of the shares, [l, u] and [l', u'], as Newcombe (1998) does:
    p − p' − √((p − l)² + (u' − p')² − 2r(p − l)(u' − p')), and the upper end likewise. r is the correlation of p and
    p' by Zou and Donner (2008), Σ_g e_g e'_g / √(Σ_g e_g² Σ_g e'_g²), where e_g and e'_g are the sums of deviations of
    group g on each side. A group may have questions on both sides.

    All arrays have the shape ``[questions]``. The difference and its interval are None if either side has fewer than
    :data:`_MIN_GROUPS` groups, and without ``rest`` if all questions are in a bucket.
    """
    rate, low, high = share(hit[inside], group[inside])
    figures: dict[str, Any] = {"weak": int(hit[inside].sum()), "questions": int(inside.sum()), "rate": rate,
                               "interval": [low, high], "rest": None, "difference": None,
                               "difference_interval": None}  # fmt: skip
    if inside.all():
        return figures
    figures["rest"] = rest = float(hit[~inside].mean())
    if min(len(np.unique(group[side])) for side in (inside, ~inside)) >= _MIN_GROUPS:
        _, bottom, top = share(hit[~inside], group[~inside])
        one, other = (_deviations(hit[side], group[side], int(group.max()) + 1) for side in (inside, ~inside))
        scale = math.sqrt(float((one**2).sum() * (other**2).sum()))
        together = float((one * other).sum()) / scale if scale else 0.0
        down, up = _reach(rate - low, top - rest, together), _reach(high - rate, rest - bottom, together)
        figures["difference"] = rate - rest
        figures["difference_interval"] = [rate - rest - down, rate - rest + up]
    return figures


def _reach(one: float, other: float, together: float) -> float:
    """Return how far an end of the interval of a difference is from it, given those of both sides."""
    return math.sqrt(max(0.0, one**2 + other**2 - 2 * together * one * other))


def mean(value: Doubles, group: Ints) -> tuple[float, list[float] | None]:
    """Return the mean of values and its 95 % Student interval over groups, or None with fewer than two groups."""
    centre = float(value.mean())
    groups = len(np.unique(group))
    if groups < 2:
        return centre, None
    # Only groups are independent of each other.
    deviation = np.bincount(group, value - centre) / len(value)
    half = math.sqrt(float((deviation**2).sum()) * _stretch(groups))
    return centre, [centre - half, centre + half]


def _deviations(hit: Bools, group: Ints, groups: int) -> Doubles:
    """Return the sum of deviations of each group divided by the number of questions, shape ``[groups]``."""
    return np.bincount(group, hit - hit.mean(), groups) / len(hit)


def _stretch(groups: int) -> float:
    """Return t² · G / (G − 1): by how much a sum of squared deviations of G groups gives a squared half interval.

    G / (G − 1) corrects the variance for few groups, and so does Student's t in the place of z.
    """
    from scipy.special import stdtrit

    return float(stdtrit(groups - 1, 0.975)) ** 2 * groups / (groups - 1)


#: Bounds of the buckets, the upper one within a bucket of lengths and the lower one within one of fertilities.
LENGTHS = (40, 60, 80)
FERTILITIES = (1.25, 1.5, 1.75, 2.0)
_LENGTHS = [f"{LENGTHS[0]} or fewer", *(f"{low + 1} to {high}" for low, high in pairwise(LENGTHS)),
            f"above {LENGTHS[-1]}"]  # fmt: skip
_FERTILITIES = [f"below {FERTILITIES[0]:g}", *(f"{low:g} to {high:g}" for low, high in pairwise(FERTILITIES)),
                f"{FERTILITIES[-1]:g} or more"]  # fmt: skip

_WHO = {"who": "who", "whom": "who", "whose": "who"}
_QUESTION_WORDS = _WHO | {word: word for word in ("what", "when", "where", "which", "why", "how")}


@lru_cache(maxsize=1024)
def _script(language: str) -> str:
    """Return the English name of the likely script of a language.

    >>> _script("th"), _script("sr"), _script("sr-Latn"), _script("zh-Hant")
    ('Thai', 'Cyrillic', 'Latin', 'Han')
    """
    found = langcodes.Language.get(language).maximize().script or "Zyyy"
    found = "Hani" if found in {"Hans", "Hant"} else found
    try:
        return langcodes.Language.make(script=found).script_name()
    except (ImportError, LookupError):  # langcodes keeps its names in a package of their own
        return found


def _length(english: str) -> str:
    """Return the bucket of the English version's length in characters, which all translations share.

    >>> _length("Who?"), _length("x" * 41), _length("x" * 99)
    ('40 or fewer', '41 to 60', 'above 80')
    """
    return _LENGTHS[bisect_left(LENGTHS, len(english))]


def _question_word(english: str) -> str:
    """Return the first question word anywhere in the English version. ``how many`` counts as one.

    >>> _question_word("In which year?"), _question_word("Of how much use is it?"), _question_word("Name one.")
    ('which', 'how many', 'none')
    """
    words = re.findall(r"[a-z]+", english.lower())
    for place, word in enumerate(words):
        if found := _QUESTION_WORDS.get(word):
            amount = word == "how" and words[place + 1 : place + 2] in (["many"], ["much"])
            return "how many" if amount else found
    return "none"


def _fertility(tokens: int, english: str) -> str:
    """Return the bucket of a version's number of tokens per word of the English version.

    Words are counted in English because Thai, Chinese and Japanese do not separate theirs.

    >>> _fertility(5, "How many are there?"), _fertility(30, "How many are there?")
    ('1.25 to 1.5', '2 or more')
    """
    return _FERTILITIES[bisect_right(FERTILITIES, tokens / max(1, len(english.split())))]


def _count_tokens(encoder: Encoder, texts: Sequence[str]) -> list[int] | None:
    """Return the number of tokens of each text without prompt and special tokens, or None without a tokenizer."""
    tokenizer: Any = getattr(getattr(behind(encoder, "model"), "model", None), "tokenizer", None)
    if not callable(tokenizer) or not texts:  # endpoints and precomputed vectors have no tokenizer
        return None
    found: Any = tokenizer(list(texts), add_special_tokens=False, padding=False, truncation=False)
    return [len(ids) for ids in found["input_ids"]]


def by_slice(
    outcomes: Sequence[Outcome], collection: Collection, encoder: Encoder
) -> tuple[dict[str, dict[str, Any]], list[dict[str, str]]]:
    """Return the share of weak questions of each slice beside that of the rest, among questions that English answers.

    The figures are by kind of slice and slice (:func:`against_rest`), beside what could not be measured. The kind
    ``all`` has one slice.
    """
    texts = collection.questions["text"]
    english, other, languages, groups = list[str](), list[str](), list[str](), list[str]()
    weak: list[bool] = []
    for outcome in outcomes:
        found = outcome.pools.parallel
        places = np.flatnonzero(outcome.answered)
        for side, rows in zip((english, other), found.questions, strict=True):
            side.extend(texts[int(row)].as_py() for row in rows[places])
        languages.extend(outcome.language for _ in places)
        groups.extend(found.groups[place] for place in places)
        weak.extend(outcome.weak[places].tolist())
    if not weak:
        return {}, [{"what": "weak shares", "why": "no question is answered in English"}]
    missing: list[dict[str, str]] = []
    tokens = _count_tokens(encoder, other)
    if tokens is None:
        missing.append({"what": "tokens per word", "why": "the model has no tokenizer"})
    labels = {
        "all": ["all" for _ in weak],
        "language": languages,
        "script": [_script(language) for language in languages],
        "length": [_length(text) for text in english],
        "question word": [_question_word(text) for text in english],
    }
    if tokens is not None:
        labels["tokens per word"] = [_fertility(n, text) for n, text in zip(tokens, english, strict=True)]
    group = np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)
    hit = np.array(weak, np.bool_)
    # Slices are in these orders, and otherwise the largest comes first.
    orders = {"language": languages, "length": _LENGTHS, "tokens per word": _FERTILITIES}
    figures: dict[str, dict[str, Any]] = {}
    for kind, names in labels.items():
        column = np.array(names)
        slices = {str(name): against_rest(hit, group, column == name) for name in np.unique(column)}
        key = orders[kind].index if kind in orders else lambda name, part=slices: -part[name]["questions"]
        figures[kind] = {name: slices[name] for name in sorted(slices, key=key)}
    return figures, missing
