"""Which rows meet: the policy of a user, the streams of batches that follow from it, and the draws among them.

Draws are a pure function of a name. Only the raw output of numpy's counter-based Philox is used: numpy promises that it
stays the same from version to version, which it does not for the methods of ``Generator``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.batching.table import TrainingTable, eligible_rows, is_english, pair_counts
from panglot.data.collection import Ints
from panglot.data.columns import Bools


@dataclass(frozen=True)
class Batch:
    """The rows of one step.

    Attributes:
        step: The step's number, from 0.
        kind: ``mono``, ``mixed-mono``, ``cross``, ``cross-pair``, ``hybrid-row``, ``whole-group`` or
            ``english``. In ``distill-questions`` both sides are versions of a question, and passage i is the English
            version of question i. ``distill-passages`` is the same for passages.
        source: Index into the plan's sources.
        rows: The source's row of each question, shape ``[B]``.
        questions: Row numbers in the collection's questions, shape ``[B]``.
        passages: Row numbers in the collection's passages, shape ``[P]``. P = B except for ``whole-group``.
        positive: Which passages answer which questions, shape ``[B, P]``, for ``whole-group``. Otherwise ``None``, and
            passage i answers question i.
        question_languages: Index into the source's languages, shape ``[B]``.
        passage_languages: Index into the source's languages, shape ``[P]``.
    """

    step: int
    kind: str
    source: int
    rows: Ints
    questions: Ints
    passages: Ints
    positive: Bools | None
    question_languages: Ints
    passage_languages: Ints

    def shard(self, rank: int, world: int) -> Batch:
        """Return the part of process ``rank`` of ``world``: consecutive questions and their passages.

        The parts in the order of the ranks make up the batch. Their numbers of questions (for ``whole-group``, of
        groups) differ by at most one. If there are more processes than questions, some parts are empty.
        """
        if not 0 <= rank < world:
            raise ValueError(f"`rank` must be between 0 and {world - 1}, got {rank}")
        if self.positive is None:
            part = slice(len(self.rows) * rank // world, len(self.rows) * (rank + 1) // world)
            columns, positive = part, None
        else:
            starts = np.flatnonzero(np.r_[True, np.diff(self.rows) != 0])
            edges = np.r_[starts, len(self.rows)]
            part = slice(edges[len(starts) * rank // world], edges[len(starts) * (rank + 1) // world])
            # Passages are in the order of their groups, so those of consecutive groups are consecutive.
            own = np.flatnonzero(self.positive[part].any(0))
            columns = slice(own[0], own[-1] + 1) if len(own) else slice(0, 0)
            positive = self.positive[part, columns]
        return replace(
            self,
            rows=self.rows[part],
            questions=self.questions[part],
            passages=self.passages[columns],
            positive=positive,
            question_languages=self.question_languages[part],
            passage_languages=self.passage_languages[columns],
        )


Batches = Literal["english", "mono", "mixed-mono", "cross", "cross-pair", "hybrid", "hybrid-row", "whole-group"]
CrossKind = Literal["cross", "pair"]
LanguageSampling = Literal["temperature", "round-robin"]
Floats = npt.NDArray[np.float64]
_ONE_LANGUAGE = ("english", "mono")

_HINTS = {
    "distill-questions": "add a set with questions in English and other languages",
    "distill-passages": "add a set with passages in English and other languages",
    "english": "add a set with English questions and passages, or choose other batches",
    "mono": "add a set whose questions and passages share a language, or choose other batches",
    "mixed-mono": "add a set whose questions and passages share a language, or choose other batches",
}


@dataclass(frozen=True)
class Policy:
    """Which rows meet in a batch.

    Attributes:
        batches: The kind of batches. ``english`` and ``mono``: all texts of a batch are in one language.
            ``mixed-mono``: question and passage of a row are in one language. ``cross``: they are in two languages,
            drawn for each row. ``cross-pair``: they are in two languages, one pair per batch. ``hybrid`` (2408.10536):
            a ``mono`` batch with probability ``alpha``, otherwise a cross batch. ``hybrid-row``: a row as in
            ``mixed-mono`` with probability ``alpha``, otherwise as in ``cross``. ``whole-group``: all versions of some
            groups together.
        alpha: Share of one-language batches (``hybrid``) or rows (``hybrid-row``), 0 to 1. In a batch of ``hybrid-row``
            over L languages, a passage in the question's language is the right one more often than others if ``alpha``
            is above 1/L, so language is a clue. At 1/L it is none.
        cross_kind: Whether the cross batches of ``hybrid`` are ``cross`` or ``cross-pair`` (``"pair"``).
        batch_size: Largest number of questions per batch. Batches of one epoch differ by at most one row, so 33 rows
            make batches of 17 and 16, not of 32 and 1. For ``whole-group``, the average number of questions per batch.
        source_temperature: Sources are drawn in proportion to n^(1/T), where n is the number of eligible rows:
            1 is proportional, infinity is uniform.
        language_temperature: The same for the language or pair of a batch. 2 draws by the square root of the size, as
            mDenseOn does (2607.27178), so that rare languages are seen more often without endless repetition.
        language_sampling: How the language (or pair) of a one-language (or ``cross-pair``) batch is chosen:
            ``temperature`` draws it as ``language_temperature`` says. ``round-robin`` deals all languages in a new
            random order, then all again, so that a short run meets as many as it has batches. The source of a batch is
            then drawn among those with the language.
        seed: Seeds every draw.

    Raises:
        PanglotError: A value is out of its range.
    """

    batches: Batches = "hybrid"
    alpha: float = 0.5
    cross_kind: CrossKind = "cross"
    batch_size: int = 32
    source_temperature: float = 1.0
    language_temperature: float = 2.0
    language_sampling: LanguageSampling = "temperature"
    seed: int = 0

    def __post_init__(self) -> None:
        options = {"batches": Batches, "cross_kind": CrossKind, "language_sampling": LanguageSampling}
        for field, known in options.items():
            if (value := getattr(self, field)) not in get_args(known):
                hint = f"choose one of {', '.join(get_args(known))}"
                raise PanglotError(f"unknown value {value!r}", field=field, hint=hint)
        if not 0 <= self.alpha <= 1:
            raise PanglotError(f"must be between 0 and 1, got {self.alpha}", field="alpha", hint="choose from 0 to 1")
        if self.batch_size < 2:
            problem = f"must be at least 2, got {self.batch_size}: a batch of one has no negatives"
            raise PanglotError(problem, field="batch_size", hint="choose 2 or more")
        for field in ("source_temperature", "language_temperature"):
            if math.isnan(value := getattr(self, field)) or value <= 0:
                raise PanglotError(f"must be above 0, got {value}", field=field, hint="choose 1 (proportional) or more")

    @property
    def kinds(self) -> tuple[tuple[str, float], ...]:
        """The kinds of batches that occur, with their probabilities.

        >>> Policy("hybrid", alpha=0.25, cross_kind="pair").kinds
        (('mono', 0.25), ('cross-pair', 0.75))
        >>> Policy("hybrid", alpha=1).kinds
        (('mono', 1.0),)
        """
        if self.batches != "hybrid":
            return ((self.batches, 1.0),)
        cross = "cross" if self.cross_kind == "cross" else "cross-pair"
        both = (("mono", float(self.alpha)), (cross, 1.0 - self.alpha))
        return tuple((kind, share) for kind, share in both if share > 0)


@dataclass(frozen=True)
class Stream:
    """An endless sequence of batches of one kind from one source, in one language or pair.

    Languages are indices into the source's languages, −1 if they vary. ``probability`` is that of a step of this kind
    being from this stream.
    """

    kind: str
    source: int
    question: int
    passage: int
    probability: float

    def name(self, source: TrainingTable) -> str:
        """Return the name that seeds the stream's permutations. It has languages by code, never by number."""
        x, y = (source.languages[i] if i >= 0 else "*" for i in (self.question, self.passage))
        return f"{self.kind} {x} {y}"

    def rows(self, source: TrainingTable) -> Ints:
        """Return the rows of the source that can serve."""
        if self.question >= 0:
            return np.flatnonzero((source.question[:, self.question] >= 0) & (source.passage[:, self.passage] >= 0))
        return np.flatnonzero(eligible_rows(self.kind, source))


