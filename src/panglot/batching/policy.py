"""Which rows meet: the policy of a user, and the streams of batches that follow from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot.batching.table import TrainingTable
from panglot.data.collection import Ints

Bools = npt.NDArray[np.bool_]


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
DISTILL = ("distill-questions", "distill-passages")
_CHUNK = 65536

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


def is_english(code: str) -> bool:
    """Return whether a BCP 47 code is that of English, of whatever region."""
    return code.split("-", maxsplit=1)[0] == "en"


def english_of(source: TrainingTable) -> int:
    """Return the number of a source's English, the plainest code if it has several, −1 without English."""
    found = [x for x, code in enumerate(source.languages) if is_english(code)]
    return min(found, key=lambda x: len(source.languages[x]), default=-1)


def pair_counts(source: TrainingTable) -> Ints:
    """Return how many rows have a question in x and a relevant passage in y, shape ``[languages, languages]``."""
    counts = np.zeros((len(source.languages),) * 2, np.int64)
    for start in range(0, source.rows, _CHUNK):
        part = slice(start, start + _CHUNK)
        # Sums of 65,536 ones are exact in float32, whose products are far faster than those of integers.
        q, p = ((matrix[part] >= 0).astype(np.float32) for matrix in (source.question, source.passage))
        counts += (q.T @ p).astype(np.int64)
    if not source.mono:
        np.fill_diagonal(counts, 0)
    return counts


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


def eligible_rows(kind: str, source: TrainingTable) -> Bools:
    """Mark the rows of a source that batches of a kind can use, shape ``[rows]``.

    ``whole-group`` takes the rows that ``cross`` can use. Groups in one language each would make batches of
    one-language rows, which is ``mixed-mono``.
    """
    found = np.empty(source.rows, bool)
    for start in range(0, source.rows, _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = _eligible_piece(kind, source, source.question[part] >= 0, source.passage[part] >= 0)
    return found


def _eligible_piece(kind: str, source: TrainingTable, q: Bools, p: Bools) -> Bools:
    """Mark the eligible rows of a piece, given which languages its questions and passages are in."""
    if kind in DISTILL:
        side, english = (q if kind == DISTILL[0] else p), english_of(source)
        return side[:, english] & (side.sum(1) > 1) if english >= 0 else np.zeros(len(side), bool)
    both = (q & p).sum(1)
    mono = (both > 0) & source.mono
    if kind in {"mono", "mixed-mono"}:
        return mono
    cross = q.sum(1) * p.sum(1) > both
    return (cross | mono) if kind == "hybrid-row" else cross
