"""One cell of a lexicon, and what readers of lexicons share."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.files import numbered_lines, parquet_records
from panglot.data.language import canonical

_PANLEX = re.compile(r"([a-z]{3})-\d{3}")


@dataclass(frozen=True)
class Entry:
    """An English word or phrase and its translation, as the file writes them.

    Attributes:
        language: Canonical code.
        english: In English.
        target: In the language.
        line: Which line or row of the file, from 1; 0 where the format has none.
    """

    language: str
    english: str
    target: str
    line: int = 0


def code_of(written: str) -> str | None:
    """Return the canonical code of a language, also in PanLex's style; None where it is no language.

    >>> code_of("swh"), code_of("swh-000"), code_of("words")
    ('sw', 'sw', None)
    """
    plain = written.strip()
    uid = _PANLEX.fullmatch(plain)
    try:
        return canonical(uid[1] if uid else plain)
    except PanglotError:
        return None


def pair_of(path: Path) -> tuple[str, bool] | None:
    """Return the language that a file's name pairs with English, and whether English comes first; None: no pair.

    >>> pair_of(Path("en-fr.0-5000.txt")), pair_of(Path("deu-eng.tei")), pair_of(Path("en-zh-Hant.tsv"))
    (('fr', True), ('de', False), ('zh-Hant', True))
    """
    pieces = re.split("[-_]", path.name.split(".", 1)[0])
    for english, others, first in ((pieces[0], pieces[1:], True), (pieces[-1], pieces[:-1], False)):
        if others and code_of(english) == "en" and (language := code_of("-".join(others))) not in (None, "en"):
            return language, first
    return None


def no_pair(path: Path) -> PanglotError:
    """Return the error of a file that does not tell its languages."""
    return PanglotError(
        "the languages of this lexicon are not known",
        file=path,
        field="language",
        hint="call it after them, English among them (en-sw.tsv), or write a first line of their codes",
    )


def parquet_entries(path: Path, wanted: Collection[str] = ()) -> Iterator[Entry]:
    """Yield the rows of the table, those of the languages ``wanted`` if any are named.

    Raises:
        PanglotError: The file is not Parquet, a column is missing, a cell is no text, or a language is not known.
    """
    codes: dict[str, str] = {}
    for line, row in enumerate(parquet_records(path, ("lang", "en", "target")), 1):
        code, english, target = row["lang"], row["en"], row["target"]
        if not (isinstance(code, str) and isinstance(english, str) and isinstance(target, str)):
            raise PanglotError("a cell is not text", file=path, line=line, hint="fill it, or remove the row")
        if code not in codes:
            try:
                codes[code] = canonical(code)
            except PanglotError as error:
                raise PanglotError(error.problem, file=path, line=line, field="lang", hint=error.hint) from error
        if not wanted or codes[code] in wanted:
            yield Entry(codes[code], english, target, line)


_LONG = ("lang", "en", "target")

Row = tuple[int, Sequence[str]]


def table_entries(path: Path, wanted: Collection[str] = ()) -> Iterator[Entry]:
    """Yield what a table says; columns are parted by tabs, in ``.csv`` by commas, else by the first blank (MUSE).

    Three layouts: a file that is called after its two languages (``en-sw.txt``, ``eng-swh.tsv``, ``sw-en.csv``) has
    their words in two columns, and columns after these are passed over; a first line ``lang, en, target`` heads a row
    a translation; a first line of language codes, also PanLex's (``eng-000``), heads a column a language, English
    among them. A translation that is empty is no entry.

    Args:
        path: The file, plain or gzipped.
        wanted: Keep these languages; empty: all.

    Raises:
        PanglotError: The file is not UTF-8, tells no languages, or a line has too few or too many columns.
    """
    rows = _rows(path)
    head = next(rows, None)
    if head is None:
        return
    names = tuple(cell.strip().lower() for cell in head[1])
    if set(_LONG) <= set(names):
        found = _long(path, rows, [names.index(name) for name in _LONG])
    elif pair := pair_of(path):
        found = _two(path, chain([head], rows), *pair)
    else:
        found = _wide(path, rows, head)
    yield from (entry for entry in found if not wanted or entry.language in wanted)


def _two(path: Path, rows: Iterable[Row], language: str, english_first: bool) -> Iterator[Entry]:
    order = (0, 1) if english_first else (1, 0)
    for line, cells in rows:
        if len(cells) < 2:
            raise PanglotError(
                f"one column only: {_shown(cells)}",
                file=path,
                line=line,
                hint="write a word and its translation, with a tab or a blank between them",
            )
        # Some lists begin with the names of their columns.
        if line == 1 and code_of(cells[order[0]]) == "en" and code_of(cells[order[1]]) == language:
            continue
        english, target = (cells[place].strip() for place in order)
        if english and target:
            yield Entry(language, english, target, line)


def _long(path: Path, rows: Iterable[Row], places: Sequence[int]) -> Iterator[Entry]:
    codes: dict[str, str] = {}
    for line, cells in rows:
        if len(cells) <= max(places):
            raise PanglotError(
                f"{len(cells)} columns, not {max(places) + 1}", file=path, line=line, hint="fill the line"
            )
        written, english, target = (cells[place].strip() for place in places)
        if written not in codes:
            code = code_of(written)
            if code is None:
                raise PanglotError(
                    f"unknown language code {written!r}", file=path, line=line, field="lang", hint="write e.g. sw"
                )
            codes[written] = code
        if english and target:
            yield Entry(codes[written], english, target, line)


def _wide(path: Path, rows: Iterable[Row], head: Row) -> Iterator[Entry]:
    codes = [code_of(cell) for cell in head[1]]
    if "en" not in codes or len(codes) < 2:
        raise no_pair(path)
    for cell, code in zip(head[1], codes, strict=True):
        if code is None:
            raise PanglotError(
                f"unknown language code {cell!r}", file=path, line=head[0], field=cell, hint="write e.g. sw"
            )
    source = codes.index("en")
    for line, cells in rows:
        if len(cells) > len(codes):
            raise PanglotError(
                f"{len(cells)} columns, {len(codes)} languages", file=path, line=line, hint="one column a language"
            )
        english = cells[source].strip() if len(cells) > source else ""
        for place, (code, cell) in enumerate(zip(codes, cells, strict=False)):
            if place != source and english and cell.strip():
                yield Entry(str(code), english, cell.strip(), line)


def _rows(path: Path) -> Iterator[Row]:
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    lines = numbered_lines(path)
    if ending == "csv":
        # Cells with line ends in them are no words: a line is a row.
        for line, text in lines:
            try:
                yield line, next(csv.reader([text]))
            except csv.Error as error:
                raise PanglotError(f"not CSV: {error}", file=path, line=line, hint="quote the cells") from error
        return
    for line, text in lines:
        yield line, text.split("\t") if "\t" in text else text.split(maxsplit=1)


def _shown(cells: Sequence[str]) -> str:
    text = " ".join(cells)
    return repr(text if len(text) <= 40 else text[:39] + "…")
