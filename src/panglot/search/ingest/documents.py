"""Read documents from a file or from memory in pieces, check them, and detect missing languages."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError, located
from panglot.data.language import NO_LANGUAGE, canonical, identify
from panglot.data.letters import encodable
from panglot.data.rows import DOCUMENT_FIELDS, Rows, as_text, document_rows, name_language
from panglot.search.document import MIXED, Document, Scalar, Value, count_kinds, join_kinds, kind_of


@dataclass(frozen=True)
class DocumentFile:
    """A file of documents whose columns have other names, or whose rows do not name their language."""

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict[str, str])  # Names of columns by field.
    language: str = ""  # Of rows that name none. Detected by default.


@dataclass(frozen=True)
class LongDocuments:
    """Documents that are cut into passages before they are encoded."""

    documents: DocumentFile | Iterable[Document | Mapping[str, Any]]
    tokens: int | None = None  # Most tokens of a passage. See panglot.search.ingest.passages.


Documents = str | Path | DocumentFile | LongDocuments | Iterable[Document | Mapping[str, Any]]
"""What ``panglot index`` takes, or documents, or mappings with the fields of a file's row."""

_MISSING = (None, "", [])  # Values of metadata that count as none.

PIECE = 1000  # Documents that are read at a time.

_DETECTED = 500  # Characters of a document from which its language is detected.
_DOUBTFUL = 0.5

_SIGNED_64 = 1 << 63


def document(values: Mapping[str, object], file: Path | str, line: int | None) -> Document:
    """Return the document of a row, whose place is for errors. Its language is empty if the row does not name it."""
    with located(file=file, line=line):
        values = name_language(values)
        texts = {name: as_text(values.get(name), name) or "" for name in DOCUMENT_FIELDS}
        for name in ("id", "text"):
            if not texts[name]:
                problem = f"`{name}` is missing or empty (fields: {', '.join(map(str, values)) or 'none'})"
                raise PanglotError(problem, field=name, hint="add it, or leave the row out")
        others = {str(name): value for name, value in values.items() if name not in DOCUMENT_FIELDS}
        metadata = {name: _value(value, name) for name, value in others.items()}
        texts["language"] = _row_language(texts["language"])
    return Document(**texts, metadata={name: value for name, value in metadata.items() if value not in _MISSING})


def _fields(made: object, place: str) -> dict[str, object]:
    """Return a document or mapping in memory as the fields of a row."""
    if isinstance(made, Mapping):
        return {str(name): value for name, value in cast("Mapping[object, object]", made).items()}
    if not isinstance(made, Document):
        hint = 'give a mapping such as {"id": "1", "text": "…"}, or a panglot.search.document.Document'
        raise PanglotError(f"not a document but {type(made).__name__}", file=place, hint=hint)
    if taken := [name for name in DOCUMENT_FIELDS if name in made.metadata]:
        raise PanglotError("metadata must not have the name of a field", file=place, field=taken[0], hint="rename it")
    return {**{name: getattr(made, name) for name in DOCUMENT_FIELDS}, **made.metadata}


def _value(value: object, name: str) -> Value:
    encodable(name, name)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, str):
        return encodable(value, name)
    if isinstance(value, float) and not math.isfinite(value):
        raise PanglotError(f"{value} is not a number", field=name, hint="leave the field out")
    if isinstance(value, int) and not -_SIGNED_64 <= value < _SIGNED_64:
        raise PanglotError("the number has more than 64 bits", field=name, hint="put it in quotes")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        values = cast("list[Scalar]", [_scalar(each, name) for each in cast("Sequence[object]", value)])
        if kind_of(values) == MIXED:
            kinds = " and ".join(sorted({kind_of(each) for each in values}))
            problem = f"the values of a list must be of one kind, got {kinds}"
            raise PanglotError(problem, field=name, hint="make them all texts, all numbers or all truth values")
        return values
    problem = f"must be a text, a number, true or false, or a list of these, got {type(value).__name__}"
    raise PanglotError(problem, field=name, hint="make it one of these, or leave it out")


def _scalar(value: object, name: str) -> Value:
    """Return a value of a list, which must not be a list or nothing itself."""
    if value is None or isinstance(value, list | tuple):
        problem = f"a list must hold texts, numbers or truth values, got {'null' if value is None else 'a list'}"
        raise PanglotError(problem, field=name, hint="leave the value out, or write a text")
    return _value(value, name)


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


