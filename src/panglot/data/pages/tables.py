"""Sections out of the columns of CSV and TSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.files import read_text
from panglot.data.pages.sections import Place, Section

_NAMES = ("title", "text", "language", "group")
# A cell may be a whole article; the module's own bound is 131,072 letters.
_LONGEST = 1 << 30


def sections(path: Path, place: Place, columns: Mapping[str, str]) -> Iterator[Section]:
    """Yield a section for each row; its anchor is the ``group`` column, or its place.

    Args:
        path: A file with a line of column names.
        place: What its path tells.
        columns: What the columns ``title``, ``text``, ``language`` and ``group`` are called, where it is not that.

    Raises:
        PanglotError: A column is missing, a row has too many cells, or nobody tells the language.
    """
    if wrong := sorted(set(columns) - set(_NAMES)):
        raise PanglotError(f"no such role of a column: {wrong[0]}", field="columns", hint=f"name {', '.join(_NAMES)}")
    csv.field_size_limit(_LONGEST)
    delimiter = "\t" if ".tsv" in path.name else ","
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    there = reader.fieldnames or []
    for role in {"text", *columns}:
        if columns.get(role, role) not in there:
            raise PanglotError(
                f"no such column (there are: {', '.join(there)})",
                file=path,
                field=columns.get(role, role),
                hint=f"say which one it is: `--column {role}=NAME`",
            )
    for number, row in enumerate(reader, 1):
        if None in row:
            raise PanglotError("more cells than columns", file=path, line=reader.line_num, hint="quote the cells")
        values = {role: (row.get(columns.get(role, role)) or "").strip() for role in _NAMES}
        page, language = place.settle(path, values["language"])
        anchor = values["group"] or f"{number}"
        # One table holds all languages: its rows are tied by the group alone.
        name = place.whole if values["language"] else page
        if values["text"]:
            yield Section(name, language, anchor, 2, values["title"], values["text"], "")
