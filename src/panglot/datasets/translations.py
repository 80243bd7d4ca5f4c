"""NTREX-128: news in some 125 languages, as sentences that find their translations or as passages (WMT 2022)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.collection import Collection, Text
from panglot.data.files import files
from panglot.data.formats.parallel import translations, versions
from panglot.data.language import canonical
from panglot.data.rows import records
from panglot.datasets import flores, registry
from panglot.datasets.card import CARDS

_HELD_OUT = 4
_SHORTEST, _LONGEST = 3, 5
# Its Dzongkha: more than 250 of the 1,997 rows hold text of other rows, and do not say what their English says.
_FAULTY = {"dz"}
_NO_BLANKS = {"zh", "ja", "yue"}  # no blank between their sentences


def read_ntrex(
    folder: Path,
    *,
    name: str = "ntrex-128",
    part: str = "train",
    candidates: str = "sentence",
    languages: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read ``ntrex-128.parquet``: columns ``doc``, ``line`` and one a language, a row a sentence.

    With ``sentence`` as candidates, a sentence's translations in all other languages are relevant, its own language's
    passage is not, for it is the question itself. With ``passage``, each document is cut into stretches of 3 to 5
    sentences (:func:`stretches`): the first sentence asks, the others are the passage, relevant in every language,
    the question's own included; so all three settings can be measured. A quarter of the documents, drawn by the
    digest of their names, is the part ``test``.

    Args:
        folder: Where the file lies.
        name: What tables call it.
        part: ``train`` or ``test``.
        candidates: ``sentence`` or ``passage``.
        languages: Canonical codes of the languages to read; empty: all columns for sentences, for passages one
            column a language (:func:`distinct`) without Dzongkha, whose column is faulty.
        about: What else is known about it.

    Raises:
        PanglotError: The file is missing or is not what it should be, or has none of the languages.
    """
    import pyarrow.parquet as pq

    path = files(folder, "*.parquet")[0]
    try:
        table = pq.read_table(path)
        documents, lines = (table[column].to_pylist() for column in ("doc", "line"))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise PanglotError(f"not NTREX: {error}", file=path, hint="fetch it again") from error
    columns = {canonical(column): column for column in table.column_names if column not in {"doc", "line"}}
    wanted = languages or (set(distinct(columns)) - _FAULTY if candidates == "passage" else tuple(columns))
    mine = [row for row, document in enumerate(documents) if _held_out(document) == (part == "test")]
    facts = {**(about or {}), "part": part, "candidates": candidates}
    questions: list[Text] = []
    passages: list[Text] = []
    cuts = [(row,) for row in mine] if candidates == "sentence" else list(stretches(documents, mine))
    for code in sorted(set(wanted) & columns.keys()):
        column = [(text or "").strip() for text in table[columns[code]].to_pylist()]
        between = "" if code.partition("-")[0] in _NO_BLANKS else " "
        for cut in cuts:
            texts = [column[row] for row in cut]
            if all(texts):
                label = f"{documents[cut[0]]}-{lines[cut[0]]}"
                questions.append(Text(f"{code}:{label}", code, label, texts[0]))
                passages.append(Text(f"{code}:{label}", code, label, between.join(texts[1:])))
    if candidates == "sentence":
        return translations(name, questions, facts)
    return versions(name, questions, passages, facts)