def read_documents(
    source: str | Path | DocumentFile | Iterable[Document | Mapping[str, Any]],
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[list[Document]]:
    """Yield the documents of a file, or of memory, in pieces, in their order.

    The name of a file says whether it holds JSON lines, a JSON array, CSV or TSV with a header (these may be gzipped),
    or Parquet. A row has ``id`` and ``text`` and optionally ``title``, ``language`` and ``group``. All other fields
    become metadata, unless they are null or empty. Memory holds one piece, and eight bytes for each document.

    Args:
        source: The file, or documents, or mappings with the fields of a row.
        progress: Called at the end with a line about each field with values of several kinds, or that differs only by
            case or blanks from a field of documents, then with one about how many documents there were, and which
            languages were detected.

    Raises:
        PanglotError: At once, if the name of a file has no known ending. While reading, if a file is missing, damaged
            or empty, or a document has no id or text, an id of an earlier one, an unknown language, or a field of a
            wrong type. The message names file, line and field.

    >>> pieces = read_documents([Document("1", "Klicken Sie auf Drucken, um das Dokument zu drucken.")])
    >>> [document.language for piece in pieces for document in piece]
    ['de']
    """
    if isinstance(source, str | Path):
        source = DocumentFile(Path(source).expanduser())
    if not isinstance(source, DocumentFile):
        return _pieces(_in_memory(source), progress)
    file, rows = source, partial(document_rows, source.path, ("id", "text"), source.columns)
    first = rows(note=progress)  # Refuses a file whose name has no known ending at once.
    return _pieces(_in_file(file, first), progress, file.path, lambda: _in_file(file, rows()))


_Placed = Iterator[tuple[int, Document]]  # Documents with their line in the file, or their number in memory.


def _in_file(file: DocumentFile, rows: Rows) -> _Placed:
    for line, values in rows:
        found = document(values, file.path, line)
        yield line, found if found.language else replace(found, language=file.language)


def _in_memory(documents: Iterable[Document | Mapping[str, Any]]) -> _Placed:
    for number, each in enumerate(documents, 1):
        place = f"document {number}"
        yield number, document(_fields(each, place), place, None)


def _pieces(
    placed: _Placed, progress: Callable[[str], None], file: Path | None = None,
    again: Callable[[], _Placed] | None = None,
) -> Iterator[list[Document]]:  # fmt: skip
    """Yield documents in pieces. Those of a ``file`` are read ``again`` to find the line of an equal id."""
    seen, detected, count, doubtful = IdSet(), Counter[str](), 0, 0
    kinds: dict[str, dict[str, int]] = {}
    while piece := list(islice(placed, PIECE)):
        documents = [found for _, found in piece]
        for place in seen.add([each.id for each in documents]):
            _refuse_twin(*piece[place], file, again)
        for place, found in enumerate(documents):
            if not found.language:
                guess = identify(found.full_text[:_DETECTED])
                documents[place] = replace(found, language=guess.language)
                detected[guess.language] += 1
                doubtful += guess.confidence < _DOUBTFUL
        count_kinds((each.metadata for each in documents), kinds)
        count += len(piece)
        yield documents
    if file and not count:
        raise PanglotError("the file has no document", file=file, hint="write one per line")
    languages = ", ".join(f"{language} {number:,}" for language, number in detected.most_common())
    if doubtful:
        languages += f" ({doubtful:,} with a probability below {_DOUBTFUL}: give such documents a `language`)"
    for name, counts in kinds.items():
        if (meant := name.strip().lower()) in DOCUMENT_FIELDS:
            progress(f"field {name}: kept as metadata; if it is the {meant}, call it `{meant}`")
        if len(counts) > 1:
            progress(_note_kinds(name, counts))
    progress(f"{count:,} documents" + (f"; languages detected: {languages}" if languages else ""))


def _note_kinds(name: str, counts: Mapping[str, int]) -> str:
    """Return a line on a field whose values are of several kinds.

    >>> _note_kinds("price", {"int": 2, "float": 1})
    'field price: int in 2 documents, float in 1; filters compare it as float'
    """
    kind = reduce(join_kinds, counts)
    shown = [f"{each.strip().removesuffix(' of')} in {number:,}" for each, number in counts.items()]
    first, *rest = shown
    effect = "it cannot be filtered by" if kind == MIXED else f"filters compare it as {kind}"
    return f"field {name}: {', '.join([f'{first} documents', *rest])}; {effect}"


def _refuse_twin(number: int, found: Document, file: Path | None, again: Callable[[], _Placed] | None) -> None:
    """Raise if the id was there before. Reading a file again says whether it was the id or only its hash."""
    hint = "give each document its own id; translations share a `group`"
    problem = f"the id {found.id!r} is used before"
    if again is None:
        raise PanglotError(problem, file=f"document {number}", field="id", hint=hint)
    earlier = takewhile(lambda each: each[0] < number, again())
    if before := next((line for line, each in earlier if each.id == found.id), None):
        raise PanglotError(f"{problem}, in line {before}", file=file, line=number, field="id", hint=hint)
