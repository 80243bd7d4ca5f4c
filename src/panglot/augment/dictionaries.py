"""PanLex's dump of its database: ``langvar.csv``, ``expr.csv``, ``denotation.csv`` in one folder (CC0-1.0)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.augment.lexicon_files import Entry, code_of, no_pair, pair_of
from panglot.data.files import read_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

FILES = ("langvar.csv", "expr.csv", "denotation.csv")


def panlex_entries(folder: Path, wanted: Collection[str] = ()) -> Iterator[Entry]:
    """Yield the translations of English expressions, those that most meanings attest first.

    An expression of English and one of another language that denote one meaning of a source translate each other.
    Of each language the main variety is read (``var_code`` 0). The files of millions of rows are read in pieces;
    name the languages that are needed, for what is kept of them is in memory.

    Args:
        folder: The unpacked dump.
        wanted: Keep these languages; empty: all.

    Raises:
        PanglotError: A file or column is missing, or a row is broken.
    """
    languages: dict[int, str] = {}
    for batch in _batches(folder / FILES[0], {"id": pa.int64(), "lang_code": pa.string(), "var_code": pa.int64()}):
        for number, written, variety in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            code = code_of(written) if variety == 0 else None
            if code is not None and (code == "en" or not wanted or code in wanted):
                languages[number] = code
    texts: dict[int, tuple[str, str]] = {}
    kept = pa.array(list(languages), pa.int64())
    for batch in _batches(folder / FILES[1], {"id": pa.int64(), "langvar": pa.int64(), "txt": pa.string()}):
        for number, variety, text in zip(*_rows_in(batch, "langvar", kept), strict=True):
            texts[number] = (languages[variety], text)
    for (source, target), _ in sorted(_attested(folder, texts).items(), key=lambda pair: (-pair[1], pair[0])):
        language, word = texts[target]
        yield Entry(language, texts[source][1], word)


def _attested(folder: Path, texts: dict[int, tuple[str, str]]) -> dict[tuple[int, int], int]:
    """Return how many meanings attest each pair of an English expression and one of another language."""
    kept = pa.array(list(texts), pa.int64())
    found: list[tuple[list[int], list[int]]] = []
    for batch in _batches(folder / FILES[2], {"meaning": pa.int64(), "expr": pa.int64()}):
        meanings, expressions = _rows_in(batch, "expr", kept)
        found.append((meanings, expressions))
    meaning = np.concatenate([np.asarray(m, np.int64) for m, _ in found]) if found else np.empty(0, np.int64)
    expression = np.concatenate([np.asarray(e, np.int64) for _, e in found]) if found else np.empty(0, np.int64)
    order = np.argsort(meaning, kind="stable")
    cuts = np.flatnonzero(np.diff(meaning[order])) + 1
    pairs: dict[tuple[int, int], int] = {}
    for members in np.split(expression[order], cuts):
        numbers: list[int] = members.tolist()
        english = [number for number in numbers if texts[number][0] == "en"]
        for source in english:
            for target in numbers:
                if texts[target][0] != "en":
                    pairs[source, target] = pairs.get((source, target), 0) + 1
    return pairs


def _rows_in(batch: Any, column: str, kept: Any) -> list[list[Any]]:
    from pyarrow import compute

    is_in: Any = vars(compute)["is_in"]  # pyarrow makes its functions when it is loaded
    found = batch.filter(is_in(batch[column], value_set=kept))
    return [each.to_pylist() for each in found.columns]


def _batches(path: Path, columns: dict[str, Any]) -> Iterator[Any]:
    from pyarrow import csv

    options = csv.ConvertOptions(column_types=columns, include_columns=list(columns), strings_can_be_null=False)
    try:
        with csv.open_csv(path, convert_options=options) as reader:
            yield from reader
    except FileNotFoundError as error:
        raise PanglotError(
            "no such file in this PanLex folder", file=path, hint=f"unpack {', '.join(FILES)}"
        ) from error
    except (pa.ArrowException, OSError, KeyError) as error:
        raise PanglotError(
            f"not a table of PanLex: {str(error).splitlines()[0]}", file=path, hint="fetch and unpack it again"
        ) from error


def tei_entries(path: Path, wanted: Collection[str] = ()) -> Iterator[Entry]:
    """Yield each spelling of each headword with each of its translations, in the file's order.

    ``entry`` has ``form/orth`` and translations in ``cit type="trans"`` (``quote``), in P4 ``trans`` (``tr``);
    translations of examples are left out. The file's name tells the languages (``eng-swh.tei``, ``deu-eng.tei``).

    Args:
        path: The file, plain or gzipped.
        wanted: Keep these languages; empty: all.

    Raises:
        PanglotError: The file is not XML, is no dictionary, declares entities, or is not called after its languages.
    """
    pair = pair_of(path)
    if pair is None:
        raise no_pair(path)
    language, english_first = pair
    if wanted and language not in wanted:
        return
    root = read_xml(path)
    articles = [element for element in root.iter() if _name(element) == "entry"]
    if not articles:
        raise PanglotError("no <entry> in this file", file=path, hint="give a dictionary in FreeDict's TEI")
    for article in articles:
        words = [
            _text(orth) for form in article if _name(form) == "form" for orth in form.iter() if _name(orth) == "orth"
        ]
        for word in words:
            for translation in _translations(article):
                if word and translation:
                    sides = (word, translation) if english_first else (translation, word)
                    yield Entry(language, *sides)


def _translations(element: Element) -> Iterator[str]:
    for child in element:
        name, kind = _name(child), child.get("type", "")
        if name == "cit" and kind in ("trans", "translation"):
            yield from (_text(quote) for quote in child if _name(quote) == "quote")
        elif name == "trans":
            yield from (_text(word) for word in child if _name(word) == "tr")
        elif name in ("sense", "entry", "hom", "re", "gramGrp"):
            yield from _translations(child)


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
