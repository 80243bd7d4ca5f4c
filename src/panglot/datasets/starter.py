"""The starter collection that comes with the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.data.files import files, objects, plain_name
from panglot.data.ingest import collect
from panglot.data.rows import Row, check_row
from panglot.datasets.card import DatasetSpec

PARTS = ("train", "dev", "test")


def read_starter(folder: Path, spec: DatasetSpec) -> Collection:
    """Read one part of the starter collection, or ``all``.

    The file's name is the language. Lines are ``{"group", "subject", "split", "question", "passage"}``. All versions
    of a fact are in the same part.

    Raises:
        PanglotError: A file is broken or has no line of that part.
    """
    rows = ((path, row) for path in files(folder, "*.jsonl") for row in _rows(path, spec.part))
    return collect(spec.name, rows, spec.about)


def _rows(path: Path, part: str) -> Iterator[Row]:
    language = plain_name(path)
    for line, values in objects(path, "group", "split", "question", "passage"):
        if values["split"] not in PARTS:
            problem = f"`split` must be one of {', '.join(PARTS)}, got {values['split']!r}"
            raise PanglotError(problem, file=path, line=line, field="split", hint="correct it")
        if part in ("all", values["split"]):
            yield check_row({**values, "language": language}, path, line)
