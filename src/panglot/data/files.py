"""Text, lines and JSON out of plain or gzipped files, with errors that say where."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from panglot._errors import PanglotError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

BOM = b"\xef\xbb\xbf"


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield ``(line number, line)`` of a UTF-8 file, plain or gzipped, but for blank lines.

    Raises:
        PanglotError: The file is missing, empty, cut short, or not UTF-8.
    """
    anything = False
    for number, text in whole_lines(path):
        if text.strip():
            anything = True
            yield number, text.rstrip("\r\n")
    if not anything:
        raise _empty(path)


def whole_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield ``(line number, line)`` of a UTF-8 file, plain or gzipped: every line, with its end.

    Raises:
        PanglotError: The file is missing, cut short, or not UTF-8.
    """
    number = 0
    try:
        with opened(path) as stream:
            for number, raw in enumerate(stream, 1):
                yield number, _decode(raw.removeprefix(BOM) if number == 1 else raw, path, number)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _cut_short(path, number + 1) from error


def decoded(raw: bytes, path: Path, number: int) -> str:
    """Return line ``number`` of a UTF-8 file without its end; "" for a blank one.

    Raises:
        PanglotError: It is not UTF-8.
    """
    line = _decode(raw.removeprefix(BOM) if number == 1 else raw, path, number)
    return line.rstrip("\r\n") if line.strip() else ""


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
        raise _cut_short(path, b"".join(pieces).count(b"\n") + 1) from error
    raw = b"".join(pieces).removeprefix(BOM)
    if not raw.strip():
        raise _empty(path)
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
        raise _not_utf8(path, raw.count(b"\n", 0, error.start) + 1, error) from error


def read_json(path: Path) -> object:
    """Return the value in a JSON file, plain or gzipped.

    Raises:
        PanglotError: As :func:`read_text`, or the text is not JSON.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path, line: int | None = None) -> object:
    """Return the JSON value in ``text``, which stands in ``path``, in ``line`` if it is one line of it.

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
            hint="correct the line; a file that was cut short must be fetched again",
        ) from error
    except RecursionError as error:
        raise PanglotError("JSON nested too deeply", file=path, line=line, hint="flatten it") from error


def opened(path: Path) -> IO[bytes]:
    """Open a file, plain or gzipped.

    Raises:
        PanglotError: It cannot be read.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise PanglotError(
            f"cannot read: {error.strerror or error}", file=path, hint="check the path and its permissions"
        ) from error
    if stream.peek(2)[:2] == b"\x1f\x8b":
        return cast("IO[bytes]", _Gzip(stream))
    return stream


class _Gzip(gzip.GzipFile):
    """A gzip reader that closes the file below it too."""

    def __init__(self, below: IO[bytes]) -> None:
        super().__init__(fileobj=below, mode="rb")
        self._below = below

    def close(self) -> None:
        super().close()
        self._below.close()


def _decode(raw: bytes, path: Path, line: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(path, line, error) from error


def _not_utf8(path: Path, line: int, error: UnicodeDecodeError) -> PanglotError:
    code = "UTF-16" if error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "ISO-8859-1"
    return PanglotError(
        f"not UTF-8 (byte 0x{error.object[error.start]:02x})",
        file=path,
        line=line,
        hint=f"save it as UTF-8, e.g. `iconv -f {code} -t UTF-8`",
    )


def _cut_short(path: Path, line: int) -> PanglotError:
    return PanglotError("the gzip data are damaged or cut short", file=path, line=line, hint="fetch the file again")


def _empty(path: Path) -> PanglotError:
    return PanglotError("the file is empty", file=path, hint="fetch or write it again")


def objects(path: Path, *needed: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield ``(line, object)``.

    Raises:
        PanglotError: A line is not a JSON object, or lacks a needed field.
    """
    for line, raw in numbered_lines(path):
        values = parse_json(raw, path, line)
        if not isinstance(values, dict):
            raise PanglotError("not a JSON object", file=path, line=line, hint="fetch the file again")
        entry = cast("dict[str, Any]", values)
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

    Where a file is there both plain and gzipped, the plain one counts.

    Raises:
        PanglotError: There is none.
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
