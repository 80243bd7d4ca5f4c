"""Rank by matching words: BM25 within a language, and its fusion with a ranking by vectors.

Texts are split into words by Unicode's rules and ICU's dictionaries, because Thai, Chinese, Japanese, Khmer, Lao and
Burmese put no blanks between words. Words are kept for each part of a store, so that a write costs only the words of
what it adds. What depends on all documents is counted when a query comes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import unicodedata
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from panglot._environment import require
from panglot._errors import PanglotError
from panglot._files import atomic_folder, file_digest, write_json
from panglot.search.query_language import forms
from panglot.search.storage.store import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from panglot.search.document import Document, Filter, ScoredDocument
    from panglot.search.storage.store import Bools, Ints, Store

_HEAD = "part.json"
_WHOLE = "all"  # The folder of a part without a name.
_RRF_CONSTANT = 60  # Of reciprocal rank fusion. The greater it is, the less the first ranks differ.
_K1, _B = 1.5, 0.75  # Of BM25: how soon repeating a word stops to help, and how much the length counts.


def words(text: str, language: str) -> list[str]:
    """Return the words of a text, without case and compatibility forms.

    >>> words("Drucken: Ｃ4-Blätter", "de")
    ['drucken', 'c4', 'blätter']
    """
    from icu4py.breakers import WordBreaker

    plain = unicodedata.normalize("NFKC", text).casefold()
    return [word for word in WordBreaker(plain, language or "en") if any(letter.isalnum() for letter in word)]


class Posting(NamedTuple):
    """The documents of a part that have a word, by row, and how often."""

    rows: Ints
    counts: Ints


@dataclass(frozen=True)
class Words:
    """The words of the documents of one part, deleted ones too, from files that never change.

    The postings of word ``number`` are those from ``starts[number]`` to ``starts[number + 1]`` of ``rows`` and
    ``counts``. The other arrays have one entry per document.
    """

    ids: Sequence[str]
    numbers: Mapping[str, Mapping[str, int]]  # Of each word, by language.
    languages: Sequence[str]
    starts: Ints
    rows: Ints
    counts: Ints
    lengths: Ints  # Words of each document.
    language: Ints  # The number of its language in ``languages``.

    @classmethod
    def read(cls, folder: Path) -> Words | None:
        """Return the words in a folder, or None if they are missing or damaged."""
        try:
            if json.loads((folder / _HEAD).read_text("utf-8"))["files"] != _checksums(folder):
                return _damaged(folder, "a checksum differs")
            values = [json.loads((folder / f"{name}.json").read_text("utf-8")) for name in _LISTS]
            return cls(*values, *(np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in _ARRAYS))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return _damaged(folder, str(error))


_LISTS = ("ids", "numbers", "languages")
_ARRAYS = ("starts", "rows", "counts", "lengths", "language")


@dataclass(frozen=True)
class LivePart:
    """The words of one part, and which of its documents are still there: all if ``live`` is None."""

    words: Words
    live: Bools | None

    @cached_property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """The number of live documents of each language, and of their words."""
        language, lengths = self.words.language, self.words.lengths
        if self.live is not None:
            language, lengths = language[self.live], lengths[self.live]
        codes = len(self.words.languages)
        numbers = np.bincount(language, minlength=codes).tolist()
        # Sums of whole numbers are exact in doubles.
        totals = np.bincount(language, lengths, codes).astype(np.int64).tolist()
        return dict(zip(self.words.languages, zip(numbers, totals, strict=True), strict=True))

    def posting(self, language: str, word: str) -> Posting:
        """Return the live documents in a language that have a word."""
        number = self.words.numbers.get(language, {}).get(word, -1)
        begin, end = self.words.starts[number : number + 2].tolist() if number >= 0 else (0, 0)
        rows, counts = self.words.rows[begin:end], self.words.counts[begin:end]
        if self.live is None:
            return Posting(rows, counts)
        kept = self.live[rows]
        return Posting(rows[kept], counts[kept])


class LexicalIndex:
    """The words of a store's documents by language, in a folder, written and opened when they are first needed.

    Each part of the store has a folder of its own, which stays as long as the part. Several threads may search.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self._store = folder, store
        self._parts: list[LivePart] | None = None
        self._words: dict[str, Words] = {}  # Of the parts with a name that are open.
        self._changes, self._stale = 0, False
        self._known: tuple[int | None, int] = (None, 0)  # The store's version and the changes that the words are of.
        self._opening = threading.Lock()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def search(
        self, query: str, language: str, k: int, languages: Collection[str] = (), where: Filter | None = None
    ) -> list[str]:
        """Return the ids of at most ``k`` documents that share a word with the query, by BM25, best first.

        Documents that ``where`` allows in ``languages`` are searched. If there are no languages, those in the language
        of the query and its regional forms are. If none of these has a word of the query, which may be a code or a
        name, or if the language is unknown, documents in all languages are searched. Equal scores are in the order of
        the documents.
        """
        parts = self.open()
        known = sorted({code for part in parts for code, (_, total) in part.sizes.items() if total})

        def allowed(codes: Iterable[str], count: int = k) -> list[str]:
            found = [name for name, _ in matching(parts, query, codes, count)]
            if where is None or not found:
                return found
            passed = self._store.matching(found, where)
            kept = [name for name in found if name in passed]
            # The filter comes before the cut, so that more are looked at until enough are allowed.
            return kept[:k] if len(kept) >= k or len(found) < count else allowed(codes, 4 * count)

        if languages:
            return allowed([code for code in known if code in languages])
        own = allowed(forms(language, known)) if language else []
        return own or allowed(known)

    def open(self) -> list[LivePart]:
        """Return the words of each part of the store. They are made now if they are missing or damaged."""
        _require_packages()
        with self._opening:
            self._remove_stale()
            found, known = self._parts, (self._store.version, self._changes)
            if found is None or known != self._known:
                parts = parts_of(self._store)
                self._words = {
                    part.name: self._words.get(part.name) or self._of(part.name, part.documents) for part in parts
                }
                found = [LivePart(self._words[part.name], part.live) for part in parts]
                self._words.pop("", None)
                self._sweep({part.name or _WHOLE for part in parts})
                self._parts, self._known = found, known
        return found

    def _of(self, name: str, documents: Callable[[], Iterable[Sequence[Document]]]) -> Words:
        """Read the words of a part or make them. If they cannot be written, they are kept until the index is closed."""
        name = name or _WHOLE
        if words := Words.read(self.folder / name):
            return words
        try:
            write(self.folder / name, documents())
            folder = self.folder
        except PanglotError as error:
            problem = f"the words are indexed for this process alone: {error.problem}"
            warnings.warn(f"{self.folder}: {problem}", RuntimeWarning, stacklevel=5)
            self._temporary = self._temporary or tempfile.TemporaryDirectory(prefix="panglot-words-")
            folder = Path(self._temporary.name)
            write(folder / name, documents())
        if not (words := Words.read(folder / name)):
            raise PanglotError("the words vanished while they were read", file=folder, hint="search again")
        return words

    def reload(self) -> None:
        """Look for words of a newer version of the store at the next search."""
        self._changes += 1
        self._parts = None

    def changed(self) -> None:
        """Take in at the next search that documents were added or deleted."""
        self._stale = True
        self.reload()
        # Whoever makes words now keeps them for one search. The next search removes them.
        if self._opening.acquire(blocking=False):
            try:
                self._remove_stale()
            finally:
                self._opening.release()

    def _remove_stale(self) -> None:
        # A part with a name never changes.
        if self._stale:
            self._stale = False
            shutil.rmtree(self.folder / _WHOLE, ignore_errors=True)

    def _sweep(self, needed: Collection[str]) -> None:
        """Remove the words of parts that the store no longer has, and those of older formats."""
        for place in self.folder.iterdir() if self.folder.is_dir() else ():
            # Names of folders that another process is writing begin with a dot.
            if place.name not in needed and not place.name.startswith("."):
                shutil.rmtree(place, ignore_errors=True) if place.is_dir() else place.unlink(missing_ok=True)


