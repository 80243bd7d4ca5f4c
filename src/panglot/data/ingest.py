"""Turn files of rows into a collection: the one path, for files of any size, with broken rows or without."""

from __future__ import annotations

import contextlib
import heapq
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import count, groupby
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import atomic_folder
from panglot.data.arrow import BATCH, release, take
from panglot.data.collection import RELEVANCE, TEXTS, Collection, pc, store, write_metadata
from panglot.data.files import opened
from panglot.data.keys import Ints32, Keys, first_of_numbers, keys, ranks
from panglot.data.layout import ID, QUESTION, UNANSWERED, Conflicts, Layout, RowIndexBuilder, conflicts, layout
from panglot.data.rows import (
    ROWS,
    Piece,
    RejectedRows,
    Row,
    RowError,
    is_parquet,
    line_text,
    read_pieces,
    to_batch,
    write_rejected,
)

__all__ = ["Ingested", "OnError", "Reader", "collect", "ingest"]

OnError = Literal["raise", "skip"]
Reader = Callable[[Path], Iterable[Piece]]

_PIECE = 4096  # rows
_PENDING = 1 << 26  # bytes of texts that are gathered before they are written
_SPOOLED = 1 << 20  # letters of broken rows that are held in memory, and not in a file
_REJECTED = "rejected.jsonl"


