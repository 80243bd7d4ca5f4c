"""NTREX-128: news in some 125 languages, as sentences that find their translations or as passages (WMT 2022)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.corpus._folder import files
from panglot.corpus._parallel import translations, versions
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical

_HELD_OUT = 4
_SHORTEST, _LONGEST = 3, 5
# Its Dzongkha: more than 250 of the 1,997 rows hold text of other rows, and do not say what their English says.
_FAULTY = {"dz"}
_NO_BLANKS = {"zh", "ja", "yue"}  # no blank between their sentences


def read(
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
        raise PanglotError(f"not NTREX: {error}", file=path, cure="fetch it again") from error
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