def stretches(documents: Sequence[str], rows: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the rows of each stretch of 3 to 5 sentences of one document, as equal in length as can be.

    Documents of fewer than 3 sentences yield none.

    Args:
        documents: The document of each row; rows of one document follow one another.
        rows: Rows to cut up, rising.

    >>> list(stretches("aaaaaaabb", range(9)))
    [(0, 1, 2, 3), (4, 5, 6)]
    """
    by_document: dict[str, list[int]] = {}
    for row in rows:
        by_document.setdefault(documents[row], []).append(row)
    for found in by_document.values():
        if len(found) >= _SHORTEST:
            parts = max(1, (len(found) + 2) // ((_SHORTEST + _LONGEST) // 2))
            ends = [-(-len(found) * part // parts) for part in range(parts + 1)]
            yield from (tuple(found[start:end]) for start, end in pairwise(ends))


def distinct(codes: Sequence[str] | Mapping[str, str]) -> tuple[str, ...]:
    """Return one code for each language: variants of a language that is there in plain go.

    NTREX's English of Britain, India and the United States is mostly its English, its ``es-x-ref2`` a second Spanish.

    >>> distinct(["en", "en-GB", "zh", "zh-Hant", "gsw-u-sd-chbe"])
    ('en', 'zh', 'gsw-u-sd-chbe')
    """
    return tuple(code for code in codes if code.partition("-")[0] not in set(codes) - {code})


def _held_out(document: str) -> bool:
    return hashlib.sha256(document.encode()).digest()[0] % _HELD_OUT == 0


# One language today, but two files of the publisher, each with its own pool.
_APART = {"kzj": "dtp-x-kzj"}


def names(languages: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return the names under which the pairs are read, ``tatoeba-112:de`` and so on.

    They can be given to :func:`panglot.evaluate`, which then tells the accuracy of LASER and MTEB for each: ``R@1``
    in ``crosslingual``, both ways in its ``matrix``.

    Args:
        languages: Canonical codes; those that the set does not have are passed over. None: all.

    >>> names(["de", "en", "no", "fo"])
    ('tatoeba-112:de', 'tatoeba-112:fo')
    """
    card = CARDS["tatoeba-112"]
    known = [code for code in card.languages if code != "en"]
    return tuple(f"{card.name}:{code}" for code in known if languages is None or code in set(languages))


def code_of(raw: str) -> str:
    """Return the canonical code of a value of the column ``lang``."""
    return _APART.get(raw) or canonical(raw)


def read_tatoeba(
    folder: Path, language: str, *, name: str = "tatoeba-112", about: Mapping[str, str] | None = None
) -> Collection:
    """Read one pair of languages out of ``tatoeba-112.parquet``: columns ``lang``, ``eng``, ``text``.

    Each language has English sentences of its own, up to 1,000, and LASER's accuracy is defined within them: so a
    pair is a collection of its own, whose English pool is the English of that pair alone. A sentence's translation is
    relevant, in both directions. Only the cross-lingual setting is meant: in the pool of both languages the
    best-ranked passage of a question is the question itself.

    Args:
        folder: Where the file lies.
        language: Canonical code of the language that is not English.
        name: What tables call it.
        about: What else is known about it.

    Raises:
        PanglotError: The file is missing or lacks a column, or has no such language.
    """
    texts: list[Text] = []
    for path in files(folder, "*.parquet"):
        of_pair = "lang", lambda raw: code_of(raw) == language
        for row in records(path, ("lang", "eng", "text"), only=of_pair):
            label = f"{language}-{len(texts) // 2:04d}"
            for code, side in ((language, "text"), ("en", "eng")):
                texts.append(Text(f"{code}:{label}", code, label, str(row[side] or "").strip()))
    if not texts:
        raise PanglotError(f"Tatoeba-112 has no {language}", field="languages", hint="see `panglot data list`")
    return translations(name, texts, {**(about or {}), "part": language, "candidates": "sentence"})


#: The sets that have them, the longest texts first: a language is measured on the first set that has it.
SETS = ("ntrex-128", "sib-200", "tatoeba-112")

Sentences = list[tuple[str, str]]


def parallel_texts(name: str, data_dir: str | Path | None = None) -> Iterator[tuple[str, Sentences]]:
    """Yield each language of one of :data:`SETS` with its sentences, ``(text, English)``, none of them empty.

    Nothing where the set is not at hand. All parts are read: counting tokens is no training and no test.

    Raises:
        PanglotError: A file is not what it should be.
    """
    folder = registry.find(CARDS[name], data_dir)
    if folder is not None:
        for path in files(folder, "*.parquet"):
            yield from _WAYS[name](path)


def _wide(path: Path) -> Iterator[tuple[str, Sentences]]:
    table = _table(path)
    english = table["eng"].to_pylist() if "eng" in table.column_names else _lacking(path, "eng")
    for column in table.column_names:
        if column not in {"doc", "line"}:
            yield canonical(column), _both(table[column].to_pylist(), english)


def _long(path: Path) -> Iterator[tuple[str, Sentences]]:
    table = _table(path)
    if missing := {"lang", "index_id", "text"} - set(table.column_names):
        _lacking(path, missing.pop())
    by_language: dict[str, dict[int, str]] = {}
    columns = (table[column].to_pylist() for column in ("lang", "index_id", "text"))
    for code, row, text in zip(*columns, strict=True):
        if text and not flores.is_mojibake(text):
            by_language.setdefault(code, {})[row] = text
    english = by_language.get("eng_Latn", {})
    for code, texts in by_language.items():
        yield flores.code_of(code), [(text, english[row]) for row, text in texts.items() if row in english]


def _pairs(path: Path) -> Iterator[tuple[str, Sentences]]:
    table = _table(path)
    if missing := {"lang", "eng", "text"} - set(table.column_names):
        _lacking(path, missing.pop())
    by_language: dict[str, Sentences] = {}
    columns = (table[column].to_pylist() for column in ("lang", "text", "eng"))
    for code, text, english in zip(*columns, strict=True):
        if text and english:
            by_language.setdefault(code, []).append((text, english))
    for code, sentences in by_language.items():
        yield code_of(code), sentences


_WAYS = {"ntrex-128": _wide, "sib-200": _long, "tatoeba-112": _pairs}


def _both(texts: list[str | None], english: list[str | None]) -> Sentences:
    return [(text, other) for text, other in zip(texts, english, strict=True) if text and other]


def _table(path: Path):  # noqa: ANN202  (pyarrow.Table)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise PanglotError(
            f"not a readable Parquet file: {str(error).splitlines()[0]}", file=path, hint="fetch it again"
        ) from error


def _lacking(path: Path, column: str) -> list[str | None]:
    raise PanglotError("no such column", file=path, field=column, hint="fetch the file again")
