"""Read documents from a file or from memory in pieces, check them, and detect missing languages."""

from __future__ import annotations

import csv
import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError, located
from panglot.data.files import cell_delimiter, objects, parquet_batches, whole_lines
from panglot.data.language import NO_LANGUAGE, canonical, identify
from panglot.data.values import as_text
from panglot.search.document import Document, Value

Documents = str | Path | Iterable[Document | Mapping[str, Any]]
"""A file of documents, or documents or mappings with the fields of a file's row."""

Rows = Iterator[tuple[int, dict[str, object]]]  # The line and the fields of each row.

NAMED = ("id", "text", "title", "language", "group")  # Fields of a row that are not metadata.

PIECE = 1000  # Documents that are read at a time.

DETECTED = 500  # Characters of a document from which its language is detected.
_DOUBTFUL = 0.5

_FORMS = ".jsonl, .ndjson, .csv (each also with .gz) or .parquet"
_SIGNED_64 = 1 << 63


def file_rows(path: Path) -> Callable[[], Rows]:
    """Return a function that yields ``(line, fields)`` of a file from its beginning. Parquet's rows count from 1."""
    name = path.name.lower()
    if name.endswith(".parquet"):
        return partial(_parquet, path)
    for ending, rows in ((".csv", _csv), (".jsonl", objects), (".ndjson", objects)):
        if name.removesuffix(".gz").endswith(ending):
            return partial(rows, path)
    raise PanglotError("the name of the file has no known ending", file=path, hint=f"name it {_FORMS}")


def _parquet(path: Path) -> Rows:
    rows = (values for batch in parquet_batches(path, ("id", "text"), None) for values in batch.to_pylist())
    yield from enumerate(rows, 1)


def _csv(path: Path) -> Rows:
    lines = (text for _, text in whole_lines(path))
    first = next(lines, "")
    reader = csv.reader(chain([first], lines), delimiter=cell_delimiter(first, ",", NAMED), strict=True)
    names: list[str] = []
    line = 1
    try:
        for cells in reader:
            if cells and not names:
                names = _header(cells, path, line)
            elif cells:
                if len(cells) != len(names):
                    problem = f"{len(cells)} cells, expected {len(names)} as in the header"
                    hint = 'put texts with commas, quotes or line ends in quotes ("), and double quotes within them'
                    raise PanglotError(problem, file=path, line=line, hint=hint)
                yield line, {name: cell or None for name, cell in zip(names, cells, strict=True)}
            line = reader.line_num + 1
    except csv.Error as error:
        hint = f"close the quotes; split texts of more than {csv.field_size_limit():,} characters"
        raise PanglotError(f"not CSV: {error}", file=path, line=line, hint=hint) from error
    if not names:
        raise PanglotError("the file is empty", file=path, hint="fetch or write it again")


def _header(cells: list[str], path: Path, line: int) -> list[str]:
    for name in ("id", "text"):
        if cells.count(name) != 1:
            problem = "the column is missing" if name not in cells else "the column occurs twice"
            hint = "name the columns in the first line, with commas between them"
            raise PanglotError(f"{problem} (columns: {', '.join(cells)})", file=path, line=line, field=name, hint=hint)
    if repeated := [name for place, name in enumerate(cells) if name in cells[:place] or not name]:
        problem = "each column needs a name of its own"
        raise PanglotError(problem, file=path, line=line, field=repeated[0], hint="rename it")
    return cells


def document(values: Mapping[str, object], file: Path | str, line: int | None) -> Document:
    """Return the document of a row, whose place is for errors. Its language is empty if the row does not name it."""
    with located(file=file, line=line):
        texts = {name: as_text(values.get(name), name) or "" for name in NAMED}
        for name in ("id", "text"):
            if not texts[name]:
                problem = f"`{name}` is missing or empty (fields: {', '.join(map(str, values)) or 'none'})"
                raise PanglotError(problem, field=name, hint="add it, or leave the row out")
        metadata = {str(name): _value(value, str(name)) for name, value in values.items() if name not in NAMED}
        texts["language"] = _row_language(texts["language"])
    return Document(**texts, metadata={name: value for name, value in metadata.items() if value is not None})


def _fields(made: object, place: str) -> dict[str, object]:
    """Return a document or mapping in memory as the fields of a row."""
    if isinstance(made, Mapping):
        return {str(name): value for name, value in cast("Mapping[object, object]", made).items()}
    if not isinstance(made, Document):
        hint = 'give a mapping such as {"id": "1", "text": "…"}, or a panglot.search.document.Document'
        raise PanglotError(f"not a document but {type(made).__name__}", file=place, hint=hint)
    if taken := [name for name in NAMED if name in made.metadata]:
        raise PanglotError("metadata must not have the name of a field", file=place, field=taken[0], hint="rename it")
    return {**{name: getattr(made, name) for name in NAMED}, **made.metadata}


