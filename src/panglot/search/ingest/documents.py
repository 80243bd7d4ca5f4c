"""Documents out of files or out of memory: checked, with languages, some at a time."""

from __future__ import annotations

import csv
import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError
from panglot.data.files import numbered_lines, parquet_batches, parse_json, whole_lines
from panglot.data.language import NO_LANGUAGE, canonical, code, identifier
from panglot.search.document import Document, Value

Documents = str | Path | Iterable[Document | Mapping[str, Any]]
"""A file of documents, or documents or mappings with the fields of a file's row."""

Rows = Iterator[tuple[int, dict[str, object]]]
"""The line and the fields of each row."""

FORMS = ".jsonl, .ndjson, .csv (each also with .gz) or .parquet"


def file_rows(path: Path) -> Callable[[], Rows]:
    """Return what yields ``(line, fields)`` of a file, each time it is called; Parquet's rows count from 1.

    Raises:
        PanglotError: The file's name does not tell what it is; while reading, a line is broken.
    """
    name = path.name.lower()
    if name.endswith(".parquet"):
        return partial(_parquet, path)
    for ending, rows in ((".csv", _csv), (".jsonl", _json), (".ndjson", _json)):
        if name.removesuffix(".gz").endswith(ending):
            return partial(rows, path)
    raise PanglotError("its name does not tell what it holds", file=path, hint=f"name it {FORMS}")


def _json(path: Path) -> Rows:
    for line, text in numbered_lines(path):
        value = parse_json(text, path, line)
        if not isinstance(value, dict):
            raise PanglotError("not a JSON object", file=path, line=line, hint='write {"id": …, "text": …}')
        yield line, cast("dict[str, object]", value)


def _parquet(path: Path) -> Rows:
    rows = (values for batch in parquet_batches(path, ("id", "text"), None) for values in batch.to_pylist())
    yield from enumerate(rows, 1)


def _csv(path: Path) -> Rows:
    reader = csv.reader((text for _, text in whole_lines(path)), strict=True)
    head: list[str] = []
    line = 1
    try:
        for cells in reader:
            if cells and not head:
                head = _head(cells, path, line)
            elif cells:
                if len(cells) != len(head):
                    raise PanglotError(
                        f"{len(cells)} cells, and the head has {len(head)}",
                        file=path,
                        line=line,
                        hint='put texts with commas, quotes or line ends in quotes ("), and quotes within twice',
                    )
                yield line, {name: cell or None for name, cell in zip(head, cells, strict=True)}
            line = reader.line_num + 1
    except csv.Error as error:
        hint = f"close the quotes; split texts of more than {csv.field_size_limit():,} characters"
        raise PanglotError(f"not CSV: {error}", file=path, line=line, hint=hint) from error
    if not head:
        raise PanglotError("the file is empty", file=path, hint="fetch or write it again")


def _head(cells: list[str], path: Path, line: int) -> list[str]:
    for name in ("id", "text"):
        if cells.count(name) != 1:
            problem = "no such column" if name not in cells else "there are two such columns"
            raise PanglotError(
                f"{problem} (there are: {', '.join(cells)})",
                file=path,
                line=line,
                field=name,
                hint="name the columns in the first line, commas between them",
            )
    if twice := [name for place, name in enumerate(cells) if name in cells[:place] or not name]:
        raise PanglotError("a column needs a name of its own", file=path, line=line, field=twice[0], hint="rename it")
    return cells


NAMED = ("id", "text", "title", "language", "group")
_SIGNED_64 = 1 << 63