class Ingested(NamedTuple):
    """What was made of files of rows.

    Attributes:
        collection: The rows that could be used. After skipping it may have no question.
        rejected: The rows that could not, in the files' order.
    """

    collection: Collection
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
    about: Mapping[str, str] | None = None,
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
        about: What else is known about it.
        on_error: ``raise`` stops at the first row that cannot be used. ``skip`` leaves out such rows: those that cannot
            be read, those that disagree with an earlier row (an id that was used before, another question or passage
            of the same group and language), and questions that no row answers.
        progress: Called with the number of rows just read.
        read: Yields the rows of one file, as :func:`panglot.data.rows.read_pieces` does.

    Raises:
        PanglotError: A file cannot be read. With ``raise``: a row cannot be used, or no row has a question.
    """
    paths = [paths] if isinstance(paths, Path) else list(paths)
    name = name or (paths[0].stem if is_parquet(paths[0]) else paths[0].name.split(".", 1)[0])
    pieces = ((path, piece) for path in paths for piece in read(path))
    if folder is None:
        return _ingest(pieces, None, name, about, on_error, progress)
    with atomic_folder(folder) as part:
        _ingest(pieces, part, name, about, on_error, progress)
    return Ingested.open(Collection.open(folder))


def collect(name: str, rows: Iterable[tuple[Path, Row]], about: Mapping[str, str] | None = None) -> Collection:
    """Make a collection of rows that were checked one by one, each with its file, as :func:`ingest` does.

    Raises:
        PanglotError: As :func:`ingest`.
    """
    runs = ((path, Piece(to_batch([row for _, row in run]))) for path, run in groupby(rows, lambda pair: pair[0]))
    return _ingest(runs, None, name, about, "raise", None).collection


def _ingest(
    pieces: Iterable[tuple[Path, Piece]],
    part: Path | None,
    name: str,
    about: Mapping[str, str] | None,
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
        if len(gone.row):
            if on_error == "raise":
                raise source.first_error(gone, table)
            marks = np.ones(table.num_rows, bool)
            marks[gone.row] = False
            stays = np.flatnonzero(marks).astype(np.int32)
            index = index.keep(marks)
            group = ranks(first_of_numbers(group[stays].astype(np.int64)))
        rejected = source.rejected(gone, table, part)
    plan = layout(index, group)
    del group
    if on_error == "raise" and not len(plan.questions):
        raise PanglotError(f"{name} has no questions", field="question", hint="add a line with a question")
    writer = _Writer(table, index.language, source.index.codes, _GroupNames(index.group[index.in_group]), stays)
    del index
    parts = {
        "questions": (writer.texts("question", plan.questions, plan.questions), TEXTS),
        "passages": (writer.texts("passage", plan.passages, plan.origin), TEXTS),
        "relevance": (_judgements(plan), RELEVANCE),
    }
    tables = {kind: store(*made, part and part / f"{kind}.arrow") for kind, made in parts.items()}
    facts = {"candidates": "passage", **(about or {}), **({"test_only": "yes"} if source.index.test_only else {})}
    if part is not None:
        write_metadata(part, name, facts)
        del table, writer
        (part / "rows.arrow").unlink()
    return Ingested(Collection(name, **tables, about=facts), rejected)


class _Source:
    """The rows of files as they pass by, and what is wrong with some of them."""

    def __init__(
        self,
        pieces: Iterable[tuple[Path, Piece]],
        on_error: OnError,
        unreadable: IO[str],
        progress: Callable[[int], None] | None,
    ) -> None:
        self.index = RowIndexBuilder()
        self._pieces, self._on_error, self._progress = pieces, on_error, progress
        self._unreadable = unreadable
        self._starts: list[tuple[int, Path]] = []

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows that can be read; raise or note the others."""
        for path, piece in self._pieces:
            if not self._starts or self._starts[-1][1] != path:
                self._starts.append((self.index.size, path))
            for error in piece.errors:
                if self._on_error == "raise":
                    raise error.error()
                self._unreadable.write(json.dumps(asdict(error)) + "\n")
            if piece.rows.num_rows:
                self.index.add(piece.rows)
                yield piece.rows
            if self._progress is not None:
                self._progress(piece.rows.num_rows)

    def first_error(self, gone: Conflicts, table: pa.Table) -> PanglotError:
        """Return the error to raise: a row that disagrees, else a question that has no answer.

        The answer may be in a row that disagrees, so that is the one to mend first.
        """
        disagrees = np.flatnonzero(gone.reason != UNANSWERED)
        at = int(disagrees[0]) if len(disagrees) else 0
        return self._conflict(gone, at, table).error()

    def rejected(self, gone: Conflicts, table: pa.Table, part: Path | None) -> Sequence[RowError]:
        """Return all rows that cannot stay, in the files' order, held in a file where there is a folder ``part``."""
        if not len(gone.row) and not self._unreadable.tell():
            return ()
        self._unreadable.seek(0)
        place = {str(path): number for number, (_, path) in enumerate(self._starts)}
        found = heapq.merge(
            (RowError(**json.loads(line)) for line in self._unreadable),
            self._conflicting(gone, table),
            key=lambda error: (place[error.file], error.line),
        )
        if part is None:
            return list(found)
        write_rejected(found, part / _REJECTED)
        return RejectedRows(part / _REJECTED)

    def _conflicting(self, gone: Conflicts, table: pa.Table) -> Iterator[RowError]:
        """Yield the conflicts with their lines, which are fetched from the files again."""
        ends = [start for start, _ in self._starts[1:]] + [self.index.size]
        for (start, path), end in zip(self._starts, ends, strict=True):
            low, high = np.searchsorted(gone.row, (start, end)).tolist()
            with contextlib.ExitStack() as stack:
                lines: Iterator[tuple[int, bytes]] = iter(())
                if low < high and path.is_file() and not is_parquet(path):
                    lines = enumerate(stack.enter_context(opened(path)), 1)
                for at in range(low, high):
                    error = self._conflict(gone, at, table)
                    raw = next((raw for line, raw in lines if line == error.line), b"")
                    yield RowError(error.line, error.field, error.problem, error.hint, line_text(raw), error.file)

    def _conflict(self, gone: Conflicts, at: int, table: pa.Table) -> RowError:
        """Return the conflict ``at``, without its line."""
        (row,) = table.slice(int(gone.row[at]), 1).to_pylist()
        file = next(path for start, path in reversed(self._starts) if start <= gone.row[at])
        reason = int(gone.reason[at])
        if reason == ID:
            line = table["line"][int(gone.other[at])].as_py()
            field, problem = "id", f"the id {row['id']!r} is used before, in line {line}"
            hint = "give each line its own id"
        elif reason == UNANSWERED:
            field, problem = "passage", "a question without a relevant passage"
            hint = "add the passage that answers it, in this line or in another line of its group"
        else:
            field = "question" if reason == QUESTION else "passage"
            problem = f"the group {row['group']!r} has another {field} in {row['language']} already"
            hint = "give it a group of its own; panglot finds equal passages of several groups by itself"
        return RowError(row["line"], field, problem, hint, file=str(file))


