"""Sections of CSV and TSV files, one per row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.files import read_text
from panglot.data.pages.sections import Place, Section

_NAMES = ("title", "text", "language", "group")
# A cell may be a whole article, and the module's own limit is 131,072 characters.
_LONGEST = 1 << 30


def sections(path: Path, place: Place, columns: Mapping[str, str]) -> Iterator[Section]:
    """Yield a section per row. Its anchor is the ``group`` column, or else its place.

    Args:
        path: A file with a line of column names.
        place: Page and language by its path.
        columns: Names of the columns for ``title``, ``text``, ``language`` and ``group`` that are called otherwise.

    Raises:
        PanglotError: A column is missing, a row has too many cells, or the language is not known.
    """
    if wrong := sorted(set(columns) - set(_NAMES)):
        raise PanglotError(f"unknown role of a column: {wrong[0]!r}", field="columns", hint=f"use {', '.join(_NAMES)}")
    csv.field_size_limit(_LONGEST)
    delimiter = "\t" if ".tsv" in path.name else ","
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    there = reader.fieldnames or []
    for role in {"text", *columns}:
        if columns.get(role, role) not in there:
            raise PanglotError(
                f"there is no such column (there are: {', '.join(there)})",
                file=path,
                field=columns.get(role, role),
                hint=f"name the column: `--column {role}=NAME`",
            )
    for number, row in enumerate(reader, 1):
        if None in row:
            raise PanglotError(
                "the row has more cells than there are columns", file=path, line=reader.line_num, hint="quote the cells"
            )
        values = {role: (row.get(columns.get(role, role)) or "").strip() for role in _NAMES}
        page, language = place.settle(path, values["language"])
        anchor = values["group"] or f"{number}"
        # If one table holds all languages, its rows are tied by the group alone.
        name = place.whole if values["language"] else page
        if values["text"]:
            yield Section(name, language, anchor, 2, values["title"], values["text"], "")
