"""Rank by matching words: BM25 within a language, and its fusion with a ranking by vectors.

Texts are split into words by Unicode's rules and ICU's dictionaries, because Thai, Chinese, Japanese, Khmer, Lao and
Burmese put no blanks between words.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import unicodedata
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import require
from panglot._errors import PanglotError
from panglot._files import atomic_folder, file_digest, write_json
from panglot.search.query_language import forms
from panglot.search.storage.store import documents_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from panglot.search.document import Document, Filter, ScoredDocument
    from panglot.search.storage.store import Store

_HEAD = "lexical.json"
_RRF_CONSTANT = 60  # Of reciprocal rank fusion. The greater it is, the less the first ranks differ.

_Parts = dict[str, tuple[Any, list[str]]]  # The BM25 model of each language, and its ids.


def words(text: str, language: str) -> list[str]:
    """Return the words of a text, without case and compatibility forms.

    >>> words("Drucken: Ｃ4-Blätter", "de")
    ['drucken', 'c4', 'blätter']
    """
    from icu4py.breakers import WordBreaker

    plain = unicodedata.normalize("NFKC", text).casefold()
    return [word for word in WordBreaker(plain, language or "en") if any(letter.isalnum() for letter in word)]


class LexicalIndex:
    """The words of a store's documents by language, in a folder, written and opened when they are first needed.

    Several threads may search.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self._store = folder, store
        self._parts: _Parts | None = None
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

        def matching(codes: Iterable[str], count: int = k) -> list[str]:
            found = _matching(parts, query, codes, count)
            if where is None or not found:
                return found
            allowed = self._store.matching(found, where)
            kept = [name for name in found if name in allowed]
            # The filter comes before the cut, so that more are looked at until enough are allowed.
            return kept[:k] if len(kept) >= k or len(found) < count else matching(codes, 4 * count)

        if languages:
            return matching([code for code in parts if code in languages])
        own = matching(forms(language, parts)) if language else []
        return own or matching(list(parts))

    def open(self) -> _Parts:
        """Return for each language its BM25 model and ids. Both are made now if they are missing, stale or damaged."""
        _require_packages()
        with self._opening:
            self._remove_stale()
            parts, known = self._parts, (self._store.version, self._changes)
            if parts is None or known != self._known:
                # The folder may hold the words of a version that another process has replaced.
                parts = _read(self.folder, known[0]) or self._make(known[0])
                self._parts, self._known = parts, known
        return parts

    def _make(self, version: int | None) -> _Parts:
        """Write the words and open them. If the folder cannot be written, they are kept until the index is closed."""
        folder = self.folder
        try:
            write(folder, documents_of(self._store), version)
        except PanglotError as error:
            problem = f"the words are indexed for this process alone: {error.problem}"
            warnings.warn(f"{folder}: {problem}", RuntimeWarning, stacklevel=4)
            self._temporary = tempfile.TemporaryDirectory(prefix="panglot-words-")
            folder = Path(self._temporary.name) / "lexical"
            write(folder, documents_of(self._store), version)
        return _read(folder, version) or {}

    def reload(self) -> None:
        """Look for words of a newer version of the store at the next search."""
        self._changes += 1
        self._parts = self._temporary = None

    def remove(self) -> None:
        """Remove the words, because documents were added or deleted. The next search makes them anew."""
        self._stale = True
        self.reload()
        # Whoever makes words now keeps them for one search. The next search removes them.
        if self._opening.acquire(blocking=False):
            try:
                self._remove_stale()
            finally:
                self._opening.release()

    def _remove_stale(self) -> None:
        if self._stale:
            self._stale = False
            shutil.rmtree(self.folder, ignore_errors=True)


def _require_packages() -> None:
    require("hybrid search", "bm25s", "icu4py", extra="lexical", field="hybrid")


def _read(folder: Path, version: int | None) -> _Parts | None:
    """Return the words of this version of the documents, or None if the folder has others, none or damaged ones."""
    from bm25s import BM25

    parts: _Parts = {}
    try:
        head: dict[str, Any] = json.loads((folder / _HEAD).read_text("utf-8"))
        # Folders of the first version have no checksums.
        if head.get("version") != version or "files" not in head:
            return None
        if head["files"] != _checksums(folder):
            return _damaged(folder, "a checksum differs")
        for code, place in head["languages"].items():
            part = folder / str(int(place))
            ids: list[str] = json.loads((part / "ids.json").read_text("utf-8"))
            parts[code] = (BM25.load(part, mmap=True, allow_pickle=False, show_progress=False), ids)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return _damaged(folder, str(error))
    return parts


def _damaged(folder: Path, reason: str) -> None:
    # The words are a cache of the documents.
    warnings.warn(f"{folder}: damaged ({reason}), and is made again", RuntimeWarning, stacklevel=5)


def _checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of the words but the first."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != _HEAD)
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def _matching(parts: _Parts, query: str, languages: Iterable[str], k: int) -> list[str]:
    found: list[tuple[str, float]] = []
    for code in languages:
        model, ids = parts[code]
        known = [word for word in words(query, code) if word in model.vocab_dict]
        if known:
            scores = np.asarray(model.get_scores(known), np.float64)
            # Most documents share no word with the query. Only those are sorted that may be among the first.
            least = np.partition(scores, len(scores) - k)[-k] if len(scores) > k else 0.0
            rows = np.flatnonzero((scores >= least) & (scores > 0))
            rows = rows[np.argsort(-scores[rows], kind="stable")[:k]]
            found += [(ids[row], float(scores[row])) for row in rows.tolist()]
    return [name for name, _ in sorted(found, key=lambda each: -each[1])[:k]]


def write(folder: Path, documents: Iterable[Sequence[Document]], version: int | None = None) -> None:
    """Write the words of all documents of a version of a store into a folder, atomically, in place of what is there."""
    _require_packages()
    from bm25s import BM25

    with atomic_folder(folder) as part:
        numbers: dict[str, dict[str, int]] = {}
        texts: dict[str, tuple[list[str], list[Any]]] = {}
        for piece in documents:
            for each in piece:
                known = numbers.setdefault(each.language, {})
                ids, rows = texts.setdefault(each.language, ([], []))
                ids.append(each.id)
                numbered = [known.setdefault(word, len(known)) for word in words(each.full_text, each.language)]
                rows.append(np.array(numbered, np.int32))
        places: dict[str, int] = {}
        for place, (code, (ids, rows)) in enumerate(sorted(texts.items())):
            # BM25 divides by the mean number of words.
            if numbers[code]:
                model = BM25()
                model.index((rows, numbers[code]), create_empty_token=False, show_progress=False)
                (part / str(place)).mkdir()
                model.save(part / str(place), allow_pickle=False, show_progress=False)
                (part / str(place) / "ids.json").write_text(json.dumps(ids, ensure_ascii=False), "utf-8")
                places[code] = place
        write_json(part / _HEAD, {"version": version, "languages": places, "files": _checksums(part)})


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
