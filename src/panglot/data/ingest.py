"""Files of rows become a saved collection without being held in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import atomic_folder
from panglot.data.arrow import BATCH, open_table, release, take
from panglot.data.chunks import ROWS, chunks, is_table
from panglot.data.collection import RELEVANCE, TEXTS, Collection, pc, write_head
from panglot.data.keys import Ints32, Keys, keys
from panglot.data.language import canonical
from panglot.data.layout import Conflict, Layout, RowIndexBuilder, laid_out

Chunks = Callable[[Path], Iterable[pa.RecordBatch]]
_PIECE = 4096
_BYTES = 1 << 26


def prepare(
    paths: Sequence[Path] | Path,
    folder: Path,
    *,
    name: str = "",
    about: Mapping[str, str] | None = None,
    progress: Callable[[int], None] | None = None,
    read: Chunks = chunks,
) -> Collection:
    """Write the collection of JSON lines or Parquet files to ``folder``, and open it memory-mapped.

    It is the collection that :func:`panglot.data.rows.read_jsonl` returns: the same ids, order and digest. Texts pass
    through in pieces; what stays in memory is some 60 bytes a row, and twice that while rows are joined. ``folder`` is
    there when it is whole, or not at all; meanwhile the disk holds the texts twice.

    Args:
        paths: Files whose rows belong together, in this order.
        folder: Where to write; a folder that is there is replaced.
        name: What tables call it; by default after the first file.
        about: What else is known about it.
        progress: Called with the number of rows just read.
        read: Yields the batches of rows of one file, as :func:`panglot.data.chunks.chunks` does.

    Raises:
        PanglotError: As :func:`panglot.data.rows.read_jsonl`, or the place cannot be written.
    """
    paths = [paths] if isinstance(paths, Path) else list(paths)
    name = name or (paths[0].stem if is_table(paths[0]) else paths[0].name.split(".", 1)[0])
    with atomic_folder(folder) as part:
        held = part / "rows.arrow"
        starts: list[tuple[int, Path]] = []
        gathering = RowIndexBuilder()
        with _file(held, ROWS) as out:
            for path in paths:
                starts.append((gathering.size, path))
                for batch in read(path):
                    out.write_batch(batch)
                    gathering.add(batch)
                    if progress is not None:
                        progress(batch.num_rows)
        rows, codes, test_only = gathering.rows(), gathering.codes, gathering.test_only
        del gathering
        table = open_table(held)
        layout = laid_out(rows)
        if isinstance(layout, Conflict):
            raise _told(layout, table, starts)
        if not len(layout.questions):
            raise PanglotError(f"{name} has no questions", field="question", hint="add a line with a question")
        writer = _Writer(table, rows.language, codes, _Named(rows.group[rows.grouped]))
        del rows
        with _file(part / "questions.arrow", TEXTS) as out:
            writer.texts(out, "question", layout.questions, layout.questions)
        with _file(part / "passages.arrow", TEXTS) as out:
            writer.texts(out, "passage", layout.passages, layout.origin)
        with _file(part / "relevance.arrow", RELEVANCE) as out:
            _judgements(out, layout)
        write_head(
            part, name, {"candidates": "passage", **(about or {}), **({"test_only": "yes"} if test_only else {})}
        )
        del table, writer
        held.unlink()
    return Collection.open(folder)


class _Named:
    """The names of groups that the files give, so that a lone row's name is none of them."""

    def __init__(self, found: Keys) -> None:
        order = np.argsort(found.wide)
        self._wide, self._check = found.wide[order], found.check[order]

    def __call__(self, names: list[str]) -> list[str]:
        """Return names that are not taken: a taken one gets dashes."""
        while len(self._wide):
            mine = keys(pa.array(names, pa.string()))
            place = np.searchsorted(self._wide, mine.wide)
            near = np.minimum(place, len(self._wide) - 1)
            maybe = np.flatnonzero(self._wide[near] == mine.wide).tolist()
            taken = [row for row in maybe if self._holds(int(place[row]), int(mine.wide[row]), int(mine.check[row]))]
            if not taken:
                break
            for row in taken:
                names[row] += "-"
        return names

    def _holds(self, place: int, wide: int, check: int) -> bool:
        for at in count(place):
            if at == len(self._wide) or self._wide[at] != wide:
                return False
            if self._check[at] == check:
                return True
        return False


