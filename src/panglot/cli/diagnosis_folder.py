"""The folder of a diagnosis: what it may be, which documents it is of, and their index."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable

    from panglot.search.index import Index

_RECORD = "diagnosis.json"
"""File that says what a diagnosis is of."""


def choose_folder(source: str, output: Path | None) -> Path:
    """Return the folder to write: ``output``, or by default one in the current folder that is named after the source.

    Raises:
        PanglotError: The folder is an index or a debiased model, whose correction would be replaced. Or it is the
            default, and the diagnosis in it is of another source.
    """
    from panglot.debiasing.correction import HEAD
    from panglot.search.metadata import is_index

    folder = output or Path(f"{_short_name(source)}-diagnosis")
    head = folder / HEAD
    # The correction of a diagnosis names its trial.
    if is_index(folder) or (head.is_file() and '"trial"' not in head.read_text("utf-8", "replace")):
        problem = "the folder is an index or a debiased model, whose own correction would be replaced"
        raise PanglotError(problem, file=folder, field="output", hint="name another folder")
    try:
        before = json.loads((folder / _RECORD).read_text("utf-8"))["source"]
    except (OSError, ValueError, KeyError, TypeError):  # Earlier versions kept no record.
        return folder
    if output is None and before != (now := _relative(source, folder)):
        problem = f"the folder has the diagnosis of {before}, and {now} is named (both as seen from the folder)"
        hint = f"name a folder with --output. `--output {folder}` replaces the documents that its index holds"
        raise PanglotError(problem, file=folder, field="output", hint=hint)
    return folder


def record_source(source: str, folder: Path) -> None:
    """Write what the diagnosis in a folder is of."""
    from panglot._files import write_json

    write_json(folder / _RECORD, {"source": _relative(source, folder)})


def open_index(
    source: str, folder: Path, model: str | None, progress: Callable[[str], None], reading: dict[str, Any]
) -> Index:
    """Return the index that is named, or one of the documents that are, which is kept in the folder."""
    from panglot.encoders.model_folders import DEFAULT
    from panglot.search.index import Index
    from panglot.search.ingest.collections import index_collection, is_collection
    from panglot.search.ingest.sources import find_documents
    from panglot.search.metadata import is_index

    if is_index(source):
        options.refuse(reading, "does nothing for an index, which has its documents already", "leave it out")
        return Index.open(source, model=model)
    if is_collection(source):
        options.refuse({"language"}, "does nothing for a collection", "name the field with --column language=NAME")
        options.refuse(
            {"chunk_tokens"}, "does nothing for a collection, whose documents have one vector each", "leave it out"
        )
        options.refuse({"data_dir"}, "does nothing for a collection", "leave it out")
        columns = reading["columns"]
        return index_collection(source, folder / "index", model or DEFAULT, columns, progress=progress)
    documents = find_documents(source, progress=progress, **reading)
    if not is_index(folder / "index"):
        return Index.build(documents, folder / "index", model=model or DEFAULT, progress=progress)
    index = Index.open(folder / "index", model=model)
    done = ", ".join(f"{number:,} {what}" for what, number in index.update(documents).items() if number)
    progress(f"{folder / 'index'} is of an earlier call; {done or 'nothing changed'}")
    return index


def _relative(source: str, folder: Path) -> str:
    """Return a path as seen from the folder, so that both can be moved together. Other names stay as they are."""
    from panglot.search.ingest.collections import without_password

    path = Path(source).expanduser()
    if not path.exists():
        return without_password(source)
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # On Windows, the two may be on different drives.
        return path.resolve().as_posix()


def _short_name(source: str) -> str:
    """Return the name of a file, an index or a collection.

    >>> _short_name("data/help.jsonl.gz"), _short_name("postgresql://host/db?table=help")
    ('help', 'db-table-help')
    """
    name = source.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^\w-]+", "-", name.partition(".")[0]) or "documents"
