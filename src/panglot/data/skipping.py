"""Files of rows without their broken lines: the rest becomes a collection, they a file, and neither is held."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa

from panglot._files import atomic_file
from panglot.data import cache, chunks, validate
from panglot.data import rows as parquet
from panglot.data.collection import Collection, pc
from panglot.data.files import BOM, opened
from panglot.data.formats import detect
from panglot.data.ingest import prepare
from panglot.data.layout import ID, PASSAGE, QUESTION, Disagreements, RowIndexBuilder, disagreements
from panglot.data.rows import Row
from panglot.data.validate import RowError
from panglot.datasets import check, registry


@dataclass(frozen=True)
class RejectedRows:
    """RowError lines in a file, as :func:`panglot.data.validate.keep_aside` writes them."""

    path: Path
    number: int

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[RowError]:
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield RowError(**json.loads(line))


def read(
    name_or_path: str | Path, *, data_dir: str | Path | None = None
) -> tuple[Collection | None, Sequence[RowError] | RejectedRows]:
    """Return what :func:`panglot.datasets.check.read` does, of a large file of rows without holding it in memory.

    Such a file is parsed once; the collection and the broken lines are kept in the cache.

    Raises:
        PanglotError: There is no such file or set.
    """
    path = Path(name_or_path)
    large = not registry.is_known(str(name_or_path)) and path.is_file() and path.stat().st_size >= detect.LARGE
    if not large or not detect.row_files(path):
        return check.read(name_or_path, data_dir=data_dir)
    key = cache.source_key([path], skipped=True)
    aside = cache.folder() / f"{key}.broken.jsonl"
    held: list[RowError] = []

    def write(folder: Path) -> Collection:
        with atomic_file(aside) as part, part.open("w", encoding="utf-8") as out:
            found = _sifted(path, folder, lambda one: validate.write_line(one, out))
        if found is None:
            raise _NothingLeftError
        return found

    def whole() -> Collection:
        found, broken = check.read(path)
        held.extend(broken)
        if found is None:
            raise _NothingLeftError
        return found

    try:
        if not aside.exists() and cache.writable(aside.parent):
            # A folder without its broken lines is what a kill left.
            return write(cache.folder() / key), _opened(aside)
        collection = cache.built_once(key, whole, write)
    except _NothingLeftError:
        return None, held or _opened(aside) or [validate.NO_QUESTION]
    return collection, held or _opened(aside)


class _NothingLeftError(Exception):
    """No line with a question can be used."""


def _opened(aside: Path) -> RejectedRows | list[RowError]:
    if not aside.exists():
        return []
    with aside.open("rb") as file:
        return RejectedRows(aside, sum(1 for _ in file))


def _sifted(path: Path, folder: Path, tell: Callable[[RowError], None]) -> Collection | None:
    """Write the collection of the lines that can stay, and tell the others in their order."""
    gathering = RowIndexBuilder()
    lines = [np.empty(0, np.int32)]
    for piece in _pieces(path):
        gathering.add(piece.batch)
        lines.append(piece.batch["line"].to_numpy())
    rows = gathering.rows()
    gone = disagreements(rows)
    stays = np.ones(len(rows.asks), bool)
    stays[gone.row] = False
    nothing = not (rows.asks & stays).any()
    before = np.concatenate(lines)[gone.other]
    del rows, stays, lines, gathering
    left = _without(path, gone, before.tolist(), tell)
    if nothing:
        for _ in left:
            pass
        return None
    return prepare(path, folder, name=path.name.split(".", 1)[0], read=lambda _: left)


class _Piece(NamedTuple):
    """Successive lines: those that can be read, as :data:`_chunks.ROWS`, those that cannot, and all as they stand."""

    batch: pa.RecordBatch
    broken: list[RowError]
    data: bytes
    first: int

    def texts(self) -> list[bytes]:
        return self.data.split(b"\n")


def _without(
    path: Path, gone: Disagreements, before: Sequence[int], tell: Callable[[RowError], None]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file without those that do not agree; tell these and the broken lines."""
    start = 0
    for piece in _pieces(path):
        low, high = np.searchsorted(gone.row, (start, start + piece.batch.num_rows)).tolist()
        broken = piece.broken
        batch = piece.batch
        if low < high:
            stays = np.ones(batch.num_rows, bool)
            stays[gone.row[low:high] - start] = False
            bad, texts = batch.filter(pa.array(~stays)).to_pylist(), piece.texts()
            why = zip(bad, gone.why[low:high].tolist(), before[low:high], strict=True)
            broken = broken + [_told(row, kind, line, texts, piece.first) for row, kind, line in why]
            batch = batch.filter(pa.array(stays))
        for one in sorted(broken, key=lambda one: one.line):
            tell(one)
        start += piece.batch.num_rows
        if batch.num_rows:
            yield batch


def _told(row: dict[str, str], why: int, before: int, texts: Sequence[bytes], first: int) -> RowError:
    line = int(row["line"])
    text = validate.as_text(texts[line - first]) if any(texts) else ""
    if why == ID:
        return validate.repeated_id(line, row["id"], before, text)
    if why in (QUESTION, PASSAGE):
        side = "question" if why == QUESTION else "passage"
        return validate.another_version(line, row["group"], side, row["language"], text)
    return validate.unanswered(line, text)


def _pieces(path: Path) -> Iterator[_Piece]:
    if chunks.is_table(path):
        line = 1
        for batch in parquet.row_batches(path):
            yield _table(batch, line, path)
            line += batch.num_rows
        return
    try:
        for data, line in chunks.stretches(path):
            yield _stretch(data, line, path)
    except chunks.CutError as cut:
        with opened(path) as stream:
            data, end = _before_the_cut(stream, cut.line)
        piece = _stretch(data, cut.line, path)
        yield piece._replace(broken=[*piece.broken, validate.cut_short(path, end)])


def _stretch(data: bytes, line: int, path: Path) -> _Piece:
    batch = chunks.quickly(data, line)
    if batch is not None and not _strange(batch):
        return _Piece(batch, [], data, line)
    found = (
        validate.judged(raw, path, number)
        for number, raw in enumerate(data.split(b"\n"), line) if raw.strip()
    )  # fmt: skip
    return _parted(found, data, line)


def _table(batch: pa.RecordBatch, line: int, path: Path) -> _Piece:
    whole = chunks.quickly_table(batch, line)
    if whole is not None and not _strange(whole):
        return _Piece(whole, [], b"", line)
    found = (validate.judged_row(values, path, number) for number, values in enumerate(batch.to_pylist(), line))
    return _parted(found, b"", line)


def _parted(found: Iterator[Row | RowError], data: bytes, line: int) -> _Piece:
    both = list(found)
    rows = [each for each in both if not isinstance(each, RowError)]
    return _Piece(chunks.slowly(rows), [each for each in both if isinstance(each, RowError)], data, line)


def _strange(batch: pa.RecordBatch) -> bool:
    """Tell whether any row is in no known language."""
    return bool(pc.any(pc.starts_with(batch["language"].unique(), "?")).as_py())


def _before_the_cut(stream: IO[bytes], line: int) -> tuple[bytes, int]:
    """Return the whole lines from ``line`` on before gzip data end too soon, and the line at which they do."""
    lines: list[bytes] = []
    number = 0
    try:
        for number, raw in enumerate(stream, 1):
            if number >= line:
                lines.append(raw.removeprefix(BOM) if number == 1 else raw)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        number += 1
    return b"".join(lines), number