@dataclass(frozen=True)
class Objective:
    """One of the losses whose gradients meet in a step of gradient mixing.

    Attributes:
        name: ``mono``, ``cross``, …; of a family, the language (``de``) or the pair (``de-fr``: question, passage).
        kinds: The kinds of its batches, with their probabilities.
        weight: Its share in a weighted mean, before division by the sum of all.
        question: The only language of its questions, or "". ``passage`` likewise.
    """

    name: str
    kinds: tuple[tuple[str, float], ...]
    weight: float = 1.0
    question: str = ""
    passage: str = ""


def streams(
    sources: Sequence[TrainingTable], policy: Policy, kind: str, objective: Objective | None = None
) -> tuple[Stream, ...]:
    """Return the streams of a kind, ordered by source name and languages; of an objective, those in its languages.

    A language, pair or source with fewer than two rows for the kind cannot fill a batch and has no stream.
    """
    found: list[tuple[int, list[tuple[int, int, int]], int]] = []
    for index in sorted(range(len(sources)), key=lambda i: sources[i].name):
        counts, total = _count(sources[index], kind)
        if objective is not None and objective.question:
            wanted, codes = (objective.question, objective.passage), sources[index].languages
            counts = [entry for entry in counts if (codes[entry[0]], codes[entry[1]]) == wanted]
            total = sum(n for *_, n in counts)
        if counts := [entry for entry in counts if entry[2] > 1]:
            found.append((index, counts, total))
    if not found:
        problem = f"no two rows of {', '.join(source.name for source in sources)} can be used for {kind} batches"
        hint = _HINTS.get(kind, "add a set with one question or passage in several languages, or choose mono")
        raise PanglotError(problem, field="batches", hint=hint)
    of_source = shares([total for _, _, total in found], policy.source_temperature)
    return tuple(
        Stream(kind, index, x, y, float(share * inner))
        for (index, counts, _), share in zip(found, of_source, strict=True)
        for (x, y, _), inner in zip(counts, shares([n for *_, n in counts], policy.language_temperature), strict=True)
    )


