"""Documents out of files or out of memory: checked, with languages, some at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple

from panglot._errors import PanglotError
from panglot.corpus._langid import code, identifier
from panglot.search._document_files import Rows, file_rows
from panglot.search._document_rows import document, fields_of
from panglot.search._seen import Seen
from panglot.search.document import Document

PIECE = 1000
"""Documents that are read at a time."""

LETTERS = 500
"""How much of a document its language is detected by."""


def read_documents(
    source: str | Path | Iterable[Document | Mapping[str, Any]], *, tell: Callable[[str], None] = lambda _: None
) -> Iterator[list[Document]]:
    """Yield the documents of a file, or of memory, in pieces, in their order.

    JSON lines, plain or gzipped, CSV with a head, plain or gzipped, or Parquet, told by the file's name. A row has
    ``id`` and ``text`` and, where known, ``title``, ``language`` and ``group``; all other fields are kept as metadata,
    but those that are null or empty. Memory holds a piece, and eight bytes for each document that was read.

    Args:
        source: The file, or documents, or mappings with the fields of a row.
        tell: Told at the end how many there were, and which languages were detected.

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
        return _pieces(_in_file(path, file_rows(path)), tell)
    return _pieces(_in_memory(source), tell)


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
        raise PanglotError("there is no document in it", file=path, cure="write one a line")


def _in_memory(documents: Iterable[Document | Mapping[str, Any]]) -> Iterator[_Placed]:
    for number, each in enumerate(documents, 1):
        place = f"document {number}"
        yield _Placed(document(fields_of(each, place), place, None), place, None, lambda: 0)


def _pieces(placed: Iterator[_Placed], tell: Callable[[str], None]) -> Iterator[list[Document]]:
    seen, detected, count = Seen(), Counter[str](), 0
    while piece := list(islice(placed, PIECE)):
        for place in seen.before([each.document.id for each in piece]):
            _refuse_twin(piece[place])
        documents = [each.document for each in piece]
        for place, found in enumerate(documents):
            if not found.language:
                documents[place] = replace(found, language=_language(found.passage))
                detected[documents[place].language] += 1
        count += len(piece)
        yield documents
    told = ", ".join(f"{language} {number:,}" for language, number in detected.most_common())
    tell(f"{count:,} documents" + (f"; languages detected: {told}" if told else ""))


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
        cure="give each document its own id; translations share a `group`",
    )


def _language(text: str) -> str:
    """Return the most probable language; ``und`` where there is none."""
    return code(identifier().classify(text[:LETTERS])[0]) or "und"
