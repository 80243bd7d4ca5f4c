"""Find texts that training sets share with test sets: as sets of hashed n-grams, in numpy."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.data.columns import Bools, Ints, Ints32, Keys, concatenated, first_of, keys, ranks, walk
from panglot.data.letters import unspaced_letters

THRESHOLD = 0.5  # the smallest share of n-grams that counts, by default
_WORDS, _LETTERS = 8, 24
_SHORTEST = 4  # letters

Hashes = npt.NDArray[np.uint64]

_BLANK, _LETTER, _UNSPACED, _NOTHING = range(4)
_BASE = 0x9E3779B97F4A7C15  # odd, so that its powers have inverses modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)
_CHUNK = 1 << 21  # letters
_FEW = 10  # n-grams
_FILTER_BITS = 20, 27  # bits of the table that rules out most unknown hashes: at least, at most
_EXAMPLES = 3
_NONE = np.empty(0, np.int64)


class Grams(NamedTuple):
    """The n-grams of some texts."""

    gram: Hashes  # hashes, distinct within a text, shape `[n]`
    text: Ints  # the text of each, as its place in the list, rising, shape `[n]`
    size: Ints  # number of distinct n-grams of each text, shape `[texts]`
    whole: Hashes  # hash of all letters of each text, or 0 for fewer than 4 letters, shape `[texts]`


def grams(texts: Sequence[str]) -> Iterator[tuple[int, Grams]]:
    """Yield ``(place of the first, grams)`` for successive stretches of ``texts``.

    Letters, marks and digits count. Compatibility forms and case do not (NFKC, casefold). An n-gram is 8 words, or 24
    letters in texts that are mostly in a script without blanks between words. A shorter text has none.
    """
    start, letters, plain = 0, 0, list[str]()
    for text in texts:
        plain.append(unicodedata.normalize("NFKC", text).casefold())
        letters += len(plain[-1])
        if letters >= _CHUNK:
            yield start, _grams(plain)
            start, letters, plain = start + len(plain), 0, []
    if plain:
        yield start, _grams(plain)


def _grams(texts: list[str]) -> Grams:
    joined = "\n".join(texts) + "\n"
    code = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    owner = np.repeat(np.arange(len(texts)), [len(text) + 1 for text in texts])
    kind = _kinds(code)
    there = kind != _NOTHING
    code, owner, kind = code[there], owner[there], kind[there]
    letter = kind != _BLANK
    count = np.bincount(owner[letter], minlength=len(texts))
    without_blanks = 2 * np.bincount(owner[kind == _UNSPACED], minlength=len(texts)) > count
    mixed = _mix(code[letter].astype(np.uint64))
    # A word begins at a letter that follows a blank. Each text ends with a blank, so no word spans two texts.
    begins = (letter & np.r_[True, ~letter[:-1]])[letter]
    owner = owner[letter]

    found: list[tuple[Hashes, Ints]] = []
    apart = without_blanks[owner]
    found.append(_windows(mixed[apart], owner[apart], _LETTERS))
    first = np.flatnonzero(begins)
    words = _spans(mixed, first, np.r_[first[1:], len(mixed)])
    spaced = ~without_blanks[owner[first]]
    found.append(_windows(words[spaced], owner[first][spaced], _WORDS))
    gram, text = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((gram, text))
    gram, text = gram[order], text[order]
    new = np.r_[True, (gram[1:] != gram[:-1]) | (text[1:] != text[:-1])][: len(gram)]
    gram, text = gram[new], text[new]

    ends = np.cumsum(count)
    whole = _spans(mixed, ends - count, ends)
    whole[count < _SHORTEST] = 0
    return Grams(gram, text, np.bincount(text, minlength=len(texts)), whole)


def _windows(items: Hashes, owner: Ints, length: int) -> tuple[Hashes, Ints]:
    """Return the hash of every run of ``length`` items of one owner, and the owner."""
    starts = np.arange(max(0, len(items) - length + 1))
    starts = starts[owner[starts] == owner[starts + length - 1]]
    return _spans(items, starts, starts + length), owner[starts]


def _spans(items: Hashes, start: Ints, end: Ints) -> Hashes:
    """Return the hash of ``items[start:end]`` for each start and end. Equal runs have equal hashes.

    A rolling hash: with ``S[k] = Σ items[i] · b^i`` over ``i < k``, modulo 2^64, the hash is
    ``(S[end] − S[start]) · b^(−start)``, which is the same wherever the run stands.
    """
    power = np.full(len(items) + 1, _BASE, np.uint64)
    back = np.full(len(items) + 1, _INVERSE, np.uint64)
    power[0] = back[0] = 1
    np.cumprod(power, out=power)
    np.cumprod(back, out=back)
    sums = np.zeros(len(items) + 1, np.uint64)
    np.cumsum(items * power[:-1], out=sums[1:])
    return _mix((sums[end] - sums[start]) * back[start])


def _mix(values: Hashes) -> Hashes:
    """Scatter 64-bit numbers (the finalizer of SplitMix64)."""
    values = values + np.uint64(_BASE)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _kinds(code: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """Return what each code point is."""
    # A table of all code points is faster than the sort of `np.unique`.
    there = np.zeros(sys.maxunicode + 1, bool)
    there[code] = True
    table = np.zeros(sys.maxunicode + 1, np.uint8)
    for point in np.flatnonzero(there).tolist():
        table[point] = _kind(point)
    return table[code]


@cache
def _kind(point: int) -> int:
    category = unicodedata.category(chr(point))
    if category[0] not in "LMN":
        return _NOTHING if category == "Cf" else _BLANK
    return _UNSPACED if unspaced_letters().match(chr(point)) else _LETTER


class Matches(NamedTuple):
    """Pairs of texts that share something, sorted by first text, then second.

    Attributes:
        first: Place of one text in its list, shape ``[pairs]``.
        second: Place of the other in its list.
        share: Shared n-grams / n-grams of the text that has fewer. Fewer than 10 count as 10, because a phrase that
            two short texts have in common means little. It is 1 if one text has all n-grams of the other, and for
            equal texts.
        equal: Whether the texts differ at most in case, blanks and punctuation.
    """

    first: Ints
    second: Ints
    share: npt.NDArray[np.float64]
    equal: Bools


class Texts:
    """Texts in any language to compare with others, hashed once."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(texts)
        self._parts = tuple(grams(self.texts))

    def matches(self, others: Texts) -> Matches:
        """Return every pair of one of these texts and one of ``others`` that share an n-gram or are equal.

        An n-gram is 8 words, or 24 letters in scripts without blanks between words. Case, punctuation, blanks and
        compatibility forms do not count. Shorter texts can only be equal, and texts of fewer than 4 letters never are.

        >>> found = Texts(["the cat sat on the mat", "The cat sat."]).matches(Texts(["The cat sat on the mat."]))
        >>> found.first.tolist(), found.share.tolist()
        ([0], [1.0])
        """
        found = [others.found_in(start, part) for start, part in self._parts]
        nothing = Matches(_NONE, _NONE, np.empty(0), np.empty(0, bool))
        return Matches(*(np.concatenate(column) for column in zip(*found, nothing, strict=True)))

    def found_in(self, start: int, part: Grams) -> Matches:
        """Return the matches of other texts with these, given their n-grams and the place of the first of them."""
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
        bits = min(max(_FILTER_BITS[0], (8 * len(hashes)).bit_length()), _FILTER_BITS[1])
        self._mask = np.uint64((1 << bits) - 1)
        self._filter = np.zeros(1 << bits, bool)
        self._filter[hashes & self._mask] = True

    def find(self, hashes: Hashes, text: Ints) -> tuple[Ints, Ints]:
        """Return ``(text, known text)`` for each occurrence of each of ``hashes`` here."""
        # Nearly all hashes are unknown here, and a table of bits rules most of them out faster than a search does.
        likely = np.flatnonzero(self._filter[hashes & self._mask])
        low = np.searchsorted(self._hash, hashes[likely], "left")
        times = np.searchsorted(self._hash, hashes[likely], "right") - low
        inside = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        return np.repeat(text[likely], times), self._text[np.repeat(low, times) + inside]


