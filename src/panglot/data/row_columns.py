"""Rows as columns: read files of ``group, language, question, passage`` in pieces, and join them without their texts.

Arrow parses and checks a piece of some megabytes as columns. Only a piece in which something looks wrong is read again
row by row, so that each broken row gets its own :class:`RowError`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json as pj

from panglot._errors import PanglotError
from panglot.data.columns import (
    Bools,
    Ints,
    Ints32,
    Keys,
    concatenated,
    first_of,
    first_of_numbers,
    in_language,
    keys,
    pc,
    ranks,
    smallest_together,
)
from panglot.data.files import (
    BOM,
    RowError,
    array_rows,
    as_object,
    decode,
    empty_file,
    ending_of,
    is_parquet,
    line_pieces,
    line_text,
    parse_object,
)
from panglot.data.language import canonical
from panglot.data.rows import TEXT_FIELDS, Row, check_row, parquet_batches, table_rows

#: A checked row. ``line`` counts from 1, ``language`` is canonical, and absent texts are null.
ROWS = pa.schema([("line", pa.int32()), *((name, pa.string()) for name in TEXT_FIELDS), ("test_only", pa.bool_())])

_TABLE_ROWS = 1024
_PARSED = pa.schema([(name, pa.string()) for name in (*TEXT_FIELDS, "test_only")])
# Arrow's JSON reader takes these numbers, and JSON has no such.
_INFINITE = re.compile(rb"[:\[,]\s*-?Inf(?!inity)")


class Piece(NamedTuple):
    """Successive rows of a file: those that can be read, as :data:`ROWS`, and those that cannot, both by line."""

    rows: pa.RecordBatch
    errors: Sequence[RowError] = ()


def read_pieces(path: Path, language: str | None = None) -> Iterator[Piece]:
    """Yield the rows of a JSON lines, Parquet, CSV or TSV file, or of a JSON array, in order.

    ``language`` is that of rows that name none. A gzip file that is cut short yields the lines before the cut, and an
    error for the first line after it. A file that cannot be read as a whole raises one: it is missing or empty, or
    lacks a column.
    """
    if is_parquet(path):
        line = 1
        needed = ("passage",) if language else ("language", "passage")
        for batch in parquet_batches(path, needed, ("language", "group", "question", "id", "test_only")):
            yield _check_table(batch, line, path, language)
            line += batch.num_rows
        return
    if ending_of(path) in ("csv", "tsv"):
        table = table_rows(path, {"passage": "passage"})
        while some := list(islice(table, _TABLE_ROWS)):
            yield _check_each(some, path, language)
        return
    if (found := array_rows(path)) is not None:
        yield _check_each(enumerate(found, 1), path, language)
        return
    is_empty = True
    try:
        for line, data in line_pieces(path):
            is_empty = is_empty and not data.removeprefix(BOM).strip()
            yield check_lines(data, line, path, language)
    except PanglotError as error:
        # Only the error for gzip data that are cut short has a line.
        if error.line is None:
            raise
        yield Piece(to_batch([]), [RowError.of(error)])
        return
    if is_empty:
        raise empty_file(path)


def check_lines(data: bytes, line: int, path: Path, language: str | None = None) -> Piece:
    """Return whole lines of JSON as rows; ``line`` is the number of the first one."""
    data = data.removeprefix(BOM) if line == 1 else data
    columns = _parse_quickly(data)
    sound = None if columns is None else _rows_if_sound(columns, line, language)
    return Piece(sound) if sound is not None else _check_each(enumerate(data.split(b"\n"), line), path, language)


def _check_table(batch: pa.RecordBatch, line: int, path: Path, language: str | None = None) -> Piece:
    """Return rows of a Parquet file as checked rows; ``line`` is the number of the first one."""
    names = batch.schema.names
    columns = {name: batch[name] if name in names else pa.nulls(batch.num_rows, pa.string()) for name in _PARSED.names}
    if all(column.type in (pa.string(), pa.large_string(), pa.null()) for column in columns.values()):
        sound = _rows_if_sound({name: column.cast(pa.string()) for name, column in columns.items()}, line, language)
        if sound is not None:
            return Piece(sound)
    return _check_each(enumerate(batch.to_pylist(), line), path, language)


def _check_each(found: Iterable[tuple[int, Any]], path: Path, language: str | None) -> Piece:
    """Return numbered lines of JSON in bytes, or values that were parsed already, as checked rows."""
    rows: list[Row] = []
    errors: list[RowError] = []
    for number, raw in found:
        try:
            if not isinstance(raw, bytes):
                values = as_object(raw, path, number)
            elif (text := decode(raw, path, number).rstrip("\r\n")).strip():
                values = parse_object(text, path, number)
            else:
                continue
            rows.append(check_row(values, path, number, language))
        except PanglotError as error:
            errors.append(RowError.of(error, line_text(raw) if isinstance(raw, bytes) else ""))
    return Piece(to_batch(rows), errors)


def to_batch(rows: Sequence[Row]) -> pa.RecordBatch:
    """Return checked rows as columns."""
    columns = zip(*rows, strict=True) if rows else [()] * len(ROWS)
    return pa.record_batch([pa.array(each, kind.type) for each, kind in zip(columns, ROWS, strict=True)], schema=ROWS)


def _parse_quickly(data: bytes) -> Mapping[str, pa.Array] | None:
    """Return lines of JSON as columns, or None if Arrow's reader fails or would be less strict than Python's."""
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    # Arrow accepts objects that go over several lines, or share one. JSON has nothing but a line end between `}`
    # and `{`, so as many of these pairs as lines means one object a line.
    odd = b"Inf" in data and _INFINITE.search(data)
    if data[:1] != b"{" or data.count(b"}\n{") != lines - 1 or odd:
        return None
    options = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
    parsing = pj.ParseOptions(explicit_schema=_PARSED, unexpected_field_behavior="ignore")
    try:
        data.decode()  # Arrow does not check UTF-8.
        table = pj.read_json(io.BytesIO(data), options, parsing).combine_chunks()
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    return {name: table[name].chunk(0) for name in _PARSED.names} if table.num_rows == lines else None


def _rows_if_sound(columns: Mapping[str, pa.Array], line: int, default: str | None) -> pa.RecordBatch | None:
    """Return columns of texts as rows, or None if a row is blank or incomplete, or its language is unknown."""
    if default:
        columns = {**columns, "language": pc.fill_null(columns["language"], default)}
    wrong = [
        pc.or_(pc.utf8_is_space(columns[name]), pc.equal(pc.binary_length(columns[name]), 0)) for name in TEXT_FIELDS
    ]
    wrong.append(pc.and_(columns["question"].is_null(), columns["passage"].is_null()))
    if columns["language"].null_count or any(pc.any(each).as_py() for each in wrong):
        return None
    # A file has few languages and many rows, so each spelling is looked up once.
    spelled = columns["language"].dictionary_encode()
    try:
        codes = pa.array([canonical(code) for code in spelled.dictionary.to_pylist()], pa.string())
    except PanglotError:
        return None
    marks = pc.fill_null(pc.equal(columns["test_only"], "yes"), False)
    if pc.sum(columns["test_only"].is_valid()).as_py() != pc.sum(marks).as_py():
        return None  # Another value may mean yes or no, or nothing.
    done = {**columns, "language": codes.take(spelled.indices),
            "test_only": marks,
            "line": pa.array(range(line, line + len(spelled)), pa.int32())}  # fmt: skip
    return pa.record_batch([done[name] for name in ROWS.names], schema=ROWS)


class RowIndex(NamedTuple):
    """What must be known of rows to join them, without their texts: an entry per row, some 60 bytes."""

    group: Keys  # of the group's name, without meaning if the row names none
    in_group: Bools
    language: npt.NDArray[np.int16]  # as a place in `RowIndexBuilder.codes`
    question: Ints  # half of the question's key, which only finds suspects and equal questions of one group
    has_question: Bools
    passage: Keys
    has_passage: Bools
    ids: Keys  # of the rows' own ids, an entry for each of `id_rows`
    id_rows: Ints32

    def group_numbers(self) -> Ints32:
        """Number the groups in the order of their first rows. A row without a name is a group of its own."""
        first = np.arange(len(self.in_group), dtype=np.int32)
        named = np.flatnonzero(self.in_group).astype(np.int32)
        first[named] = named[first_of(self.group[named])]
        return ranks(first)

    def versions(self, marked: Bools, group: Ints32) -> tuple[Ints32, Ints32]:
        """Return the marked rows, and for each the place among them of the first one of its group and language."""
        rows = np.flatnonzero(marked).astype(np.int32)
        numbers = group[rows].astype(np.int64)
        numbers *= int(self.language.max(initial=0)) + 1
        numbers += self.language[rows]
        return rows, first_of_numbers(numbers)

    def keep(self, stays: Bools) -> RowIndex:
        """Return the index of the marked rows, whose ids have been compared and are dropped."""
        none = np.empty(0, np.int32)
        kept: list[Any] = [*(column[stays] for column in self[:-2]), self.ids[none], none]
        return RowIndex(*kept)


class RowIndexBuilder:
    """Collect row keys without keeping the texts."""

    def __init__(self) -> None:
        self.codes: list[str] = []  # the languages met, in order
        self.size = 0  # number of rows
        self.test_only = False  # whether any row says that it comes from a test set
        self._parts: list[RowIndex] = []
        self.add(to_batch([]))  # so that there is a part to join, of the right types

    def add(self, batch: pa.RecordBatch) -> None:
        """Add a batch of :data:`ROWS`."""
        valid = {name: batch[name].is_valid().to_numpy(zero_copy_only=False) for name in TEXT_FIELDS}
        group, question, passage = (keys(batch[name].fill_null("")) for name in ("group", "question", "passage"))
        language = batch["language"].dictionary_encode()
        batch_codes = language.dictionary.to_pylist()
        self.codes += [code for code in batch_codes if code not in self.codes]
        places = np.array([self.codes.index(code) for code in batch_codes], np.int16)
        id_rows = np.flatnonzero(valid["id"]).astype(np.int32) + np.int32(self.size)
        self._parts.append(
            RowIndex(group, valid["group"], places[language.indices.to_numpy()], question.wide, valid["question"],
                     passage, valid["passage"], keys(batch["id"].drop_null()), id_rows)
        )  # fmt: skip
        self.test_only |= bool(pc.any(batch["test_only"]).as_py())
        self.size += batch.num_rows

    def build(self) -> RowIndex:
        """Return the index of all rows, and forget them."""
        columns: Iterator[tuple[Any, ...]] = zip(*self._parts, strict=True)
        self._parts = []
        joined: list[Any] = [concatenated(c) if isinstance(c[0], Keys) else np.concatenate(c) for c in columns]
        return RowIndex(*joined)


# Why a row cannot stay: its id, question or passage is not that of an earlier row, or nothing answers its question.
ID, QUESTION, PASSAGE, UNANSWERED = range(4)


def conflicts(index: RowIndex, group: Ints32) -> Ints:
    """Return the rows that must go so that the others make a collection: ``(row, reason, other)``, rising.

    The reason is one of the numbers above. For an id, the other row is the one that had it before, else −1. Of rows
    with one id, of questions of one group and language that differ, and of such passages, the first row stays. Then
    rows go whose group has a question and no passage.
    """
    # Only rows that share an id or a version with a row that differs are looked at one by one.
    found = _disagreements(index, group, np.flatnonzero(_suspects(index, group)))
    stays = np.ones(len(index.in_group), bool)
    stays[[row for row, _, _ in found]] = False
    answered = np.zeros(int(group.max(initial=-1)) + 1, bool)
    answered[group[stays & index.has_passage]] = True
    unanswered = np.flatnonzero(stays & index.has_question & ~index.has_passage & ~answered[group])
    found += [(row, UNANSWERED, -1) for row in unanswered.tolist()]
    return np.array(sorted(found), np.int64).reshape(-1, 3)


def _suspects(index: RowIndex, group: Ints32) -> Bools:
    """Mark the rows that share an id, or the group and language of a text that differs."""
    suspects = np.zeros(len(index.in_group), bool)
    first = first_of(index.ids)
    repeated = first != np.arange(len(first), dtype=np.int32)
    suspects[index.id_rows[np.isin(first, first[repeated])]] = True
    for valid, parts in (
        (index.has_question, [index.question]),
        (index.has_passage, [index.passage.wide, index.passage.check]),
    ):
        rows, first = index.versions(valid & index.in_group, group)
        differs = np.any([part[rows] != part[rows[first]] for part in parts], axis=0)
        suspects[rows[np.isin(first, first[differs])]] = True
    return suspects


def _disagreements(index: RowIndex, group: Ints32, suspects: Ints) -> list[tuple[int, int, int]]:
    """Return ``(row, reason, other row)`` of each suspect that does not agree with one before it that stays."""
    known: dict[tuple[int, int, int], tuple[int, int]] = {}
    found: list[tuple[int, int, int]] = []
    places = np.searchsorted(index.id_rows, suspects)
    for row, place in zip(suspects.tolist(), places.tolist(), strict=True):
        own: dict[tuple[int, int, int], tuple[int, int]] = {}
        # An id is known with its row, so that it never agrees with that of another row.
        if place < len(index.id_rows) and index.id_rows[place] == row:
            own[ID, int(index.ids.wide[place]), int(index.ids.check[place])] = row, 0
        if index.in_group[row]:
            version = int(group[row]), int(index.language[row])
            if index.has_question[row]:
                own[QUESTION, *version] = int(index.question[row]), 0
            if index.has_passage[row]:
                own[PASSAGE, *version] = int(index.passage.wide[row]), int(index.passage.check[row])
        if differing := [part for part, value in own.items() if known.get(part, value) != value]:
            reason = differing[0][0]
            found.append((row, reason, known[differing[0]][0] if reason == ID else -1))
        else:
            known |= own
    return found


class Layout(NamedTuple):
    """The order of questions, passages and judgements."""

    questions: Ints32  # the row of each question, shape `[questions]`
    passages: Ints32  # the row of each passage, shape `[passages]`
    origin: Ints32  # the row whose group is that of the passage, shape `[passages]`
    group: Ints32  # the group of each question, shape `[questions]`
    starts: Ints32  # where the answers of each group begin in `answers`, shape `[groups + 1]`
    answers: Ints32  # passages, group by group


def layout(index: RowIndex, group: Ints32) -> Layout:
    """Return where rows go that have no :func:`conflicts`.

    Equal passages of one language are one passage, and tie the passages of the groups that share it: these get the
    group of the first of them.
    """
    count = int(group.max(initial=-1)) + 1
    questions = _versions(index, index.has_question, group)
    versions = _versions(index, index.has_passage, group)
    group_of_version = group[versions]
    starts = np.searchsorted(group_of_version, np.arange(count + 1)).astype(np.int32)
    first = first_of(in_language(index.passage[versions], index.language[versions]))
    answers = ranks(first)
    passages = versions[first == np.arange(len(first), dtype=np.int32)]
    del first
    neighbours = group_of_version[1:] == group_of_version[:-1]
    together = smallest_together(len(passages), answers[:-1][neighbours], answers[1:][neighbours])
    return Layout(questions, passages, passages[together], group[questions], starts, answers)


def _versions(index: RowIndex, valid: Bools, group: Ints32) -> Ints32:
    """Return the first row of each group and language that has a text, group by group, in the order of the rows."""
    rows, first = index.versions(valid, group)
    rows = rows[first == np.arange(len(first), dtype=np.int32)]
    group_of_row = group[rows]
    # Files mostly have their groups one after the other, and then a sort is not needed.
    in_order = (group_of_row[:-1] <= group_of_row[1:]).all()
    return rows if in_order else rows[np.argsort(group_of_row, kind="stable")]
