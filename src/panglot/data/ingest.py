"""Turn files of rows into a collection: the one path, for files of any size, with broken rows or without."""

from __future__ import annotations

import contextlib
import heapq
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import atomic_folder
from panglot.data.collection import QRELS, TEXTS, Collection, cached, source_key, write_metadata
from panglot.data.columns import (
    BATCH,
    Ints,
    Ints32,
    Keys,
    first_of_numbers,
    keys,
    pc,
    ranks,
    release,
    store,
    take,
)
from panglot.data.files import (
    RowError,
    is_parquet,
    line_text,
    opened,
    write_rejected,
)
from panglot.data.language import canonical
from panglot.data.row_columns import (
    ID,
    QUESTION,
    ROWS,
    UNANSWERED,
    Layout,
    Piece,
    RowIndexBuilder,
    conflicts,
    layout,
    read_pieces,
    to_batch,
)
from panglot.data.rows import RejectedRows, Row, document_rows

OnError = Literal["raise", "skip"]
Reader = Callable[[Path], Iterable[Piece]]

#: Files from this size on, in bytes, are parsed once and cached.
LARGE = 4_000_000

_PIECE = 4096  # rows
_PENDING = 1 << 26  # bytes of texts that are gathered before they are written
_SPOOLED = 1 << 20  # letters of broken rows that are held in memory, and not in a file
_REJECTED = "rejected.jsonl"


class Ingested(NamedTuple):
    """The rows of files that could be used, and those that could not, in the files' order."""

    collection: Collection  # without any question, if all were skipped
    rejected: Sequence[RowError]

    @classmethod
    def open(cls, collection: Collection) -> Ingested:
        """Return a collection that :func:`ingest` wrote to a folder, with the rows that were rejected then."""
        return cls(collection, RejectedRows(collection.folder / _REJECTED) if collection.folder else ())


def ingest(
    paths: Sequence[Path] | Path,
    folder: Path | None = None,
    *,
    name: str = "",
    on_error: OnError = "raise",
    progress: Callable[[int], None] | None = None,
    read: Reader = read_pieces,
) -> Ingested:
    """Make a collection of files of JSON lines or Parquet rows ``group, language, question, passage``.

    Rows of one group, in any of the files, are versions of one question and of one passage: any of its questions is
    answered by any of its passages. A row without a group is a group of its own. A group without a question only
    enlarges the pool. Equal passages of one language are one passage.

    Texts pass by in pieces. Some 60 bytes per row stay in memory, and twice that while rows are joined. With a
    ``folder`` the disk holds the texts twice meanwhile, and the folder is there when it is whole, or not at all.

    Args:
        paths: Files whose rows belong together, in this order.
        folder: Where to write the collection, which is opened memory-mapped. A folder that is there is replaced.
            Without it the collection is held in memory.
        name: What tables call it. By default it is called after the first file.
        on_error: ``raise`` stops at the first row that cannot be used. ``skip`` leaves out such rows: those that cannot
            be read, those that disagree with an earlier row (an id that was used before, another question or passage
            of the same group and language), and questions that no row answers.
        progress: Called with the number of rows just read.
        read: Yields the rows of one file, as :func:`panglot.data.row_columns.read_pieces` does.

    Raises:
        PanglotError: A file cannot be read. With ``raise``: a row cannot be used, or no row has a question.
    """
    paths = [paths] if isinstance(paths, Path) else list(paths)
    name = name or (paths[0].stem if is_parquet(paths[0]) else paths[0].name.split(".", 1)[0])
    pieces = ((path, piece) for path in paths for piece in read(path))
    if folder is None:
        return _ingest(pieces, None, name, None, on_error, progress)
    with atomic_folder(folder) as part:
        _ingest(pieces, part, name, None, on_error, progress)
    return Ingested.open(Collection.open(folder))


def read_rows(
    paths: Sequence[Path], name: str = "", on_error: OnError = "raise", language: str | None = None
) -> Ingested:
    """Read files of rows as :func:`ingest` does. Large ones are parsed once and cached."""

    def make(folder: Path | None = None) -> Ingested:
        read = partial(read_pieces, language=canonical(language) if language else None)
        return ingest(paths, folder, name=name, on_error=on_error, read=read)

    if sum(path.stat().st_size for path in paths) < LARGE:
        return make()
    in_memory: list[Ingested] = []

    def build() -> Collection:
        in_memory.append(make())
        return in_memory[0].collection

    key = source_key(paths, name=name, on_error=on_error, language=language)
    found = cached(key, build, lambda folder: make(folder).collection)
    return in_memory[0] if in_memory else Ingested.open(found)


