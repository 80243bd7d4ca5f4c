"""Find files of rows, and read text, lines and JSON from files, plain or gzipped, with errors that say where.

All functions raise a :class:`PanglotError` that names the file, and the line if there is one, for files that cannot be
read: missing, empty, cut short, not UTF-8, or of another format.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from panglot._errors import PanglotError
from panglot._files import atomic_file

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

BOM = b"\xef\xbb\xbf"
#: What reading gzip data raises that end too soon or are damaged.
CUT_SHORT = (EOFError, zlib.error, gzip.BadGzipFile)
_GZIP = b"\x1f\x8b"
_PIECE = 1 << 23  # bytes
_BEGINNING = 1 << 18  # bytes of a file that are looked at

TABLES = ("csv", "tsv", "jsonl", "ndjson", "parquet")
"""Endings of files of rows or documents. A ``.json`` file is one if it holds an array."""


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield ``(line number, line)`` of a UTF-8 file, plain or gzipped, without blank lines and line ends."""
    anything = False
    for number, text in whole_lines(path):
        if text.strip():
            anything = True
            yield number, text.rstrip("\r\n")
    if not anything:
        raise empty_file(path)


def whole_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield ``(line number, line)`` of a UTF-8 file, plain or gzipped. Every line comes, with its end."""
    number = 0
    try:
        with opened(path) as stream:
            for number, raw in enumerate(stream, 1):
                yield number, decode(raw.removeprefix(BOM) if number == 1 else raw, path, number)
    except CUT_SHORT as error:
        raise cut_short(path, number + 1) from error


def line_pieces(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines of a file, plain or gzipped, some megabytes at once, after the number of the first of them.

    If gzip data are cut short, the whole lines before the cut come before the error, whose line is the next one.
    """
    line = 1
    with opened(path) as stream, contextlib.suppress(*CUT_SHORT):
        while data := stream.read(_PIECE) + stream.readline():
            yield line, data
            line += data.count(b"\n")
        return
    # The read that failed gave nothing back, so read the lines before the cut once more.
    lines: list[bytes] = []
    number = 0
    with opened(path) as stream, contextlib.suppress(*CUT_SHORT):
        for number, raw in enumerate(stream, 1):
            if number >= line:
                lines.append(raw)
    yield line, b"".join(lines)
    raise cut_short(path, number + 1)


def read_bytes(path: Path) -> bytes:
    """Return the whole content of a file, plain or gzipped, without a byte order mark."""
    pieces: list[bytes] = []
    try:
        with opened(path) as stream:
            while piece := stream.read(1 << 22):
                pieces.append(piece)
    except CUT_SHORT as error:
        raise cut_short(path, b"".join(pieces).count(b"\n") + 1) from error
    raw = b"".join(pieces).removeprefix(BOM)
    if not raw.strip():
        raise empty_file(path)
    return raw


def read_text(path: Path) -> str:
    """Return the whole text of a UTF-8 file, plain or gzipped."""
    raw = read_bytes(path)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(path, raw.count(b"\n", 0, error.start) + 1, error) from error


def read_json(path: Path) -> object:
    """Return the value in a JSON file, plain or gzipped."""
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path, line: int | None = None) -> object:
    """Return the JSON value in ``text``, which is the content of ``path``, or its line ``line``."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} (column {error.colno})"
        hint = "correct the line, or fetch the file again if it was cut short"
        raise PanglotError(problem, file=path, line=error.lineno if line is None else line, hint=hint) from error
    except ValueError as error:  # Python reads no number of more than 4,300 digits.
        raise PanglotError(f"cannot be read: {error}", file=path, line=line, hint="put it in quotes") from error
    except RecursionError as error:
        raise PanglotError("JSON nested too deeply", file=path, line=line, hint="flatten it") from error


def ending_of(path: Path) -> str:
    """Return the ending of a file's name in small letters, without ``.gz``.

    >>> ending_of(Path("docs/a.JSONL.gz"))
    'jsonl'
    """
    return path.name.lower().removesuffix(".gz").rpartition(".")[2]


def opened(path: Path) -> IO[bytes]:
    """Open a file, plain or gzipped, whatever its name."""
    try:
        stream = path.open("rb")
        # Peeking takes nothing away, so that a pipe can be read too.
        if stream.peek(2)[:2] != _GZIP:
            return stream
        stream.close()
        return cast("IO[bytes]", gzip.open(path))
    except OSError as error:
        hint = "check the path and its permissions"
        raise PanglotError(f"cannot read: {error.strerror or error}", file=path, hint=hint) from error


def decode(raw: bytes, path: Path, line: int) -> str:
    """Return a line as text."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(path, line, error) from error


