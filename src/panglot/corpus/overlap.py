"""Texts that training sets and test sets share, and what must be left out of training for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.corpus._grams import Hashes, grams
from panglot.corpus.collection import Collection, Ints

THRESHOLD = 0.5
_FEW = 10  # n-grams
_NONE = np.empty(0, np.int64)
_SIEVE = 20, 27  # bits of the table that tells most strangers apart: at least, at most


@dataclass(frozen=True)
class Matches:
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


@dataclass(frozen=True)
class Overlap:
    """What a training set shares with one test set.

    Attributes:
        training: Name of the training set.
        test: Name of the test set.
        equal: Distinct texts of the training set that are equal to a text of the test set.
        near: Distinct texts of the training set that are not equal but share at least the threshold.
        highest: The largest share below the threshold, 0 to 1.
        groups: Groups of questions and of passages of the training set that hold such a text.
        examples: The first few pairs, text of the training set first.
    """

    training: str
    test: str
    equal: int
    near: int
    highest: float
    groups: int
    examples: tuple[tuple[str, str], ...] = field(default=(), repr=False)


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
        number = max(1, len(others.texts))
        firsts: list[Ints] = [np.empty(0, np.int64)]
        seconds: list[Ints] = [np.empty(0, np.int64)]
        shares = [np.empty(0)]
        equals = [np.empty(0, bool)]
        for start, part in self._parts:
            text, other = others._grams.find(part.gram, part.text)
            some = np.flatnonzero(part.whole)
            same, equal = others._wholes.find(part.whole[some], some)
            key, times = np.unique(text * number + other, return_counts=True)
            equal = np.unique(same * number + equal)
            keys = np.union1d(key, equal)
            first, second = np.divmod(keys, number)
            shared = np.zeros(len(keys))
            shared[np.searchsorted(keys, key)] = times
            fewer = np.minimum(part.size[first], others._sizes[second])
            is_equal = np.isin(keys, equal)
            firsts.append(first + start)
            seconds.append(second)
            shares.append(np.where(is_equal | (shared == fewer), 1.0, shared / np.maximum(_FEW, fewer)))
            equals.append(is_equal)
        return Matches(np.concatenate(firsts), np.concatenate(seconds), np.concatenate(shares), np.concatenate(equals))

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


def leave_out(
    training: Collection, tests: Sequence[Collection | tuple[str, Texts]], *, threshold: float = THRESHOLD
) -> tuple[Collection, tuple[Overlap, ...]]:
    """Return the training set without what it shares with the test sets, and what that was.

    A text goes if it is equal to a text of a test set, question or passage, or shares at least ``threshold`` of the
    n-grams of the one that has fewer (:class:`Matches`). With it go its group in all languages, for a
    translation tells as much, and the question groups that any passage of its group answers.

    Args:
        training: What would be trained on.
        tests: What will be measured on; for several training sets, hash them once with :func:`prepare`.
        threshold: From which share on, above 0 to 1.

    Raises:
        PanglotError: The threshold is not between 0 and 1.
    """
    if not 0 < threshold <= 1:
        raise PanglotError(f"a threshold of {threshold}", field="threshold", cure="give a number above 0, at most 1")
    tables = training.questions, training.passages
    texts, places = _distinct(tables)
    mine = Texts(texts)
    gone = [np.zeros(table.num_rows, bool) for table in tables]
    found: list[Overlap] = []
    for test in tests:
        name, known = prepare(test) if isinstance(test, Collection) else test
        matches = mine.matches(known)
        taken = matches.share >= threshold
        marked = np.zeros(len(texts), bool)
        marked[matches.first[taken]] = True
        equal = np.zeros(len(texts), bool)
        equal[matches.first[matches.equal]] = True
        whole = [_whole_groups(table, marked[place]) for table, place in zip(tables, places, strict=True)]
        gone = [before | more for before, more in zip(gone, whole, strict=True)]
        found.append(
            Overlap(
                training.name,
                name,
                equal=int(equal.sum()),
                near=int((marked & ~equal).sum()),
                highest=float(matches.share[~taken].max(initial=0)),
                groups=sum(len(t["group"].filter(pa.array(m)).unique()) for t, m in zip(tables, whole, strict=True)),
                examples=tuple(
                    (texts[first], known.texts[second])
                    for first, second in zip(matches.first[taken][:3], matches.second[taken][:3], strict=True)
                ),
            )
        )
    question, passage = training.pairs
    questions = gone[0].copy()
    questions[question[gone[1][passage]]] = True
    return training.keep(~_whole_groups(tables[0], questions), ~gone[1]), tuple(found)


def prepare(test: Collection) -> tuple[str, Texts]:
    """Return the name of a test set and its texts, hashed, as :func:`leave_out` takes them."""
    return test.name, Texts(_distinct((test.questions, test.passages))[0])


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


def _distinct(tables: Sequence[pa.Table]) -> tuple[list[str], list[Ints]]:
    """Return the distinct texts of some tables, and the place of each row's text among them, by table."""
    columns = [table["text"].combine_chunks() for table in tables]
    whole = pa.chunked_array(columns, pa.string()).combine_chunks().dictionary_encode()
    place = whole.indices.to_numpy().astype(np.int64)
    return whole.dictionary.to_pylist(), np.split(place, [tables[0].num_rows])


def _whole_groups(table: pa.Table, marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mark the groups of the marked rows."""
    number = table["group"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    hit = np.zeros(int(number.max(initial=-1)) + 1, bool)
    hit[number[marked]] = True
    return hit[number]