def collect(name: str, rows: Iterable[tuple[Path, Row]], metadata: Mapping[str, str] | None = None) -> Collection:
    """Make a collection of rows that were checked one by one, each with its file, as :func:`ingest` does."""
    runs = ((path, Piece(to_batch([row for _, row in run]))) for path, run in groupby(rows, lambda pair: pair[0]))
    return _ingest(runs, None, name, metadata, "raise", None).collection


def _ingest(
    pieces: Iterable[tuple[Path, Piece]],
    part: Path | None,
    name: str,
    metadata: Mapping[str, str] | None,
    on_error: OnError,
    progress: Callable[[int], None] | None,
) -> Ingested:
    """Make the collection, in the folder ``part`` or in memory."""
    with tempfile.SpooledTemporaryFile(_SPOOLED, "w+", encoding="utf-8") as unreadable:
        source = _Source(pieces, on_error, unreadable, progress)
        table = store(source.batches(), ROWS, part and part / "rows.arrow")
        index = source.index.build()
        group = index.group_numbers()
        gone = conflicts(index, group)
        stays = None
        if len(gone):
            if on_error == "raise":
                raise source.first_error(gone, table)
            marks = np.ones(table.num_rows, bool)
            marks[gone[:, 0]] = False
            stays = np.flatnonzero(marks).astype(np.int32)
            index = index.keep(marks)
            group = ranks(first_of_numbers(group[stays].astype(np.int64)))
        rejected = source.rejected(gone, table, part)
    plan = layout(index, group)
    del group  # 4 bytes per row that nothing needs while texts are written
    if on_error == "raise" and not len(plan.questions):
        first = next(document_rows(source.starts[0][1], ()), None) if source.starts else None
        fields = f" (fields: {', '.join(first[1])})" if first else ""
        hint = "name the field of questions `question`, or add a line with a question"
        raise PanglotError(f"{name} has no questions{fields}", field="question", hint=hint)
    names = index.group[index.in_group]
    codes = pa.array(source.index.codes, pa.string())
    writer = _Writer(table, index.language, codes, names[np.argsort(names.wide)], stays)
    del index
    parts = {
        "questions": (writer.texts("question", plan.questions, plan.questions), TEXTS),
        "passages": (writer.texts("passage", plan.passages, plan.origin), TEXTS),
        "qrels": (_judgements(plan), QRELS),
    }
    tables = {kind: store(*made, part and part / f"{kind}.arrow") for kind, made in parts.items()}
    facts = {"candidates": "passage", **(metadata or {}), **({"test_only": "yes"} if source.index.test_only else {})}
    if part is not None:
        write_metadata(part, name, facts)
        del table, writer
        (part / "rows.arrow").unlink()
    return Ingested(Collection(name, **tables, metadata=facts), rejected)


@dataclass
class _Source:
    """The rows of files as they pass by, and what is wrong with some of them."""

    pieces: Iterable[tuple[Path, Piece]]
    on_error: OnError
    unreadable: IO[str]
    progress: Callable[[int], None] | None
    index: RowIndexBuilder = field(default_factory=RowIndexBuilder)
    starts: list[tuple[int, Path]] = field(default_factory=list[tuple[int, Path]])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows that can be read; raise or note the others."""
        for path, piece in self.pieces:
            if not self.starts or self.starts[-1][1] != path:
                self.starts.append((self.index.size, path))
            for error in piece.errors:
                if self.on_error == "raise":
                    raise error.error()
                self.unreadable.write(json.dumps(asdict(error)) + "\n")
            if piece.rows.num_rows:
                self.index.add(piece.rows)
                yield piece.rows
            if self.progress is not None:
                self.progress(piece.rows.num_rows)

    def first_error(self, gone: Ints, table: pa.Table) -> PanglotError:
        """Return the error to raise: a row that disagrees, else a question that has no answer."""
        # The answer may be in a row that disagrees, so that is the one to mend first.
        disagrees = gone[gone[:, 1] != UNANSWERED]
        return self._conflict((disagrees if len(disagrees) else gone)[0], table).error()

    def rejected(self, gone: Ints, table: pa.Table, part: Path | None) -> Sequence[RowError]:
        """Return all rows that cannot stay, in the files' order, held in a file if there is a folder ``part``."""
        if not len(gone) and not self.unreadable.tell():
            return ()
        self.unreadable.seek(0)
        place = {str(path): number for number, (_, path) in enumerate(self.starts)}
        unreadable = (RowError(**json.loads(line)) for line in self.unreadable)
        found = heapq.merge(unreadable, self._conflicting(gone, table), key=lambda each: (place[each.file], each.line))
        if part is None:
            return list(found)
        write_rejected(found, part / _REJECTED)
        return RejectedRows(part / _REJECTED)

    def _conflicting(self, gone: Ints, table: pa.Table) -> Iterator[RowError]:
        """Yield the conflicts with their lines, which are fetched from the files again."""
        ends = [start for start, _ in self.starts[1:]] + [self.index.size]
        for (start, path), end in zip(self.starts, ends, strict=True):
            some = gone[slice(*np.searchsorted(gone[:, 0], (start, end)))]
            has_lines = len(some) and path.is_file() and not is_parquet(path)
            with opened(path) if has_lines else contextlib.nullcontext[Iterable[bytes]](()) as stream:
                lines = enumerate(stream, 1)
                for error in (self._conflict(each, table) for each in some):
                    raw = next((raw for line, raw in lines if line == error.line), b"")
                    yield replace(error, text=line_text(raw))

    def _conflict(self, conflict: Ints, table: pa.Table) -> RowError:
        """Return what a conflict ``(row, reason, other row)`` is, without its line."""
        at, reason, other = conflict.tolist()
        (row,) = table.slice(at, 1).to_pylist()
        file = next(path for start, path in reversed(self.starts) if start <= at)
        if reason == ID:
            field, problem = "id", f"the id {row['id']!r} is used before, in line {table['line'][other].as_py()}"
            hint = "give each line its own id"
        elif reason == UNANSWERED:
            field, problem = "passage", "a question without a relevant passage"
            hint = "add the passage that answers it, in this line or in another line of its group"
        else:
            field = "question" if reason == QUESTION else "passage"
            problem = f"the group {row['group']!r} has another {field} in {row['language']} already"
            hint = "give it a group of its own; panglot finds equal passages of several groups by itself"
        return RowError(row["line"], field, problem, hint, file=str(file))