def hash_texts(test: Collection) -> tuple[str, Texts]:
    """Return the name of a test set and its texts, hashed, as decontaminating training sets takes them."""
    texts = (text for table in (test.questions, test.passages) for text in table["text"].to_pylist())
    return test.name, Texts(dict.fromkeys(texts))


@dataclass(frozen=True)
class Shared:
    """The texts of a training set that one test set has too.

    Attributes:
        taken: Rows whose texts share at least the threshold, rising. Passages are counted on after the questions.
        equal: Distinct texts among them that are equal to a text of the test set.
        near: Distinct texts among them that are not.
        highest: The largest share below the threshold, 0 to 1.
        examples: The first few pairs at or above the threshold, text of the training set first.
        nearest: The pair with the share ``highest``, or None if nothing below the threshold is shared.
    """

    test: str
    taken: Ints32
    equal: int
    near: int
    highest: float
    examples: tuple[tuple[str, str], ...]
    nearest: tuple[str, str] | None


def find_shared(
    training: Collection, tests: Sequence[tuple[str, Texts]], *, threshold: float = THRESHOLD
) -> tuple[Shared, ...]:
    """Return what the texts of a training set share with each test set.

    Memory holds the n-grams of the test sets, and of the training set only what is at or above the threshold: 4 bytes
    per row, 12 per text. The rest passes by, so that memory does not grow with the training set.

    Raises:
        PanglotError: The threshold is not between 0 and 1.
    """
    if not 0 < threshold <= 1:
        problem = f"`threshold` must be above 0 and at most 1, got {threshold}"
        raise PanglotError(problem, field="threshold", hint="give a number such as 0.5")
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
    return tuple(finding.result() for finding in findings)


