"""Find the documents that a name means: a file of rows, pages, a BEIR corpus or the passages of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError
from panglot.data.files import array_rows
from panglot.data.formats.detect import is_trec, row_files
from panglot.data.language import canonical
from panglot.data.pages import from_docs
from panglot.data.tables import TABLES, document_rows, ending_of
from panglot.datasets import registry
from panglot.search.ingest.documents import DocumentFile, Documents


def find_documents(
    name: str | Path,
    *,
    data_dir: str | Path | None = None,
    language: str | None = None,
    columns: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda _line: None,
) -> Documents:
    """Return the documents of a path, or the passages of a data set, for :meth:`panglot.search.index.Index.build`.

    Args:
        name: A file of documents, as :func:`panglot.data.tables.document_rows` reads them; a page or a folder of pages
            (HTML, Markdown, PO, XLIFF), each section of which becomes a document; a BEIR folder or its corpus; or
            another data set that :func:`panglot.read` reads, by path or by name.
        data_dir: Folder that holds the known data sets.
        language: Language of texts that do not name theirs, whatever the names of files say.
        columns: For a file of documents: the names of its columns by field.
        progress: Called with a line about what was guessed or left out.

    Raises:
        PanglotError: There is no such path or data set, or a file cannot be read.
    """
    path = Path(name).expanduser()
    code = canonical(language) if language else ""
    corpus = next(iter(sorted(path.glob("corpus.jsonl*"))), None) if path.is_dir() else None
    if corpus is not None or (path.is_file() and ending_of(path) in (*TABLES, "json") and _has_documents(path)):
        return DocumentFile(corpus or path, columns or {}, code)
    if columns:
        problem, hint = f"{name} is not a file of documents, so it has no columns", "leave out --column"
        raise PanglotError(problem, field="column", hint=hint)
    if path.exists() and not _is_data_set(path) and from_docs.has_pages(path):
        return _sections(path, language, progress)
    collection = registry.read(str(name), data_dir=data_dir, language=language if path.exists() else None)
    return (
        {"id": each["id"], "text": each["text"], "language": each["language"], "group": each["group"]}
        for batch in collection.passages.to_batches()
        for each in batch.to_pylist()
    )


def _is_data_set(path: Path) -> bool:
    """Return whether a folder is a data set, although it may have a page, such as README.md, that describes it."""
    rows = any(not _has_documents(each) for each in row_files(path))
    return rows or is_trec(path) or (path / "collection.json").is_file()


def _has_documents(path: Path) -> bool:
    """Return whether a file has documents, and not questions and passages in one of the formats of data sets."""
    if ending_of(path) == "json" and array_rows(path) is None:
        return False
    first = next(document_rows(path, ()), None)
    return first is None or "passage" not in first[1] or "text" in first[1]


def _sections(path: Path, language: str | None, progress: Callable[[str], None]) -> Iterator[Mapping[str, Any]]:
    found = from_docs.sections([path], language=language)
    left_out = Counter(found.left_out)
    for group, members in found.groups.items():
        for each in members:
            if not each.text.strip():
                left_out["headings without a text"] += 1
                continue
            yield {"id": f"{each.language}:{group}", "text": each.text, "title": each.title or each.page_title,
                   "language": each.language, "group": group}  # fmt: skip
    for line in (*found.notes, *(f"left out, {reason}: {number:,}" for reason, number in left_out.items() if number)):
        progress(line)