def _require_packages() -> None:
    require("hybrid search", "icu4py", extra="lexical", field="hybrid")


def _damaged(folder: Path, reason: str) -> None:
    # The words are a cache of the documents.
    warnings.warn(f"{folder}: damaged ({reason}), and is made again", RuntimeWarning, stacklevel=5)


def _checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of the words but the first."""
    return {path.name: file_digest(path) for path in folder.iterdir() if path.name != _HEAD}


def matching(parts: Sequence[LivePart], query: str, languages: Iterable[str], k: int) -> list[tuple[str, float]]:
    """Return at most ``k`` ids and BM25 scores of documents that share a word with the query, best first.

    With N documents in a language, n of which have a word tf times, the score is the sum over the words of the query:

        ln(1 + (N − n + ½) / (n + ½)) · tf / (tf + k1 · (1 − b + b · length / mean length))

    This is Robertson's formula (1994) as in Lucene, without the constant factor k1 + 1.
    """
    found: list[tuple[str, float]] = []
    for code in languages:
        sizes = [part.sizes.get(code, (0, 0)) for part in parts]
        documents, total = sum(each[0] for each in sizes), sum(each[1] for each in sizes)
        if not total:
            continue
        asked = words(query, code)
        postings = [[part.posting(code, word) for word in asked] for part in parts]
        holding = [sum(len(each.rows) for each in of_word) for of_word in zip(*postings, strict=True)]
        weights = [float(np.log1p((documents - number + 0.5) / (number + 0.5))) for number in holding]
        for part, own in zip(parts, postings, strict=True):
            scores = np.zeros(len(part.words.ids))
            for (rows, counts), weight in zip(own, weights, strict=True):
                lengths = part.words.lengths[rows] / (total / documents)
                scores[rows] += weight * counts / (counts + _K1 * (1 - _B + _B * lengths))
            # Most documents share no word with the query. Only those are sorted that may be among the first.
            least = np.partition(scores, len(scores) - k)[-k] if len(scores) > k else 0.0
            rows = np.flatnonzero((scores >= least) & (scores > 0))
            rows = rows[np.argsort(-scores[rows], kind="stable")[:k]]
            found += [(part.words.ids[int(row)], float(scores[row])) for row in rows]
    return sorted(found, key=lambda each: -each[1])[:k]


def write(folder: Path, documents: Iterable[Sequence[Document]]) -> None:
    """Write the words of documents into a folder, atomically, in place of what is there."""
    _require_packages()
    with atomic_folder(folder) as part:
        number = count()
        numbers: dict[str, dict[str, int]] = {}
        ids: list[str] = []
        language, lengths = list[int](), list[int]()
        pieces: list[Any] = []
        for each in (each for piece in documents for each in piece):
            known = numbers.setdefault(each.language, defaultdict(number.__next__))
            found = [known[word] for word in words(each.full_text, each.language)]
            counted = Counter(found)
            pieces.append(np.array([[*counted], [len(ids)] * len(counted), [*counted.values()]], np.int32))
            ids.append(each.id)
            language.append(list(numbers).index(each.language))
            lengths.append(len(found))
        word, row, times = np.concatenate([np.zeros((3, 0), np.int32), *pieces], axis=1)
        order = np.argsort(word, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(word, minlength=next(number)))])
        values: dict[str, Any] = {"ids": ids, "numbers": numbers, "languages": list(numbers)}
        for name, value in values.items():
            (part / f"{name}.json").write_text(json.dumps(value, ensure_ascii=False), "utf-8")
        arrays = starts, row[order], times[order], np.array(lengths, np.int32), np.array(language, np.int16)
        for name, array in zip(_ARRAYS, arrays, strict=True):
            np.save(part / f"{name}.npy", array)
        write_json(part / _HEAD, {"files": _checksums(part)})


def fused(ranked: Sequence[ScoredDocument], matches: Sequence[str], weight: float = 0.5) -> list[ScoredDocument]:
    """Return documents by the weighted sum of 1 / (60 + rank) over both rankings (Cormack et al. 2009).

    ``ranked`` is by vectors and ``matches``, which are among them, by words, which have twice ``weight``. The other
    has the rest of 2, so that the weights of a half give the plain sum.
    """
    word_rank = {name: rank for rank, name in enumerate(matches, 1)}
    found: list[ScoredDocument] = []
    for rank, each in enumerate(ranked, 1):
        dense = 2 * (1 - weight) / (_RRF_CONSTANT + rank)
        lexical = 2 * weight / (_RRF_CONSTANT + word_rank[each.id]) if each.id in word_rank else 0.0
        explanation = {**each.explanation, "dense": dense, "lexical": lexical}
        found.append(each._replace(score=dense + lexical, explanation=explanation))
    # Equal sums are in the order by vectors.
    return sorted(found, key=lambda each: -each.score)