def line_text(raw: bytes) -> str:
    r"""Return a line as the file has it, with bytes that are not UTF-8 as ``\xNN``."""
    return raw.decode("utf-8", "backslashreplace").rstrip("\r\n")


def not_utf8(path: Path, line: int, error: UnicodeDecodeError) -> PanglotError:
    """Return the error for bytes that are not UTF-8, with a hint that names the encoding in which they make sense."""
    raw = error.object
    hint = "convert it to UTF-8"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\x00" in raw:
        hint = "it looks like UTF-16, so convert the file, e.g. `iconv -f UTF-16 -t UTF-8`"
    else:
        with contextlib.suppress(UnicodeDecodeError):
            raw.decode("cp1252")
            hint = "it could be Windows-1252, so convert it, e.g. `iconv -f WINDOWS-1252 -t UTF-8`"
    return PanglotError(f"not UTF-8 (byte 0x{raw[error.start]:02x})", file=path, line=line, hint=hint)


def cut_short(path: Path, line: int) -> PanglotError:
    """Return the error for gzip data that end too soon or are damaged."""
    return PanglotError("the gzip data are damaged or cut short", file=path, line=line, hint="fetch the file again")


def empty_file(path: Path) -> PanglotError:
    """Return the error for a file without any content."""
    return PanglotError("the file is empty", file=path, hint="fetch or write it again")


def array_rows(path: Path) -> list[Any] | None:
    """Return the values of a file that is one JSON array whose first value is an object, or None for any other file."""
    with opened(path) as stream:
        try:
            start = stream.read(64).removeprefix(BOM).lstrip()
        except CUT_SHORT as error:
            raise cut_short(path, 1) from error
    # In JSON lines, a line such as [1] is one broken row among others.
    if not (start.startswith(b"[") and start[1:].lstrip().startswith(b"{")):
        return None
    found = read_json(path)
    return cast("list[Any]", found) if isinstance(found, list) else None


def parse_object(text: str, path: Path, line: int) -> dict[str, Any]:
    """Return the JSON object in one line of a file."""
    return as_object(parse_json(text, path, line), path, line)


def as_object(value: object, path: Path, line: int) -> dict[str, Any]:
    """Return a JSON value that must be an object."""
    if not isinstance(value, dict):
        hint = 'write one object per line: {"id": …, "text": …} for documents, {"language": …, "passage": …} for rows'
        raise PanglotError(f"not a JSON object but {type(value).__name__}", file=path, line=line, hint=hint)
    return cast("dict[str, Any]", value)


