"""The starter collection that comes with the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import cast

from panglot._errors import PanglotError
from panglot.data import rows
from panglot.data.collection import Collection
from panglot.data.files import files, numbered_lines, parse_json, plain_name

PARTS = ("train", "dev", "test")


def folder() -> Path:
    """Return the folder of the shipped files, one ``LANG.jsonl`` a language."""
    return Path(str(resources.files("panglot.datasets"))) / "starter_texts"


def read_starter(
    *,
    part: str = "test",
    name: str = "starter",
    about: Mapping[str, str] | None = None,
    place: Path | None = None,
) -> Collection:
    """Read one part of the starter collection (``train``, ``dev``, ``test``), or ``all``.

    Lines are ``{"group", "subject", "split", "question", "passage"}``, and the file's name is the language.
    All versions of a fact are in the same part.

    Args:
        part: Which part.
        name: What tables call it.
        about: What else is known about it.
        place: Another folder in the same layout.

    Raises:
        PanglotError: A file is broken or has no line of that part.
    """
    found = (row for path in files(place or folder(), "*.jsonl") for row in _lines(path, part))
    facts = {**(about or {}), "part": part, "candidates": "passage"}
    return rows.collect(name, found, facts)


def _lines(path: Path, part: str) -> Iterator[rows.Row]:
    language = plain_name(path)
    for line, text in numbered_lines(path):
        values = parse_json(text, path, line)
        if not isinstance(values, dict):
            raise PanglotError("not a JSON object", file=path, line=line, hint="write one object a line")
        values = cast("dict[str, object]", values)
        for key in ("group", "split", "question", "passage"):
            if not values.get(key):
                raise PanglotError(f"no {key}", file=path, line=line, field=key, hint="add it")
        if values["split"] not in PARTS:
            raise PanglotError(
                f"no such part {values['split']!r}",
                file=path,
                line=line,
                field="split",
                hint=f"one of {PARTS}",
            )
        if part in ("all", values["split"]):
            yield rows.row({**values, "language": language}, path, line)
