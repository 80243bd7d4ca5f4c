"""Find documents by name: a file of rows, pages, a BEIR corpus, another index or the passages of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot.data.files import TABLES, ending_of, read_json, row_files
from panglot.data.language import canonical
from panglot.data.pages import from_docs
from panglot.data.rows import document_rows
from panglot.datasets import registry
from panglot.search.ingest.documents import DocumentFile, Documents, LongDocuments, read_documents
from panglot.search.ingest.passages import cut_documents
from panglot.search.metadata import IndexMetadata, is_index
from panglot.search.storage.store import documents_of

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder
    from panglot.search.document import Document


def find_documents(
    name: str | Path,
    *,
    data_dir: str | Path | None = None,
    language: str | None = None,
    columns: Mapping[str, str] | None = None,
    chunk_tokens: int | None = None,
    progress: Callable[[str], None] = lambda _line: None,
) -> Documents:
    """Return the documents of a path, or the passages of a data set, for :meth:`panglot.search.index.Index.build`.

    Args:
        name: A file of documents, as :func:`panglot.data.rows.document_rows` reads them; a page or a folder of
            pages (HTML, Markdown, text, PDF, PO, XLIFF), each section of which becomes one or more documents; an index;
            a BEIR folder or its corpus; or another data set that :func:`panglot.read` reads, by path or by name.
        data_dir: Folder that holds the known data sets.
        language: Language of texts that do not name theirs, whatever the names of files say.
        columns: For a file of documents: the names of its columns by field.
        chunk_tokens: The largest number of tokens of a document. Longer ones are cut, as
            :func:`panglot.search.ingest.passages.cut_documents` says. By default, pages are cut to what suits the
            encoder, and other documents stay whole.
        progress: Called with a line about what was guessed or left out.

    Raises:
        PanglotError: There is no such path or data set, or a file cannot be read.
    """
    if not str(name):  # It would be the current folder.
        raise PanglotError("no documents are named", field="documents", hint="name a file or a folder")
    path = Path(name).expanduser()
    code = canonical(language) if language else ""
    if is_index(path):
        if columns or language:
            hint = f"leave out --{'column' if columns else 'language'}"
            raise PanglotError("an index has its documents already", file=path, field="documents", hint=hint)
        indexed = _documents_of_index(path)
        return indexed if chunk_tokens is None else LongDocuments(indexed, chunk_tokens)
    if (found := _document_file(path)) is not None:
        file = DocumentFile(found, columns or {}, code)
        return file if chunk_tokens is None else LongDocuments(file, chunk_tokens)
    if columns:
        problem, hint = f"{name} is not a file of documents, so it has no columns", "leave out --column"
        raise PanglotError(problem, field="column", hint=hint)
    # If nothing else can read a path, this names the kinds of documents, and what a folder has instead.
    others = row_files(path) or (path.is_file() and ending_of(path) == "json")
    if path.exists() and not _is_data_set(path) and (from_docs.has_pages(path) or not others):
        return LongDocuments(_sections(path, language, progress), chunk_tokens)
    if path.is_file() and ending_of(path) == "json":
        _refuse_object(path)
    collection = registry.read(str(name), data_dir=data_dir, language=language if path.exists() else None)
    passages = (
        {**{name: each[name] for name in ("id", "text", "language", "group")}, "dataset": collection.name}
        for batch in collection.passages.to_batches()
        for each in batch.to_pylist()
    )
    return passages if chunk_tokens is None else LongDocuments(passages, chunk_tokens)


def read_passages(
    documents: Documents, encoder: Encoder, *, progress: Callable[[str], None] = lambda _line: None
) -> Iterator[list[Document]]:
    """Yield documents in pieces, as they are indexed: found by name, read, checked, and cut for an encoder.

    Raises:
        PanglotError: They cannot be found, read or cut.
    """
    if isinstance(documents, str | Path):
        documents = find_documents(documents, progress=progress)
    if not isinstance(documents, LongDocuments):
        return read_documents(documents, progress=progress)
    return cut_documents(read_documents(documents.documents), encoder, documents.tokens, progress)


def _refuse_object(path: Path) -> None:
    """Refuse a JSON file of one object that is not a data set, in which ``data`` has the articles (SQuAD)."""
    found = read_json(path)
    if isinstance(found, dict) and "data" not in found:
        problem, hint = "must be a list of documents, got one object", 'write [{"id": …, "text": …}], or one per line'
        raise PanglotError(problem, file=path, field="documents", hint=hint)


def _documents_of_index(folder: Path) -> Iterator[Document]:
    with closing(IndexMetadata.open(folder).open_store(folder)) as store:
        for piece in documents_of(store):
            yield from piece


def _document_file(path: Path) -> Path | None:
    """Return the file of documents that a path is or holds, or None if it has other documents."""
    if path.is_file():
        return path if ending_of(path) in (*TABLES, "json") and _has_documents(path) else None
    if not path.is_dir():
        return None
    if corpus := sorted(path.glob("corpus.jsonl*")):
        return corpus[0]
    files = [] if _is_data_set(path) or from_docs.has_pages(path) else row_files(path)
    if len(files) > 1:
        problem = f"the folder has {len(files):,} files of documents"
        raise PanglotError(problem, file=path, hint=f"name one, such as {files[0].name}, and then --add the others")
    return next(iter(files), None)


def _is_data_set(path: Path) -> bool:
    """Return whether a folder is a data set, although it may have a page, such as README.md, that describes it."""
    rows = any(not _has_documents(each) for each in row_files(path))
    return rows or registry.is_trec(path) or (path / "collection.json").is_file()


def _has_documents(path: Path) -> bool:
    """Return whether a file has documents, and not questions and passages in one of the formats of data sets."""
    if not row_files(path):
        return False
    with suppress(PanglotError):  # Whoever reads a damaged file says what is wrong, or leaves it out.
        first = next(document_rows(path, ()), None)
        return first is None or "passage" not in first[1] or "text" in first[1]
    return True


def _sections(path: Path, language: str | None, progress: Callable[[str], None]) -> Iterator[Mapping[str, Any]]:
    found = from_docs.sections([path], language=language, lenient=True)
    left_out = Counter(found.left_out)
    files = {each.file for members in found.groups.values() for each in members}
    kinds = Counter(ending_of(each) for each in sorted(files))
    counted = ", ".join(f"{kind} {number:,}" for kind, number in kinds.most_common())
    progress(f"{len(files):,} page{'s' * (len(files) != 1)} ({counted})")
    for line in (*found.notes, *(f"left out, {reason}: {number:,}" for reason, number in left_out.items() if number)):
        progress(line)
    tied = {each.file for members in found.groups.values() if len(members) > 1 for each in members}
    languages = {each.language for members in found.groups.values() for each in members}
    if len(languages) > 1 and len(tied) < len(files):
        hint = "give the versions of a page the same `group` in their front matter, or link them by hreflang"
        progress(
            f"{len(files - tied):,} of {len(files):,} pages have no version in another language. If they do, {hint}"
        )
    for group, members in found.groups.items():
        for each in members:
            name = each.file.relative_to(path).as_posix() if path.is_dir() else each.file.name
            around = [each.page_title, *each.headings] if each.headings[:1] != (each.page_title,) else each.headings
            title = each.title or each.page_title
            yield {
                "path": name, "url": each.url or None, "page": each.leaf or None,
                "headings": " › ".join(heading for heading in around if heading and heading != title) or None,
                **each.fields,
                "id": f"{name}#{each.name or each.number}", "text": each.text, "title": title,
                "language": each.language, "group": group,
            }  # fmt: skip
