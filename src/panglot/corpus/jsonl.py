"""JSON lines: anyone's own documents and questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from panglot._errors import PanglotError
from panglot.corpus import _rows
from panglot.corpus._open import numbered_lines, parse_json
from panglot.corpus.collection import Collection


def read(paths: Sequence[Path] | Path, *, name: str = "", about: Mapping[str, str] | None = None) -> Collection:
    """Read files of lines ``{"group": …, "language": …, "question": …, "passage": …}``, plain or gzipped.

    ``group`` ties translations and may be missing: then each line stands alone. A line with a passage only
    enlarges the pool. Groups reach over all files given.

    Raises:
        PanglotError: A file is broken; the message names file, line, field and cure.
    """
    paths = [paths] if isinstance(paths, Path) else list(paths)
    found = (row for path in paths for row in rows(path))
    return _rows.collect(name or paths[0].name.split(".", 1)[0], found, {"candidates": "passage", **(about or {})})


def rows(path: Path) -> Iterator[_rows.Row]:
    """Yield the checked lines of one file.

    Raises:
        PanglotError: A line is not a JSON object, or a field is missing or not a text.
    """
    for line, text in numbered_lines(path):
        yield parsed(text, path, line)


def parsed(text: str, path: Path, line: int) -> _rows.Row:
    """Return one checked line.

    Raises:
        PanglotError: As :func:`rows`.
    """
    value = parse_json(text, path, line)
    if not isinstance(value, dict):
        raise PanglotError("not a JSON object", file=path, line=line, cure='write {"language": …, "passage": …}')
    return _rows.row(cast("dict[str, object]", value), path, line)
