"""Streams: endless sequences of batches of one kind from one source, in one language or pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from panglot._errors import PanglotError
from panglot.batching.batch import Bools
from panglot.batching.policy import Policy
from panglot.batching.random import Floats
from panglot.batching.table import TrainingTable
from panglot.data.collection import Ints

ONE_LANGUAGE = ("english", "mono")
DISTILL = ("distill-questions", "distill-passages")
_CHUNK = 65536

_CURES = {
    "distill-questions": "add a set with questions in English and other languages",
    "distill-passages": "add a set with passages in English and other languages",
    "english": "add a set with English questions and passages, or choose other batches",
    "mono": "add a set whose questions and passages share a language, or choose other batches",
    "mixed-mono": "add a set whose questions and passages share a language, or choose other batches",
}


@dataclass(frozen=True)
class Stream:
    """The batches of one kind from one source.

    Attributes:
        kind: As :attr:`panglot.batching.Batch.kind`.
        source: Index into the plan's sources.
        question: The questions' language, an index into the source's languages; −1 where it varies.
        passage: The passages' language, likewise.
        probability: That a step of this kind is of this stream.
    """

    kind: str
    source: int
    question: int
    passage: int
    probability: float

    def name(self, source: TrainingTable) -> str:
        """Return what seeds this stream's permutations: it holds languages by code and never by number."""
        x, y = (source.languages[i] if i >= 0 else "*" for i in (self.question, self.passage))
        return f"{self.kind} {x} {y}"

    def rows(self, source: TrainingTable) -> Ints:
        """Return the rows of the source that can serve."""
        if self.question >= 0:
            return np.flatnonzero((source.question[:, self.question] >= 0) & (source.passage[:, self.passage] >= 0))
        return np.flatnonzero(_serves(self.kind, source))


@dataclass(frozen=True)
class Objective:
    """One of the losses whose gradients meet in a step of gradient mixing.

    Attributes:
        name: ``mono``, ``cross``, …; of a family, the language (``de``) or the pair (``de-fr``: question, passage).
        kinds: The kinds of its batches, with their probabilities.
        weight: Its share in a weighted mean, before division by the sum of all.
        question: The only language of its questions, or nothing.
        passage: The only language of its passages, or nothing.
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

    Raises:
        PanglotError: No source can serve the kind.
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
        names = ", ".join(source.name for source in sources)
        raise PanglotError(
            f"no row of {names} can serve {kind} batches",
            field="batches",
            hint=_CURES.get(kind, "add a set with one question or passage in several languages, or choose mono"),
        )
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
    """Whether a BCP 47 code is that of English, of whatever region."""
    return code.split("-", maxsplit=1)[0] == "en"


def english_of(source: TrainingTable) -> int:
    """Return the number of a source's English, the plainest code if there are several; −1 if there is none."""
    found = [x for x, code in enumerate(source.languages) if is_english(code)]
    return min(found, key=lambda x: len(source.languages[x]), default=-1)


def pair_counts(source: TrainingTable) -> Ints:
    """Return how many rows have a question in x and a relevant passage in y, shape ``[languages, languages]``."""
    size = len(source.languages)
    counts = np.zeros((size, size), np.int64)
    for start in range(0, source.rows, _CHUNK):
        part = slice(start, start + _CHUNK)
        # Sums of 65,536 ones are exact in float32, whose products are far faster than those of integers.
        q, p = ((matrix[part] >= 0).astype(np.float32) for matrix in (source.question, source.passage))
        counts += (q.T @ p).astype(np.int64)
    if not source.mono:
        np.fill_diagonal(counts, 0)
    return counts


def _count(source: TrainingTable, kind: str) -> tuple[list[tuple[int, int, int]], int]:
    """Return (x, y, rows) for each stream of a kind in a source, and how many rows serve any of them."""
    size = len(source.languages)
    if kind in {*ONE_LANGUAGE, "cross-pair"}:
        pairs = pair_counts(source)
        if kind == "cross-pair":
            entries = [(x, y, int(pairs[x, y])) for x in range(size) for y in range(size) if x != y]
        else:
            chosen = [x for x in range(size) if kind == "mono" or is_english(source.languages[x])]
            entries = [(x, x, int(pairs[x, x])) for x in chosen]
        if kind == "english":
            return entries, max((n for *_, n in entries), default=0)
    else:
        entries = []
    rows = serving(kind, source)
    return (entries or [(-1, -1, rows)]) if kind not in {*ONE_LANGUAGE, "cross-pair"} else entries, rows


def serving(kind: str, source: TrainingTable) -> int:
    """Return how many rows of a source can serve a kind."""
    return int(_serves(kind, source).sum())


def _serves(kind: str, source: TrainingTable) -> Bools:
    """Mark the rows that can serve a kind.

    ``whole-group`` takes the rows that could serve ``cross``: groups in one language each would meet in mixed
    batches of one-language rows, which is ``mixed-mono``.
    """
    found = np.empty(source.rows, bool)
    for start in range(0, source.rows, _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = _piece_serves(kind, source, source.question[part] >= 0, source.passage[part] >= 0)
    return found


def _piece_serves(kind: str, source: TrainingTable, q: Bools, p: Bools) -> Bools:
    """Mark those of some rows, with their questions and passages by language."""
    if kind in DISTILL:
        side, english = (q if kind == DISTILL[0] else p), english_of(source)
        return side[:, english] & (side.sum(1) > 1) if english >= 0 else np.zeros(len(side), bool)
    both = (q & p).sum(1)
    mono = (both > 0) & source.mono
    if kind in {"mono", "mixed-mono"}:
        return mono
    cross = q.sum(1) * p.sum(1) > both
    return (cross | mono) if kind == "hybrid-row" else cross
