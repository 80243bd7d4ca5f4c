"""Pairs of texts that share n-grams, exactly."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from panglot.corpus._grams import Grams, Hashes, grams
from panglot.corpus.collection import Ints

_FEW = 10  # n-grams
_NONE = np.empty(0, np.int64)
_SIEVE = 20, 27  # bits of the table that tells most strangers apart: at least, at most


class Matches(NamedTuple):
    """Pairs of texts that share something, sorted by first text, then second.

    Attributes:
        first: Place of one text in its list, shape ``[pairs]``.
        second: Place of the other in its list.
        share: Shared n-grams / n-grams of the text that has fewer, where fewer than 10 count as 10, for a phrase
            that two short texts have in common says little; 1 where one text has all n-grams of the other, and for
            equal texts.
        equal: Whether the texts are equal but for case, blanks and punctuation.
    """

    first: Ints
    second: Ints
    share: npt.NDArray[np.float64]
    equal: npt.NDArray[np.bool_]


NOTHING = Matches(_NONE, _NONE, np.empty(0), np.empty(0, bool))


class Texts:
    """Texts to compare with others, hashed once.

    Args:
        texts: In any language.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(texts)
        self._parts = tuple(grams(self.texts))

    def matches(self, others: Texts) -> Matches:
        """Return every pair of one of these texts and one of ``others`` that share an n-gram or are equal.

        An n-gram is 8 words, or 24 letters in scripts without blanks between words; case, punctuation, blanks and
        compatibility forms do not count. Shorter texts can only be equal, and those of fewer than 4 letters not even
        that.

        >>> found = Texts(["the cat sat on the mat", "The cat sat."]).matches(Texts(["The cat sat on the mat."]))
        >>> found.first.tolist(), found.share.tolist()
        ([0], [1.0])
        """
        found = [others.found_in(start, part) for start, part in self._parts]
        return Matches(*(np.concatenate(column) for column in zip(*found, NOTHING, strict=True)))

    def found_in(self, start: int, part: Grams) -> Matches:
        """Return the matches of other texts with these; those texts are known by their n-grams and first place."""
        number = max(1, len(self.texts))
        text, other = self._grams.find(part.gram, part.text)
        some = np.flatnonzero(part.whole)
        same, equal = self._wholes.find(part.whole[some], some)
        key, times = np.unique(text * number + other, return_counts=True)
        equal = np.unique(same * number + equal)
        keys = np.union1d(key, equal)
        first, second = np.divmod(keys, number)
        shared = np.zeros(len(keys))
        shared[np.searchsorted(keys, key)] = times
        fewer = np.minimum(part.size[first], self._sizes[second])
        is_equal = np.isin(keys, equal)
        share = np.where(is_equal | (shared == fewer), 1.0, shared / np.maximum(_FEW, fewer))
        return Matches(first + start, second, share, is_equal)

    @cached_property
    def _grams(self) -> _Lookup:
        hashes = [part.gram for _, part in self._parts]
        texts = [part.text + start for start, part in self._parts]
        return _Lookup(np.concatenate([np.empty(0, np.uint64), *hashes]), np.concatenate([_NONE, *texts]))

    @cached_property
    def _wholes(self) -> _Lookup:
        whole = np.concatenate([np.empty(0, np.uint64), *(part.whole for _, part in self._parts)])
        some = np.flatnonzero(whole)
        return _Lookup(whole[some], some)

    @cached_property
    def _sizes(self) -> Ints:
        return np.concatenate([_NONE, *(part.size for _, part in self._parts)])


class _Lookup:
    """Where each hash occurs."""

    def __init__(self, hashes: Hashes, text: Ints) -> None:
        order = np.argsort(hashes, kind="stable")
        self._hash, self._text = hashes[order], text[order]
        bits = min(max(_SIEVE[0], (8 * len(hashes)).bit_length()), _SIEVE[1])
        self._mask = np.uint64((1 << bits) - 1)
        self._sieve = np.zeros(1 << bits, bool)
        self._sieve[hashes & self._mask] = True

    def find(self, hashes: Hashes, text: Ints) -> tuple[Ints, Ints]:
        """Return ``(text, known text)`` for each occurrence of each of ``hashes`` here."""
        # Nearly all are strangers: a table of bits tells most of them apart faster than a search does.
        likely = np.flatnonzero(self._sieve[hashes & self._mask])
        low = np.searchsorted(self._hash, hashes[likely], "left")
        times = np.searchsorted(self._hash, hashes[likely], "right") - low
        inside = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        return np.repeat(text[likely], times), self._text[np.repeat(low, times) + inside]