def document(values: Mapping[str, object], file: Path | str, line: int | None) -> Document:
    """Return the document of a row; its language is empty where nobody says it.

    Args:
        values: The row by its fields.
        file: Where it stands, for errors.
        line: In which line, if ``file`` has lines.

    Raises:
        PanglotError: A field is missing, or of a kind that a document does not have.
    """
    texts = {name: _text(values.get(name), name, file, line) for name in NAMED}
    for name in ("id", "text"):
        if not texts[name]:
            problem = f"there is none (fields: {', '.join(map(str, values)) or 'none'})"
            raise PanglotError(problem, file=file, line=line, field=name, hint="add it, or leave the row out")
    fields = {str(name): _value(value, str(name), file, line) for name, value in values.items() if name not in NAMED}
    kept = {name: value for name, value in fields.items() if value is not None}
    language = _row_language(texts["language"], file, line)
    return Document(texts["id"], texts["text"], texts["title"], language, texts["group"], kept)


def fields_of(made: object, place: str) -> dict[str, object]:
    """Return the row of a document that somebody made.

    Raises:
        PanglotError: It is no document, or metadata are called as one of its own fields.
    """
    if isinstance(made, Mapping):
        return {str(name): value for name, value in cast("Mapping[object, object]", made).items()}
    if not isinstance(made, Document):
        hint = 'give a mapping such as {"id": "1", "text": "…"}, or a panglot.search.document.Document'
        raise PanglotError(f"not a document but {type(made).__name__}", file=place, hint=hint)
    if taken := [name for name in NAMED if name in made.metadata]:
        raise PanglotError("a field of metadata has this name", file=place, field=taken[0], hint="rename it")
    return {**{name: getattr(made, name) for name in NAMED}, **made.metadata}


def _text(value: object, name: str, file: Path | str, line: int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and name in ("id", "group"):
        return str(value)
    if not isinstance(value, str):
        kind = type(value).__name__
        raise PanglotError(f"not a text but {kind}", file=file, line=line, field=name, hint="put it in quotes")
    return _sound(value, name, file, line) if value.strip() else ""


def _value(value: object, name: str, file: Path | str, line: int | None) -> Value:
    _sound(name, name, file, line)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, str):
        return _sound(value, name, file, line)
    if isinstance(value, float) and not math.isfinite(value):
        raise PanglotError(f"{value} is no number", file=file, line=line, field=name, hint="leave the field out")
    if isinstance(value, int) and not -_SIGNED_64 <= value < _SIGNED_64:
        raise PanglotError("a number of more than 64 bits", file=file, line=line, field=name, hint="put it in quotes")
    if value is None or isinstance(value, bool | int | float):
        return value
    kind = type(value).__name__
    hint = "make it a text, a number, true or false, or leave it out"
    raise PanglotError(f"not one value but {kind}", file=file, line=line, field=name, hint=hint)


def _sound(text: str, name: str, file: Path | str, line: int | None) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        problem = "half of a surrogate pair"
        raise PanglotError(problem, file=file, line=line, field=name, hint="correct the escape") from error
    return text


def _row_language(code: str, file: Path | str, line: int | None) -> str:
    if not code or code.strip().lower() in NO_LANGUAGE:
        return ""
    try:
        return canonical(code)
    except PanglotError as error:
        raise PanglotError(error.problem, file=file, line=line, field="language", hint=error.hint) from error


class IdSet:
    """Ids by Python's 64-bit hash, as sorted runs that are merged when they are of like size.

    Two ids that differ are taken for one with a probability below 1e-6 in all of five million ids.
    """

    def __init__(self) -> None:
        self._runs: list[npt.NDArray[np.int64]] = []

    def before(self, ids: Sequence[str]) -> list[int]:
        """Take in ``ids``, and return the places of those that came before, in earlier calls or earlier in this one.

        >>> seen = IdSet()
        >>> seen.before(["a", "b", "a"]), seen.before(["c", "b"]), seen.before([])
        ([2], [1], [])
        """
        if not ids:
            return []
        hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
        order = np.argsort(hashes, kind="stable")
        ranked = hashes[order]
        known = np.zeros(len(ids), bool)
        known[order[1:]] = ranked[1:] == ranked[:-1]
        for run in self._runs:
            place = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            known |= run[place] == hashes
        self._runs.append(ranked)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            pair = self._runs.pop(), self._runs.pop()
            self._runs.append(np.sort(np.concatenate(pair), kind="stable"))
        return np.flatnonzero(known).tolist()


