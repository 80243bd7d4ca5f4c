"""Tables in text files: MUSE's pairs of words, two columns of anybody's, and columns by language."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from panglot._errors import PanglotError
from panglot.augment.entries.entry import Entry, code_of, no_pair, pair_of
from panglot.corpus._open import numbered_lines

_LONG = ("lang", "en", "target")

Row = tuple[int, Sequence[str]]


def entries(path: Path, wanted: Collection[str] = ()) -> Iterator[Entry]:
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
                cure="write a word and its translation, with a tab or a blank between them",
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
                f"{len(cells)} columns, not {max(places) + 1}", file=path, line=line, cure="fill the line"
            )
        written, english, target = (cells[place].strip() for place in places)
        if written not in codes:
            code = code_of(written)
            if code is None:
                raise PanglotError(
                    f"unknown language code {written!r}", file=path, line=line, field="lang", cure="write e.g. sw"
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
                f"unknown language code {cell!r}", file=path, line=head[0], field=cell, cure="write e.g. sw"
            )
    source = codes.index("en")
    for line, cells in rows:
        if len(cells) > len(codes):
            raise PanglotError(
                f"{len(cells)} columns, {len(codes)} languages", file=path, line=line, cure="one column a language"
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
                raise PanglotError(f"not CSV: {error}", file=path, line=line, cure="quote the cells") from error
        return
    for line, text in lines:
        yield line, text.split("\t") if "\t" in text else text.split(maxsplit=1)


def _shown(cells: Sequence[str]) -> str:
    text = " ".join(cells)
    return repr(text if len(text) <= 40 else text[:39] + "…")
