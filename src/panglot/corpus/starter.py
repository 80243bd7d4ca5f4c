"""The starter collection that comes with the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import cast

from panglot._errors import PanglotError
from panglot.corpus import _rows
from panglot.corpus._folder import files, plain_name
from panglot.corpus._open import numbered_lines, parse_json
from panglot.corpus.collection import Collection

PARTS = ("train", "dev", "test")


def folder() -> Path:
    """Return the folder of the shipped files, one ``LANG.jsonl`` a language."""
    return Path(str(resources.files("panglot.corpus"))) / "starter"


def read(
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
    return _rows.collect(name, found, facts)


def _lines(path: Path, part: str) -> Iterator[_rows.Row]:
    language = plain_name(path)
    for line, text in numbered_lines(path):
        values = parse_json(text, path, line)
        if not isinstance(values, dict):
            raise PanglotError("not a JSON object", file=path, line=line, cure="write one object a line")
        values = cast("dict[str, object]", values)
        for key in ("group", "split", "question", "passage"):
            if not values.get(key):
                raise PanglotError(f"no {key}", file=path, line=line, field=key, cure="add it")
        if values["split"] not in PARTS:
            raise PanglotError(
                f"no such part {values['split']!r}",
                file=path,
                line=line,
                field="split",
                cure=f"one of {PARTS}",
            )
        if part in ("all", values["split"]):
            yield _rows.row({**values, "language": language}, path, line)