PIECE = 1000
"""Documents that are read at a time."""

LETTERS = 500
"""How much of a document its language is detected by."""


def read_documents(source: Documents, *, progress: Callable[[str], None] = lambda _: None) -> Iterator[list[Document]]:
    """Yield the documents of a file, or of memory, in pieces, in their order.

    JSON lines, plain or gzipped, CSV with a head, plain or gzipped, or Parquet, told by the file's name. A row has
    ``id`` and ``text`` and, where known, ``title``, ``language`` and ``group``; all other fields are kept as metadata,
    but those that are null or empty. Memory holds a piece, and eight bytes for each document that was read.

    Args:
        source: The file, or documents, or mappings with the fields of a row.
        progress: Called at the end with a line about how many there were, and which languages were detected.

    Raises:
        PanglotError: At once, if a file's name does not tell what it is. While reading: a file is missing, damaged or
            empty; a document has no id or text, an id of an earlier one, an unknown language, or a field that is no
            text, number or truth value. The message names file, line and field.

    >>> pieces = read_documents([Document("1", "Klicken Sie auf Drucken, um das Dokument zu drucken.")])
    >>> [document.language for piece in pieces for document in piece]
    ['de']
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        return _pieces(_in_file(path, file_rows(path)), progress)
    return _pieces(_in_memory(source), progress)


class _Placed(NamedTuple):
    """A document and where it stands.

    Attributes:
        document: The document.
        file: The file, or in words which document it is.
        line: The line of the file.
        twin: Returns the line of the document before it that has its id, 0 without lines, None if there is none.
    """

    document: Document
    file: Path | str
    line: int | None
    twin: Callable[[], int | None]


def _in_file(path: Path, rows: Callable[[], Rows]) -> Iterator[_Placed]:
    anything = False
    for line, values in rows():
        anything = True
        found = document(values, path, line)

        def twin(found: Document = found, line: int = line) -> int | None:
            earlier = takewhile(lambda row: row[0] < line, rows())
            return next((number for number, each in earlier if document(each, path, number).id == found.id), None)

        yield _Placed(found, path, line, twin)
    if not anything:
        raise PanglotError("there is no document in it", file=path, hint="write one a line")


def _in_memory(documents: Iterable[Document | Mapping[str, Any]]) -> Iterator[_Placed]:
    for number, each in enumerate(documents, 1):
        place = f"document {number}"
        yield _Placed(document(fields_of(each, place), place, None), place, None, lambda: 0)


def _pieces(placed: Iterator[_Placed], progress: Callable[[str], None]) -> Iterator[list[Document]]:
    seen, detected, count = IdSet(), Counter[str](), 0
    while piece := list(islice(placed, PIECE)):
        for place in seen.before([each.document.id for each in piece]):
            _refuse_twin(piece[place])
        documents = [each.document for each in piece]
        for place, found in enumerate(documents):
            if not found.language:
                documents[place] = replace(found, language=_language(found.full_text))
                detected[documents[place].language] += 1
        count += len(piece)
        yield documents
    told = ", ".join(f"{language} {number:,}" for language, number in detected.most_common())
    progress(f"{count:,} documents" + (f"; languages detected: {told}" if told else ""))


def _refuse_twin(placed: _Placed) -> None:
    """Raise unless only the hash of the id was there before, which another reading of the file tells."""
    before = placed.twin()
    if before is None:
        return
    raise PanglotError(
        f"the id {placed.document.id!r} is used before" + (f", in line {before}" if before else ""),
        file=placed.file,
        line=placed.line,
        field="id",
        hint="give each document its own id; translations share a `group`",
    )


def _language(text: str) -> str:
    """Return the most probable language; ``und`` where there is none."""
    return code(identifier().classify(text[:LETTERS])[0]) or "und"