class _Piece(NamedTuple):
    """Successive rows from ``start`` on: their distinct texts, as a column and a list, and which one each row has."""

    column: pa.StringArray
    texts: list[str]
    text: Ints32
    start: int


class _Finding:
    """What was found of one test set so far."""

    def __init__(self, name: str, known: Texts, threshold: float) -> None:
        self.known = known
        self._name, self._threshold = name, threshold
        self._rows: list[Ints32] = []
        self._taken: list[Keys] = []
        self._equal: list[Keys] = []
        self._examples: list[tuple[str, str]] = []
        self._highest, self._nearest = 0.0, None

    def add(self, piece: _Piece, matches: Matches) -> None:
        """Add what some texts of a piece share with the test set."""
        if not len(matches.share):
            return

        def pair(at: int) -> tuple[str, str]:
            return piece.texts[int(matches.first[at])], self.known.texts[int(matches.second[at])]

        taken = matches.share >= self._threshold
        below = np.where(taken, 0.0, matches.share)
        nearest = int(below.argmax())
        if below[nearest] > self._highest:
            self._highest, self._nearest = float(below[nearest]), pair(nearest)
        if not taken.any():
            return
        texts, equal = (np.unique(matches.first[chosen]) for chosen in (taken, matches.equal))
        self._rows.append(np.flatnonzero(np.isin(piece.text, texts)).astype(np.int32) + np.int32(piece.start))
        self._taken.append(keys(piece.column.take(pa.array(texts))))
        self._equal.append(keys(piece.column.take(pa.array(equal))))
        if len(self._examples) < _EXAMPLES:
            # A text that came before had all its pairs then, and has no new ones.
            seen = {mine for mine, _ in self._examples}
            pairs = map(pair, np.flatnonzero(taken)[: 2 * _EXAMPLES].tolist())
            self._examples += [each for each in pairs if each[0] not in seen]
            del self._examples[_EXAMPLES:]

    def result(self) -> Shared:
        rows = np.sort(np.concatenate([np.empty(0, np.int32), *self._rows]))
        # One text may be in several pieces, and counts once.
        taken, equal = (
            int(ranks(first_of(concatenated(found))).max(initial=-1)) + 1 for found in (self._taken, self._equal)
        )
        return Shared(self._name, rows, equal, taken - equal, self._highest, tuple(self._examples), self._nearest)
