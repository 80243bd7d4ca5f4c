"""Matching words: BM25 within a language, and its fusion with a ranking by vectors.

Words are cut by Unicode's rules and ICU's dictionaries, for Thai, Chinese, Japanese, Khmer, Lao and Burmese have no
blanks between them.
"""

from __future__ import annotations

import json
import unicodedata
from importlib import util
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot._files import atomic_folder, write_json
from panglot.search.query_language import near
from panglot.search.ranking.candidates import Candidate, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from panglot.search.document import Document

HEAD = "lexical.json"
STEADY = 60
"""The constant of reciprocal rank fusion (Cormack et al. 2009): how little the first places differ."""


def require() -> None:
    """Say so where the packages are missing.

    Raises:
        PanglotError: They are.
    """
    missing = [name for name in ("bm25s", "icu4py") if util.find_spec(name) is None]
    if missing:
        raise PanglotError(
            f"matching words needs {' and '.join(missing)}", field="lexical", hint="pip install 'panglot[lexical]'"
        )


def words(text: str, language: str) -> list[str]:
    """Return the words of a text, without case and compatibility forms.

    >>> words("Drucken: Ｃ4-Blätter", "de")
    ['drucken', 'c4', 'blätter']
    """
    from icu4py.breakers import WordBreaker

    plain = unicodedata.normalize("NFKC", text).casefold()
    return [word for word in WordBreaker(plain, language or "en") if any(letter.isalnum() for letter in word)]


class Words:
    """The words of all documents by language, on disk, without pickle.

    Args:
        folder: Where :func:`write` put them.

    Raises:
        PanglotError: A package or a file is missing, or a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        require()
        from bm25s import BM25

        self._parts: dict[str, tuple[Any, list[str]]] = {}
        try:
            head: dict[str, Any] = json.loads((folder / HEAD).read_text("utf-8"))
            for code, place in head["languages"].items():
                part = folder / str(int(place))
                ids: list[str] = json.loads((part / "ids.json").read_text("utf-8"))
                self._parts[code] = (BM25.load(part, mmap=True, allow_pickle=False, show_progress=False), ids)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PanglotError(f"damaged: {error}", file=folder / HEAD, hint="remove the folder lexical") from error

    def search(self, question: str, language: str, k: int) -> list[tuple[str, float]]:
        """Return ids and BM25 scores of the documents in the question's language that share a word with it.

        Best first, equal ones in the order of the documents. Of a language without documents, such as ``pt``, those in
        its regional forms (``pt-BR``) are searched; where none of them has a word of the question, which may be a code
        or a name, those in all languages.

        Args:
            question: Its text.
            language: Its language.
            k: How many, at most.
        """
        return self._matching(question, near(language, self._parts), k) or self._matching(question, self._parts, k)

    def _matching(self, question: str, languages: Iterable[str], k: int) -> list[tuple[str, float]]:
        found: list[tuple[str, float]] = []
        for code in languages:
            model, ids = self._parts[code]
            asked = [word for word in words(question, code) if word in model.vocab_dict]
            if asked:
                scores = np.asarray(model.get_scores(asked), np.float64)
                rows = np.argsort(-scores, kind="stable")[:k]
                found += [(ids[row], float(scores[row])) for row in rows.tolist() if scores[row] > 0]
        return sorted(found, key=lambda each: -each[1])[:k]


def is_of(folder: Path, version: int | None) -> bool:
    """Whether there are words in a folder, and those of this version of the documents; None: of whichever."""
    try:
        return json.loads((folder / HEAD).read_text("utf-8")).get("version") == version
    except FileNotFoundError:
        return False
    except (OSError, ValueError, AttributeError):
        return True  # Opening them tells what is wrong.


def write(folder: Path, documents: Iterable[Sequence[Document]], version: int | None = None) -> None:
    """Write the words of documents into a folder, atomically, in place of what is there.

    Args:
        folder: Where.
        documents: All of them.
        version: The store's, where it has any.
    """
    require()
    from bm25s import BM25

    numbers: dict[str, dict[str, int]] = {}
    texts: dict[str, tuple[list[str], list[Any]]] = {}
    for piece in documents:
        for each in piece:
            known = numbers.setdefault(each.language, {})
            ids, rows = texts.setdefault(each.language, ([], []))
            ids.append(each.id)
            rows.append(
                np.array([known.setdefault(word, len(known)) for word in words(each.passage, each.language)], np.int32)
            )
    with atomic_folder(folder) as part:
        places: dict[str, int] = {}
        for place, (code, (ids, rows)) in enumerate(sorted(texts.items())):
            if not numbers[code]:
                continue
            model = BM25()
            model.index((rows, numbers[code]), create_empty_token=False, show_progress=False)
            (part / str(place)).mkdir()
            model.save(part / str(place), allow_pickle=False, show_progress=False)
            (part / str(place) / "ids.json").write_text(json.dumps(ids, ensure_ascii=False), "utf-8")
            places[code] = place
        write_json(part / HEAD, {"version": version, "languages": places})


def fused(ranked: Sequence[Candidate], matches: Sequence[str]) -> list[Candidate]:
    """Return candidates by the sum of 1 / (60 + rank) over both rankings.

    Args:
        ranked: By vectors, best first; the matches are among them.
        matches: Ids by matching words, best first.
    """
    place = {name: rank for rank, name in enumerate(matches, 1)}
    found: list[Candidate] = []
    for rank, each in enumerate(ranked, 1):
        dense = 1 / (STEADY + rank)
        lexical = 1 / (STEADY + place[each.id]) if each.id in place else 0.0
        found.append(each._replace(score=dense + lexical, why={**each.why, "dense": dense, "lexical": lexical}))
    return in_order(found)