def objects(path: Path, *needed: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield ``(line, object)`` for the lines of a file, plain or gzipped."""
    for line, raw in numbered_lines(path):
        entry = parse_object(raw, path, line)
        for key in needed:
            if key not in entry:
                raise PanglotError("the field is missing", file=path, line=line, field=key, hint="fetch the file again")
        yield line, entry


def is_parquet(path: Path) -> bool:
    """Return whether a file of rows is Parquet and not JSON lines."""
    return path.name.lower().endswith(".parquet")


def row_files(path: Path) -> list[Path]:
    """Return the files of rows at a path: the file itself, or those of a folder, sorted by name."""
    if path.is_file():
        return [path] if holds_rows(path) else []
    if any((path / name).exists() for name in ("collection.json", "qrels", "qrels.txt", "topics")):
        return []
    # `panglot data check` writes rejected rows beside the file that it checks.
    files = (each for each in path.iterdir() if not each.name.endswith(".rejected.jsonl")) if path.is_dir() else ()
    return sorted(each for each in files if each.is_file() and holds_rows(each))


def holds_rows(path: Path) -> bool:
    """Return whether a file holds rows: by its name, or if it is JSON, by its beginning."""
    if ending_of(path) != "json":
        return ending_of(path) in TABLES
    if not path.is_file():
        return False
    with opened(path) as stream, contextlib.suppress(*CUT_SHORT):
        start = stream.readline(_BEGINNING).removeprefix(BOM).strip()
        # SQuAD's file is one object with `data`. JSON lines may be called .json too.
        with contextlib.suppress(ValueError):
            first = json.loads(start)
            is_row = isinstance(first, dict) and not {"passage", "question", "text"}.isdisjoint(first)
            return isinstance(first, list) or is_row
        return start.startswith(b"[")
    return False


def plain_name(path: Path) -> str:
    """Return a file's name without ``.gz`` and the ending before it.

    >>> plain_name(Path("dev/en.json.gz"))
    'en'
    """
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def files(folder: Path, *patterns: str) -> list[Path]:
    """Return the files of ``folder`` that match a pattern, plain or with ``.gz`` after it, sorted by name.

    If a file is there both plain and gzipped, the plain one counts.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)) + sorted(folder.glob(f"{pattern}.gz")):
            found.setdefault(str(path).removesuffix(".gz"), path)
    if not found:
        problem = f"no file {' or '.join(patterns)} (or .gz)"
        raise PanglotError(problem, file=folder, hint="put the publisher's files there")
    return [found[name] for name in sorted(found)]


def read_xml(path: Path) -> Element:
    """Return the root of an XML file, plain or gzipped.

    Raises:
        PanglotError: The file is not XML, or declares entities, which may refer to other files or grow without bound.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    parser: Any = DefusedXMLParser()
    try:
        parser.feed(read_bytes(path))
        return parser.close()
    except DefusedXmlException as error:
        line = parser.parser.CurrentLineNumber
        hint = "write it without them"
        raise PanglotError("the XML file declares entities", file=path, line=line, hint=hint) from error
    except ParseError as error:
        hint = "correct it or download it again"
        raise PanglotError(f"not XML: {error}", file=path, line=error.position[0], hint=hint) from error


def local_name(element: Element) -> str:
    """Return the name of an XML element without its namespace."""
    return element.tag.rpartition("}")[2]


@dataclass(frozen=True)
class RowError:
    """One row that cannot be used, with the fields of :class:`PanglotError`."""

    line: int  # or row, from 1
    field: str
    problem: str
    hint: str
    text: str = ""  # :func:`line_text` of the line, empty for Parquet
    file: str = ""

    @classmethod
    def of(cls, error: PanglotError, text: str = "") -> RowError:
        """Return an error that was raised for a row."""
        return cls(error.line or 0, error.field or "", error.problem, error.hint or "", text, str(error.file or ""))

    def error(self) -> PanglotError:
        """Return the exception to raise where no row may be skipped."""
        place = {"file": self.file or None, "field": self.field or None}
        return PanglotError(self.problem, **place, line=self.line or None, hint=self.hint)


def write_rejected(rejected: Iterable[RowError], path: Path) -> int:
    """Write rejected rows as JSON lines ``{"line", "field", "problem", "hint", "text", "file"}``; return how many."""
    number = 0
    with atomic_file(path) as part, part.open("w", encoding="utf-8") as out:
        for one in rejected:
            number += 1
            out.write(json.dumps(asdict(one)) + "\n")
    return number
