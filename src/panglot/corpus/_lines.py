"""JSON lines of publishers: objects with the fields that a reader needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from panglot._errors import PanglotError
from panglot.corpus._open import numbered_lines, parse_json


def objects(path: Path, *needed: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield ``(line, object)``.

    Raises:
        PanglotError: A line is not a JSON object, or lacks a needed field.
    """
    for line, raw in numbered_lines(path):
        values = parse_json(raw, path, line)
        if not isinstance(values, dict):
            raise PanglotError("not a JSON object", file=path, line=line, cure="fetch the file again")
        entry = cast("dict[str, Any]", values)
        for key in needed:
            if key not in entry:
                raise PanglotError("the field is missing", file=path, line=line, field=key, cure="fetch the file again")
        yield line, entry