def _value(value: object, name: str) -> Value:
    _encodable(name, name)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, str):
        return _encodable(value, name)
    if isinstance(value, float) and not math.isfinite(value):
        raise PanglotError(f"{value} is not a number", field=name, hint="leave the field out")
    if isinstance(value, int) and not -_SIGNED_64 <= value < _SIGNED_64:
        raise PanglotError("the number has more than 64 bits", field=name, hint="put it in quotes")
    if value is None or isinstance(value, bool | int | float):
        return value
    problem = f"must be a text, a number, true or false, got {type(value).__name__}"
    raise PanglotError(problem, field=name, hint="make it one of these, or leave it out")


def _encodable(text: str, name: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PanglotError("the text has half of a surrogate pair", field=name, hint="correct the escape") from error
    return text


def _row_language(code: str) -> str:
    if not code or code.strip().lower() in NO_LANGUAGE:
        return ""
    with located(field="language"):
        return canonical(code)


class IdSet:
    """Ids by Python's 64-bit hash, as sorted runs that are merged when they are of like size.

    It takes 8 bytes per id. The probability that two of five million different ids count as one is below 1e-6.
    """

    def __init__(self) -> None:
        self._runs: list[npt.NDArray[np.int64]] = []

    def add(self, ids: Sequence[str]) -> list[int]:
        """Add ids, and return the positions of those that were added before, also earlier in ``ids``.

        >>> seen = IdSet()
        >>> seen.add(["a", "b", "a"]), seen.add(["c", "b"]), seen.add([])
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
        # Merging runs of like size keeps their number logarithmic.
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            pair = self._runs.pop(), self._runs.pop()
            self._runs.append(np.sort(np.concatenate(pair), kind="stable"))
        return np.flatnonzero(known).tolist()


def read_documents(source: Documents, *, progress: Callable[[str], None] = lambda _: None) -> Iterator[list[Document]]:
    """Yield the documents of a file, or of memory, in pieces, in their order.

    The name of a file says whether it holds JSON lines, CSV with a header (either may be gzipped), or Parquet. A row
    has ``id`` and ``text`` and optionally ``title``, ``language`` and ``group``. All other fields become metadata,
    unless they are null or empty. Memory holds one piece, and eight bytes for each document that was read.

    Args:
        source: The file, or documents, or mappings with the fields of a row.
        progress: Called at the end with a line about how many there were, and which languages were detected.

    Raises:
        PanglotError: At once, if the name of a file has no known ending. While reading, if a file is missing, damaged
            or empty, or a document has no id or text, an id of an earlier one, an unknown language, or a field of a
            wrong type. The message names file, line and field.

    >>> pieces = read_documents([Document("1", "Klicken Sie auf Drucken, um das Dokument zu drucken.")])
    >>> [document.language for piece in pieces for document in piece]
    ['de']
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        return _pieces(_in_file(path, file_rows(path)), progress)
    return _pieces(_in_memory(source), progress)


class _Placed(NamedTuple):
    """A document and where it is."""

    document: Document
    file: Path | str  # In words for a document in memory.
    line: int | None
    twin: Callable[[], int | None]  # Returns the line of an earlier document with the same id, 0 without lines.


def _in_file(path: Path, rows: Callable[[], Rows]) -> Iterator[_Placed]:
    empty = True
    for line, values in rows():
        empty = False
        found = document(values, path, line)

        def twin(found: Document = found, line: int = line) -> int | None:
            earlier = takewhile(lambda row: row[0] < line, rows())
            return next((number for number, each in earlier if document(each, path, number).id == found.id), None)

        yield _Placed(found, path, line, twin)
    if empty:
        raise PanglotError("the file has no document", file=path, hint="write one per line")


def _in_memory(documents: Iterable[Document | Mapping[str, Any]]) -> Iterator[_Placed]:
    for number, each in enumerate(documents, 1):
        place = f"document {number}"
        yield _Placed(document(_fields(each, place), place, None), place, None, lambda: 0)


def _pieces(placed: Iterator[_Placed], progress: Callable[[str], None]) -> Iterator[list[Document]]:
    seen, detected, count, doubtful = IdSet(), Counter[str](), 0, 0
    while piece := list(islice(placed, PIECE)):
        for place in seen.add([each.document.id for each in piece]):
            _refuse_twin(piece[place])
        documents = [each.document for each in piece]
        for place, found in enumerate(documents):
            if not found.language:
                guess = identify(found.full_text[:DETECTED])
                documents[place] = replace(found, language=guess.language)
                detected[guess.language] += 1
                doubtful += guess.confidence < _DOUBTFUL
        count += len(piece)
        yield documents
    languages = ", ".join(f"{language} {number:,}" for language, number in detected.most_common())
    if doubtful:
        languages += f" ({doubtful:,} with a probability below {_DOUBTFUL}: give such documents a `language`)"
    progress(f"{count:,} documents" + (f"; languages detected: {languages}" if languages else ""))


def _refuse_twin(placed: _Placed) -> None:
    """Raise if the id was there before. Reading the file again says whether it was the id or only its hash."""
    before = placed.twin()
    if before is not None:
        problem = f"the id {placed.document.id!r} is used before" + (f", in line {before}" if before else "")
        hint = "give each document its own id; translations share a `group`"
        raise PanglotError(problem, file=placed.file, line=placed.line, field="id", hint=hint)
