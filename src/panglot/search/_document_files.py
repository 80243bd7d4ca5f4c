"""Rows of documents in JSON lines, CSV and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

from panglot._errors import PanglotError
from panglot.corpus._open import numbered_lines, parse_json, whole_lines
from panglot.corpus.parquet import batches

Rows = Iterator[tuple[int, dict[str, object]]]
"""The line and the fields of each row."""

FORMS = ".jsonl, .ndjson, .csv (each also with .gz) or .parquet"


def file_rows(path: Path) -> Callable[[], Rows]:
    """Return what yields ``(line, fields)`` of a file, each time it is called; Parquet's rows count from 1.

    Raises:
        PanglotError: The file's name does not tell what it is; while reading, a line is broken.
    """
    name = path.name.lower()
    if name.endswith(".parquet"):
        return partial(_parquet, path)
    for ending, rows in ((".csv", _csv), (".jsonl", _json), (".ndjson", _json)):
        if name.removesuffix(".gz").endswith(ending):
            return partial(rows, path)
    raise PanglotError("its name does not tell what it holds", file=path, cure=f"name it {FORMS}")


def _json(path: Path) -> Rows:
    for line, text in numbered_lines(path):
        value = parse_json(text, path, line)
        if not isinstance(value, dict):
            raise PanglotError("not a JSON object", file=path, line=line, cure='write {"id": …, "text": …}')
        yield line, cast("dict[str, object]", value)


def _parquet(path: Path) -> Rows:
    rows = (values for batch in batches(path, ("id", "text"), None) for values in batch.to_pylist())
    yield from enumerate(rows, 1)


def _csv(path: Path) -> Rows:
    reader = csv.reader((text for _, text in whole_lines(path)), strict=True)
    head: list[str] = []
    line = 1
    try:
        for cells in reader:
            if cells and not head:
                head = _head(cells, path, line)
            elif cells:
                if len(cells) != len(head):
                    raise PanglotError(
                        f"{len(cells)} cells, and the head has {len(head)}",
                        file=path,
                        line=line,
                        cure='put texts with commas, quotes or line ends in quotes ("), and quotes within twice',
                    )
                yield line, {name: cell or None for name, cell in zip(head, cells, strict=True)}
            line = reader.line_num + 1
    except csv.Error as error:
        cure = f"close the quotes; split texts of more than {csv.field_size_limit():,} characters"
        raise PanglotError(f"not CSV: {error}", file=path, line=line, cure=cure) from error
    if not head:
        raise PanglotError("the file is empty", file=path, cure="fetch or write it again")


def _head(cells: list[str], path: Path, line: int) -> list[str]:
    for name in ("id", "text"):
        if cells.count(name) != 1:
            problem = "no such column" if name not in cells else "there are two such columns"
            raise PanglotError(
                f"{problem} (there are: {', '.join(cells)})",
                file=path,
                line=line,
                field=name,
                cure="name the columns in the first line, commas between them",
            )
    if twice := [name for place, name in enumerate(cells) if name in cells[:place] or not name]:
        raise PanglotError("a column needs a name of its own", file=path, line=line, field=twice[0], cure="rename it")
    return cells