class _GroupNames:
    """The names of groups that the files give, so that no row without a group gets one of them."""

    def __init__(self, names: Keys) -> None:
        order = np.argsort(names.wide)
        self._wide, self._check = names.wide[order], names.check[order]

    def free(self, names: list[str]) -> list[str]:
        """Return names that are not taken, by adding dashes."""
        while len(self._wide):
            wanted = keys(pa.array(names, pa.string()))
            place = np.searchsorted(self._wide, wanted.wide)
            near = np.minimum(place, len(self._wide) - 1)
            maybe = np.flatnonzero(self._wide[near] == wanted.wide).tolist()
            taken = [at for at in maybe if self._holds(int(place[at]), int(wanted.wide[at]), int(wanted.check[at]))]
            if not taken:
                break
            for at in taken:
                names[at] += "-"
        return names

    def _holds(self, place: int, wide: int, check: int) -> bool:
        for at in count(place):
            if at == len(self._wide) or self._wide[at] != wide:
                return False
            if self._check[at] == check:
                return True
        return False


class _Writer:
    """Put texts of rows into their new order; ``stays`` are the rows of the table that count, or None for all."""

    def __init__(
        self,
        table: pa.Table,
        languages: npt.NDArray[np.int16],
        codes: Sequence[str],
        names: _GroupNames,
        stays: Ints32 | None,
    ) -> None:
        self._table, self._languages, self._names, self._stays = table, languages, names, stays
        self._codes = pa.array(codes, pa.string())

    def texts(self, side: str, rows: Ints32, origin: Ints32) -> Iterator[pa.RecordBatch]:
        """Yield batches of :data:`TEXTS`: the texts of ``rows``, in the groups of the rows ``origin``."""
        pending: list[pa.RecordBatch] = []
        for start in range(0, len(rows), _PIECE):
            some, others = rows[start : start + _PIECE], origin[start : start + _PIECE]
            own = self._group(some)
            language = self._codes.take(pa.array(self._languages[some]))
            group = own if (some == others).all() else self._group(others)
            label = pc.binary_join_element_wise(language, own, ":")
            columns = [label, language, group, self._take(side, some)]
            pending.append(pa.record_batch(columns, schema=TEXTS))
            if sum(batch.num_rows for batch in pending) >= BATCH or sum(batch.nbytes for batch in pending) > _PENDING:
                yield pa.concat_batches(pending)
                pending = []
                release()
        if pending:
            yield pa.concat_batches(pending)
        release()

    def _group(self, rows: Ints32) -> pa.Array:
        """Return the names of the rows' groups, made up for rows that name none."""
        found = self._take("group", rows)
        if not found.null_count:
            return found
        names = found.to_pylist()
        alone = [place for place, name in enumerate(names) if name is None]
        made = self._names.free([f"line-{int(rows[place]) + 1:07d}" for place in alone])
        for place, name in zip(alone, made, strict=True):
            names[place] = name
        return pa.array(names, pa.string())

    def _take(self, column: str, rows: Ints32) -> pa.Array:
        return take(self._table[column], rows if self._stays is None else self._stays[rows])


def _judgements(plan: Layout) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(plan.questions), BATCH):
        question, passage = plan.judgements(start, min(start + BATCH, len(plan.questions)))
        grade = np.ones(len(question), np.int16)
        yield pa.record_batch([pa.array(each) for each in (question, passage, grade)], schema=RELEVANCE)
