"""Which texts of a training set are in test sets, found while they pass by: only the test sets are held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.corpus._grams import grams
from panglot.corpus._keys import Ints32, Keys, first_of, joined, keys
from panglot.corpus._maps import walk
from panglot.corpus.collection import Collection
from panglot.corpus.matches import Matches, Texts

THRESHOLD = 0.5
_EXAMPLES = 3


@dataclass(frozen=True)
class Shared:
    """What a training set shares with one test set.

    Attributes:
        test: Name of the test set.
        taken: Rows whose texts share at least the threshold, rising: those of questions, then, counted on, passages.
        equal: Distinct texts among them that are equal to a text of the test set.
        near: Distinct texts among them that are not.
        highest: The largest share below the threshold, 0 to 1.
        examples: The first few pairs at or above the threshold, text of the training set first.
        nearest: The pair with the share ``highest``, or None where nothing below the threshold is shared.
    """

    test: str
    taken: Ints32
    equal: int
    near: int
    highest: float
    examples: tuple[tuple[str, str], ...]
    nearest: tuple[str, str] | None


def shared(
    training: Collection, tests: Sequence[tuple[str, Texts]], *, threshold: float = THRESHOLD
) -> tuple[Shared, ...]:
    """Return what the texts of a training set share with each test set.

    n-grams of the test sets are held, and of the training set what is at or above the threshold: 4 bytes a row, 12 a
    text. All else passes by, so that memory does not grow with the training set.

    Raises:
        PanglotError: The threshold is not between 0 and 1.
    """
    if not 0 < threshold <= 1:
        raise PanglotError(f"a threshold of {threshold}", field="threshold", cure="give a number above 0, at most 1")
    findings = [_Finding(name, known, threshold) for name, known in tests]
    start = 0
    for table in (training.questions, training.passages) if tests else ():
        for batch in walk(table, ["text"]):
            whole = batch.column(0).dictionary_encode()
            piece = _Piece(whole.dictionary, whole.dictionary.to_pylist(), whole.indices.to_numpy(), start)
            for first, part in grams(piece.texts):
                for finding in findings:
                    finding.add(piece, finding.known.found_in(first, part))
            start += batch.num_rows
    return tuple(finding.told() for finding in findings)


@dataclass(frozen=True)
class _Piece:
    """Some rows: their distinct texts in the order of their first rows, twice, and the text and place of each row."""

    column: pa.StringArray
    texts: list[str]
    text: Ints32
    start: int

    def rows(self, texts: npt.NDArray[np.int64]) -> Ints32:
        """Return the rows that have one of some texts."""
        marked = np.zeros(len(self.texts), bool)
        marked[texts] = True
        return np.flatnonzero(marked[self.text]).astype(np.int32) + np.int32(self.start)

    def keys(self, texts: npt.NDArray[np.int64]) -> Keys:
        return keys(self.column.take(pa.array(texts)))


class _Finding:
    """What one test set has been found to have."""

    def __init__(self, name: str, known: Texts, threshold: float) -> None:
        self.known = known
        self._name, self._threshold = name, threshold
        self._rows: list[Ints32] = []
        self._taken: list[Keys] = []
        self._equal: list[Keys] = []
        self._examples: list[tuple[str, str]] = []
        self._highest = 0.0
        self._nearest: tuple[str, str] | None = None

    def add(self, piece: _Piece, matches: Matches) -> None:
        """Take what some texts of a piece share with the test set."""
        if not len(matches.share):
            return
        taken = matches.share >= self._threshold
        below = np.where(taken, 0.0, matches.share)
        nearest = int(below.argmax())
        if below[nearest] > self._highest:
            self._highest = float(below[nearest])
            self._nearest = self._pair(piece, matches, nearest)
        if not taken.any():
            return
        texts = np.unique(matches.first[taken])
        self._rows.append(piece.rows(texts))
        self._taken.append(piece.keys(texts))
        self._equal.append(piece.keys(np.unique(matches.first[matches.equal])))
        if len(self._examples) < _EXAMPLES:
            # All pairs of the texts that came before are there: a text that comes again has no new ones.
            seen = {mine for mine, _ in self._examples}
            pairs = (self._pair(piece, matches, at) for at in np.flatnonzero(taken)[: 2 * _EXAMPLES].tolist())
            self._examples += [pair for pair in pairs if pair[0] not in seen]
            del self._examples[_EXAMPLES:]

    def told(self) -> Shared:
        rows = np.sort(np.concatenate([np.empty(0, np.int32), *self._rows]))
        taken, equal = _distinct(self._taken), _distinct(self._equal)
        return Shared(self._name, rows, equal, taken - equal, self._highest, tuple(self._examples), self._nearest)

    def _pair(self, piece: _Piece, matches: Matches, at: int) -> tuple[str, str]:
        return piece.texts[int(matches.first[at])], self.known.texts[int(matches.second[at])]


def _distinct(found: Sequence[Keys]) -> int:
    first = first_of(joined(found))
    return int(np.count_nonzero(first == np.arange(len(first), dtype=np.int32)))