def shares(counts: Sequence[int], temperature: float) -> Floats:
    """Return probabilities in proportion to n^(1/T).

    >>> import math
    >>> shares([1, 100], 2).round(3).tolist(), shares([1, 100], math.inf).tolist()
    ([0.091, 0.909], [0.5, 0.5])
    """
    logs = np.log(np.asarray(counts, np.float64)) / temperature
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


def _count(source: TrainingTable, kind: str) -> tuple[list[tuple[int, int, int]], int]:
    """Return (x, y, rows) for each stream of a kind in a source, and how many rows any of them can use."""
    if kind not in {*_ONE_LANGUAGE, "cross-pair"}:
        rows = int(eligible_rows(kind, source).sum())
        return [(-1, -1, rows)], rows
    entries = [(x, y, int(number)) for (x, y), number in np.ndenumerate(pair_counts(source))]
    if kind == "cross-pair":
        entries = [(x, y, number) for x, y, number in entries if x != y]
    else:
        entries = [(x, y, number) for x, y, number in entries
                   if x == y and (kind == "mono" or is_english(source.languages[x]))]  # fmt: skip
    if kind == "english":
        return entries, max((number for *_, number in entries), default=0)
    return entries, int(eligible_rows(kind, source).sum())


_PIECE = 1 << 20


class Draws:
    """What each step takes of some choices, drawn in blocks so that step k needs no walk through all earlier steps.

    ``draw`` returns a block's choices, shape ``[block, choices per step]``, from the block's number and from how often
    each choice was taken before it.
    """

    def __init__(self, choices: int, block: int, draw: Callable[[int, Ints], Ints]) -> None:
        self._block, self._draw = block, draw
        self._drawn: list[Ints] = []
        self._before: list[Ints] = [np.zeros(choices, np.int64)]

    def __call__(self, k: int) -> list[tuple[int, int]]:
        """Return the choices of step ``k``, each with the number of earlier steps that took it."""
        if k < 0:
            raise ValueError(f"there is no step {k}")
        block, place = divmod(k, self._block)
        while len(self._drawn) <= block:
            drawn = self._draw(len(self._drawn), self._before[-1])
            self._before.append(self._before[-1] + np.bincount(drawn.ravel(), minlength=len(self._before[0])))
            self._drawn.append(drawn)
        drawn, before = self._drawn[block], self._before[block]
        return [(choice, int(before[choice] + (drawn[:place] == choice).sum())) for choice in drawn[place].tolist()]


def random_bits(count: int, *name: str | int) -> npt.NDArray[np.uint64]:
    """Return ``count`` random 64-bit numbers that belong to ``name``; other names give independent ones."""
    key = int(digest(*(str(part) for part in name))[:32], 16)
    return np.random.Philox(key=key).random_raw(count)


def uniforms(count: int, *name: str | int) -> Floats:
    """Return ``count`` random numbers in [0, 1) that belong to ``name``."""
    bits = random_bits(count, *name)
    bits >>= np.uint64(11)
    # Written over the bits: with millions of rows, a second array of that size would be felt.
    found = bits.view(np.float64)
    for start in range(0, count, _PIECE):
        found[start : start + _PIECE] = bits[start : start + _PIECE].astype(np.float64) * 2.0**-53
    return found


def permutation(count: int, *name: str | int) -> Ints:
    """Return the permutation of ``0 … count - 1`` that belongs to ``name``."""
    return stable_order(random_bits(count, *name))


def stable_order(keys: npt.NDArray[np.uint64]) -> Ints:
    """Return the order of a stable sort. If no key occurs twice, any sort finds it, several times faster."""
    order = np.argsort(keys)
    ranked = keys[order]
    return np.argsort(keys, kind="stable") if (ranked[1:] == ranked[:-1]).any() else order
