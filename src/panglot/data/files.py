"""Read text, lines, JSON and Parquet rows from files, plain or gzipped, with errors that say where."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pyarrow as pa
from pyarrow import compute

from panglot._errors import PanglotError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"

_pc: Any = compute  # Its functions are made at run time, so that no type checker knows them.


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield ``(line number, line)`` of a UTF-8 file, plain or gzipped, without blank lines.

    Raises:
        PanglotError: The file is missing, empty, cut short, or not UTF-8.
    """
    anything = False
    for number, text in whole_lines(path):
        if text.strip():
            anything = True
            yield number, text.rstrip("\r\n")
    if not anything:
        raise empty_file(path)


def whole_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield ``(line number, line)`` of a UTF-8 file, plain or gzipped. Every line comes, with its end.

    Raises:
        PanglotError: The file is missing, cut short, or not UTF-8.
    """
    number = 0
    try:
        with opened(path) as stream:
            for number, raw in enumerate(stream, 1):
                yield number, _decode(raw.removeprefix(BOM) if number == 1 else raw, path, number)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise cut_short(path, number + 1) from error


def read_bytes(path: Path) -> bytes:
    """Return the whole content of a file, plain or gzipped, without a byte order mark.

    Raises:
        PanglotError: The file is missing, empty, or cut short.
    """
    pieces: list[bytes] = []
    try:
        with opened(path) as stream:
            while piece := stream.read(1 << 22):
                pieces.append(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise cut_short(path, b"".join(pieces).count(b"\n") + 1) from error
    raw = b"".join(pieces).removeprefix(BOM)
    if not raw.strip():
        raise empty_file(path)
    return raw


def read_text(path: Path) -> str:
    """Return the whole text of a UTF-8 file, plain or gzipped.

    Raises:
        PanglotError: The file is missing, empty, cut short, or not UTF-8.
    """
    raw = read_bytes(path)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(path, raw.count(b"\n", 0, error.start) + 1, error) from error


def read_json(path: Path) -> object:
    """Return the value in a JSON file, plain or gzipped.

    Raises:
        PanglotError: As :func:`read_text`, or the text is not JSON.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path, line: int | None = None) -> object:
    """Return the JSON value in ``text``, which is the content of ``path``, or its line ``line``.

    Raises:
        PanglotError: The text is not JSON.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise PanglotError(
            f"not JSON: {error.msg} (column {error.colno})",
            file=path,
            line=line if line is not None else error.lineno,
            hint="correct the line, or fetch the file again if it was cut short",
        ) from error
    except RecursionError as error:
        raise PanglotError("JSON nested too deeply", file=path, line=line, hint="flatten it") from error


def opened(path: Path) -> IO[bytes]:
    """Open a file, plain or gzipped, whatever its name.

    Raises:
        PanglotError: It cannot be read.
    """
    try:
        stream = path.open("rb")
        # Peeking takes nothing away, so that a pipe can be read too.
        if stream.peek(2)[:2] != _GZIP:
            return stream
        stream.close()
        return cast("IO[bytes]", gzip.open(path))
    except OSError as error:
        raise PanglotError(
            f"cannot read: {error.strerror or error}", file=path, hint="check the path and its permissions"
        ) from error


def _decode(raw: bytes, path: Path, line: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(path, line, error) from error


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


def parse_object(text: str, path: Path, line: int) -> dict[str, Any]:
    """Return the JSON object in one line of a file.

    Raises:
        PanglotError: The line is not a JSON object.
    """
    value = parse_json(text, path, line)
    if not isinstance(value, dict):
        hint = 'write one object per line, such as {"language": …, "passage": …}'
        raise PanglotError("not a JSON object", file=path, line=line, hint=hint)
    return cast("dict[str, Any]", value)


def objects(path: Path, *needed: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield ``(line, object)`` for the lines of a file, plain or gzipped.

    Raises:
        PanglotError: A line is not a JSON object, or lacks a needed field.
    """
    for line, raw in numbered_lines(path):
        entry = parse_object(raw, path, line)
        for key in needed:
            if key not in entry:
                raise PanglotError("the field is missing", file=path, line=line, field=key, hint="fetch the file again")
        yield line, entry


def plain_name(path: Path) -> str:
    """Return a file's name without ``.gz`` and the ending before it.

    >>> plain_name(Path("dev/en.json.gz"))
    'en'
    """
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def files(folder: Path, *patterns: str) -> list[Path]:
    """Return the files of ``folder`` that match a pattern, plain or with ``.gz`` after it, sorted by name.

    If a file is there both plain and gzipped, the plain one counts.

    Raises:
        PanglotError: No file matches.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)) + sorted(folder.glob(f"{pattern}.gz")):
            found.setdefault(str(path).removesuffix(".gz"), path)
    if not found:
        raise PanglotError(
            f"no file {' or '.join(patterns)} (or .gz)", file=folder, hint="put the publisher's files there"
        )
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


def parquet_records(
    path: Path,
    needed: tuple[str, ...],
    optional: tuple[str, ...] = (),
    *,
    only: tuple[str, Callable[[str], bool]] | None = None,
) -> Iterator[dict[str, object]]:
    """Yield the rows of a Parquet file with the columns ``needed``, and those of ``optional`` that it has.

    ``only`` is a column and a function that says which of its values to keep. Other rows are never made into objects.

    Raises:
        PanglotError: The file is not Parquet, or a needed column is missing.
    """
    for batch in parquet_batches(path, needed, optional):
        if only is not None:
            column, accepts = only
            values = batch[column].unique()
            accepted = [value for value in values.to_pylist() if accepts(str(value))]
            yield from batch.filter(_pc.is_in(batch[column], pa.array(accepted, values.type))).to_pylist()
        else:
            yield from batch.to_pylist()


def parquet_batches(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...] | None = ()
) -> Iterator[pa.RecordBatch]:
    """Yield the same rows as columns, some thousand at a time. With ``optional`` None they have all columns.

    Raises:
        PanglotError: As :func:`parquet_records`.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            for column in needed:
                if column not in names:
                    raise PanglotError(
                        f"no such column (there are: {', '.join(names)})",
                        file=path,
                        field=column,
                        hint="rename or add the column",
                    )
            columns = names if optional is None else [*needed, *(name for name in optional if name in names)]
            yield from file.iter_batches(batch_size=8192, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise PanglotError(
            f"not a readable Parquet file: {str(error).splitlines()[0]}",
            file=path,
            hint="write or fetch it again",
        ) from error