class _Writer:
    """Writes texts of rows in their new order."""

    def __init__(self, table: pa.Table, languages: np.ndarray, codes: Sequence[str], named: _Named) -> None:
        self._table, self._languages, self._named = table, languages, named
        self._codes = pa.array(codes, pa.string())

    def texts(self, out: pa.ipc.RecordBatchFileWriter, side: str, rows: Ints32, origin: Ints32) -> None:
        pending: list[pa.RecordBatch] = []
        for start in range(0, len(rows), _PIECE):
            part, far = rows[start : start + _PIECE], origin[start : start + _PIECE]
            own = self._group(part)
            language = self._codes.take(pa.array(self._languages[part]))
            group = own if (part == far).all() else self._group(far)
            label = pc.binary_join_element_wise(language, own, ":")
            columns = [label, language, group, take(self._table[side], part)]
            pending.append(pa.record_batch(columns, schema=TEXTS))
            if sum(batch.num_rows for batch in pending) >= BATCH or sum(batch.nbytes for batch in pending) > _BYTES:
                out.write_batch(pa.concat_batches(pending))
                pending = []
                release()
        if pending:
            out.write_batch(pa.concat_batches(pending))
        release()

    def _group(self, rows: Ints32) -> pa.Array:
        """Return the names of the rows' groups."""
        found = take(self._table["group"], rows)
        if not found.null_count:
            return found
        names = found.to_pylist()
        lone = [place for place, name in enumerate(names) if name is None]
        made = self._named([f"line-{int(rows[place]) + 1:07d}" for place in lone])
        for place, name in zip(lone, made, strict=True):
            names[place] = name
        return pa.array(names, pa.string())


def _judgements(out: pa.ipc.RecordBatchFileWriter, layout: Layout) -> None:
    for start in range(0, len(layout.questions), BATCH):
        question, passage = layout.judgements(start, min(start + BATCH, len(layout.questions)))
        grade = np.ones(len(question), np.int16)
        out.write_batch(pa.record_batch([pa.array(each) for each in (question, passage, grade)], schema=RELEVANCE))


def _file(path: Path, schema: pa.Schema) -> pa.ipc.RecordBatchFileWriter:
    return pa.ipc.new_file(str(path), schema)


def _told(clash: Conflict, table: pa.Table, starts: Sequence[tuple[int, Path]]) -> PanglotError:
    """Return the error that :func:`panglot.data.rows.collect` raises for a row."""
    row = _row(table, clash.row)
    file = [path for start, path in starts if start <= clash.row][-1]
    field, what = clash.what, clash.what
    if what == "id":
        problem = f"the id {row['id']!r} is used before, in line {_row(table, clash.other)['line']}"
        hint = "give each line its own id"
    elif what == "language":
        problem, hint = _unknown(row["language"][1:])
    elif what == "unanswered":
        field, problem = "passage", "a question without a relevant passage"
        hint = "add the passage that answers it, in this line or in another line of its group"
    else:
        problem = f"the group {row['group']!r} has another {what} in {row['language']} already"
        hint = "give it a group of its own; equal passages of several groups are recognised"
    return PanglotError(problem, file=file, line=row["line"], field=field, hint=hint)


def _unknown(code: str) -> tuple[str, str]:
    try:
        return f"{canonical(code)} is unknown", ""  # It is not: this code was refused before.
    except PanglotError as error:
        return error.problem, error.hint or ""


def _row(table: pa.Table, row: int) -> dict[str, Any]:
    return table.slice(row, 1).to_pylist()[0]
