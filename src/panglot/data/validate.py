"""JSON lines and Parquet rows parted into those that can be read and those that cannot, each with its reason."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO, cast

from panglot._errors import PanglotError
from panglot._files import atomic_file
from panglot.data import rows as _rows
from panglot.data import rows as parquet
from panglot.data.files import BOM, _cut_short, opened, parse_json
from panglot.data.language import canonical


@dataclass(frozen=True)
class RowError:
    r"""One line that cannot be used.

    Attributes:
        line: Which line or row of the file, from 1.
        field: The field that is wrong, or "".
        problem: What is wrong with it.
        hint: What the user can do.
        text: The line as it stands in the file; bytes that are not UTF-8 as ``\xNN``. Empty for Parquet.
    """

    line: int
    field: str
    problem: str
    hint: str
    text: str = ""


NO_QUESTION = RowError(1, "question", "no line with a question can be used", "add a question, or mend the lines")


def sieve(path: Path) -> tuple[list[_rows.Row], list[RowError]]:
    """Return the rows of a JSON lines or Parquet file that can be read, and the lines that cannot, in order.

    Beside a line's own form, what binds lines together is judged: an id that was used before, a second question or
    passage of one language in one group, a group with a question and no passage. Of two lines that do not agree the
    first one stays. The rows that stay make a collection without an error, if there is a question among them. A gzip
    file that is cut short gives the lines before the cut, and a last broken one.

    Raises:
        PanglotError: The file cannot be opened, or is no Parquet file although it is called one.
    """
    reader = _table(path) if path.name.lower().endswith(".parquet") else _lines(path)
    rows: list[_rows.Row] = []
    broken: list[RowError] = []
    texts: dict[int, str] = {}
    ids: dict[str, int] = {}
    versions: dict[tuple[str, str, str], str] = {}
    for found, text in reader:
        why = found if isinstance(found, RowError) else _clash(found, text, ids, versions)
        if why is not None:
            broken.append(why)
        elif isinstance(found, _rows.Row):
            rows.append(found)
            texts[found.line] = text if found.question is not None else ""
    answered = {row.group for row in rows if row.passage is not None}
    kept: list[_rows.Row] = []
    for row in rows:
        if row.question is not None and row.passage is None and (row.group is None or row.group not in answered):
            broken.append(unanswered(row.line, texts[row.line]))
        else:
            kept.append(row)
    return kept, sorted(broken, key=lambda one: one.line)


def keep_aside(broken: Iterable[RowError], path: Path) -> int:
    """Write broken lines as JSON lines ``{"line", "field", "problem", "hint", "text"}``; return how many.

    Raises:
        PanglotError: The place cannot be written.
    """
    number = 0
    with atomic_file(path) as part, part.open("w", encoding="utf-8") as out:
        for one in broken:
            number += 1
            write_line(one, out)
    return number


def write_line(one: RowError, out: TextIO) -> None:
    """Write a broken line as :func:`keep_aside` does."""
    out.write(json.dumps(asdict(one)) + "\n")


def judged(raw: bytes, path: Path, line: int) -> _rows.Row | RowError:
    """Return a line of JSON, or why it cannot be read."""
    text = as_text(raw)
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return RowError(line, "", f"not UTF-8 (byte 0x{raw[error.start]:02x})", _encoding(raw), text)
    try:
        value = parse_json(text, path, line)
        if not isinstance(value, dict):
            return RowError(line, "", "not a JSON object", 'write {"language": …, "passage": …}', text)
        return _checked(cast("dict[str, object]", value), path, line)
    except PanglotError as error:
        return _broken(error, line, text)


def judged_row(values: dict[str, object], path: Path, line: int) -> _rows.Row | RowError:
    """Return a row of a table, or why it cannot be read."""
    try:
        return _checked(values, path, line)
    except PanglotError as error:
        return _broken(error, line, "")


def as_text(raw: bytes) -> str:
    r"""Return a line as it stands in the file; bytes that are not UTF-8 as ``\xNN``."""
    return raw.decode("utf-8", "backslashreplace").rstrip("\r\n")


def cut_short(path: Path, line: int) -> RowError:
    """Return what stands for the lines behind the place where a gzip file ends too soon."""
    return _broken(_cut_short(path, line), line, "")


def repeated_id(line: int, label: str, before: int, text: str) -> RowError:
    """Return a line whose id stands in a line before."""
    problem = f"the id {label!r} is used before, in line {before}"
    return RowError(line, "id", problem, "give each line its own id", text)


def another_version(line: int, group: str, side: str, language: str, text: str) -> RowError:
    """Return a line whose group has another question or passage in its language before."""
    problem = f"the group {group!r} has another {side} in {language} already"
    return RowError(line, side, problem, "give it a group of its own", text)


def unanswered(line: int, text: str) -> RowError:
    """Return a line with a question that no line answers."""
    problem, hint = "a question without a relevant passage", "add the passage, here or in a line of its group"
    return RowError(line, "passage", problem, hint, text)


def _lines(path: Path) -> Iterator[tuple[_rows.Row | RowError, str]]:
    line = 0
    try:
        with opened(path) as stream:
            for line, read in enumerate(stream, 1):
                raw = read.removeprefix(BOM) if line == 1 else read
                if raw.strip():
                    yield judged(raw, path, line), as_text(raw)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        yield cut_short(path, line + 1), ""


def _table(path: Path) -> Iterator[tuple[_rows.Row | RowError, str]]:
    columns = ("language", "passage"), ("group", "question", "id", "test_only")
    for line, values in enumerate(parquet.records(path, *columns), 1):
        yield judged_row(values, path, line), ""


def _checked(values: dict[str, object], path: Path, line: int) -> _rows.Row:
    row = _rows.row(values, path, line)
    try:
        canonical(row.language)
    except PanglotError as error:
        raise PanglotError(error.problem, file=path, line=line, field="language", hint=error.hint) from error
    return row


def _clash(
    row: _rows.Row, text: str, ids: dict[str, int], versions: dict[tuple[str, str, str], str]
) -> RowError | None:
    """Return what sets the row against an earlier one, else note it."""
    if row.id is not None and row.id in ids:
        return repeated_id(row.line, row.id, ids[row.id], text)
    language = canonical(row.language)
    sides = [("question", row.question), ("passage", row.passage)]
    if row.group is not None:
        for side, version in sides:
            if version is not None and versions.get((row.group, language, side), version) != version:
                return another_version(row.line, row.group, side, language, text)
        versions |= {(row.group, language, side): version for side, version in sides if version is not None}
    if row.id is not None:
        ids[row.id] = row.line
    return None


def _broken(error: PanglotError, line: int, text: str) -> RowError:
    return RowError(line, error.field or "", error.problem, error.hint or "", text)


def _encoding(raw: bytes) -> str:
    """Return a hint that names the encoding in which the bytes make sense."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in raw:
        return "it looks like UTF-16: convert the file, e.g. `iconv -f UTF-16 -t UTF-8`"
    try:
        raw.decode("cp1252")
    except UnicodeDecodeError:
        return "convert the line to UTF-8"
    return "it could be Windows-1252: `iconv -f WINDOWS-1252 -t UTF-8`, for this line only if the others are UTF-8"