@dataclass
class _Writer:
    """Put texts of rows into their new order."""

    table: pa.Table
    languages: npt.NDArray[np.int16]
    codes: pa.Array
    names: Keys  # of the groups, by `wide`
    stays: Ints32 | None  # the rows of the table that count, or None for all

    def texts(self, side: str, rows: Ints32, origin: Ints32) -> Iterator[pa.RecordBatch]:
        """Yield batches of :data:`TEXTS`: the texts of ``rows``, in the groups of the rows ``origin``."""
        pending: list[pa.RecordBatch] = []
        for start in range(0, len(rows), _PIECE):
            some, others = rows[start : start + _PIECE], origin[start : start + _PIECE]
            own = self._group(some)
            language = self.codes.take(pa.array(self.languages[some]))
            group = own if (some == others).all() else self._group(others)
            label = pc.binary_join_element_wise(language, own, ":")
            pending.append(pa.record_batch([label, language, group, self._take(side, some)], schema=TEXTS))
            if sum(batch.num_rows for batch in pending) >= BATCH or sum(batch.nbytes for batch in pending) > _PENDING:
                yield pa.concat_batches(pending)
                pending = []
                release()
        if pending:
            yield pa.concat_batches(pending)
        release()

    def _take(self, column: str, rows: Ints32) -> pa.Array:
        return take(self.table[column], rows if self.stays is None else self.stays[rows])

    def _group(self, rows: Ints32) -> pa.Array:
        """Return the names of the rows' groups, made up for rows that name none."""
        found = self._take("group", rows)
        if not found.null_count:
            return found
        alone = np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))
        made = [f"line-{row + 1:07d}" for row in rows[alone].tolist()]
        # A made-up name must not be that of a group in the files.
        while taken := self._taken(made):
            for at in taken:
                made[at] += "-"
        return pc.replace_with_mask(found, found.is_null(), pa.array(made, pa.string()))

    def _taken(self, made: list[str]) -> list[int]:
        """Return which of some names the files give to groups."""
        wanted = keys(pa.array(made, pa.string()))
        low, high = (np.searchsorted(self.names.wide, wanted.wide, side) for side in ("left", "right"))
        maybe = np.flatnonzero(low < high).tolist()
        return [at for at in maybe if wanted.check[at] in self.names.check[low[at] : high[at]]]


def _judgements(plan: Layout) -> Iterator[pa.RecordBatch]:
    """Yield the relevant pairs: each question with all answers of its group."""
    for start in range(0, len(plan.questions), BATCH):
        group = plan.group[start : start + BATCH]
        first = plan.starts[group]
        counts = plan.starts[group + 1] - first
        question = np.repeat(np.arange(start, start + len(group), dtype=np.int32), counts)
        before = np.cumsum(counts) - counts
        passage = plan.answers[np.repeat(first - before, counts) + np.arange(len(question))]
        relevance = np.ones(len(question), np.int16)
        yield pa.record_batch([pa.array(each) for each in (question, passage, relevance)], schema=QRELS)
