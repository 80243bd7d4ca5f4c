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
from panglot.corpus import _cache, _chunks, _paths, check, parquet, registry, sieve
from panglot.corpus._disagreements import ID, PASSAGE, QUESTION, Disagreements, disagreements
from panglot.corpus._gathering import Gathering
from panglot.corpus._open import BOM, opened
from panglot.corpus._rows import Row
from panglot.corpus.collection import Collection, pc
from panglot.corpus.prepare import prepare
from panglot.corpus.sieve import Broken


@dataclass(frozen=True)
class Aside:
    """Broken lines in a file, as :func:`panglot.corpus.sieve.keep_aside` writes them."""

    path: Path
    number: int

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[Broken]:
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield Broken(**json.loads(line))


def read(
    name_or_path: str | Path, *, data_dir: str | Path | None = None
) -> tuple[Collection | None, Sequence[Broken] | Aside]:
    """Return what :func:`panglot.corpus.check.read` does, of a large file of rows without holding it in memory.

    Such a file is parsed once; the collection and the broken lines are kept in the cache.

    Raises:
        PanglotError: There is no such file or set.
    """
    path = Path(name_or_path)
    large = not registry.is_known(str(name_or_path)) and path.is_file() and path.stat().st_size >= _paths.LARGE
    if not large or not _paths.row_files(path):
        return check.read(name_or_path, data_dir=data_dir)
    key = _cache.source_key([path], skipped=True)
    aside = _cache.folder() / f"{key}.broken.jsonl"
    held: list[Broken] = []

    def write(folder: Path) -> Collection:
        with atomic_file(aside) as part, part.open("w", encoding="utf-8") as out:
            found = _sifted(path, folder, lambda one: sieve.write_line(one, out))
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
        if not aside.exists() and _cache.writable(aside.parent):
            # A folder without its broken lines is what a kill left.
            return write(_cache.folder() / key), _opened(aside)
        collection = _cache.built_once(key, whole, write)
    except _NothingLeftError:
        return None, held or _opened(aside) or [sieve.NO_QUESTION]
    return collection, held or _opened(aside)


class _NothingLeftError(Exception):
    """No line with a question can be used."""


def _opened(aside: Path) -> Aside | list[Broken]:
    if not aside.exists():
        return []
    with aside.open("rb") as file:
        return Aside(aside, sum(1 for _ in file))


def _sifted(path: Path, folder: Path, tell: Callable[[Broken], None]) -> Collection | None:
    """Write the collection of the lines that can stay, and tell the others in their order."""
    gathering = Gathering()
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
    broken: list[Broken]
    data: bytes
    first: int

    def texts(self) -> list[bytes]:
        return self.data.split(b"\n")


def _without(
    path: Path, gone: Disagreements, before: Sequence[int], tell: Callable[[Broken], None]
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


def _told(row: dict[str, str], why: int, before: int, texts: Sequence[bytes], first: int) -> Broken:
    line = int(row["line"])
    text = sieve.as_text(texts[line - first]) if any(texts) else ""
    if why == ID:
        return sieve.repeated_id(line, row["id"], before, text)
    if why in (QUESTION, PASSAGE):
        side = "question" if why == QUESTION else "passage"
        return sieve.another_version(line, row["group"], side, row["language"], text)
    return sieve.unanswered(line, text)


def _pieces(path: Path) -> Iterator[_Piece]:
    if _chunks.is_table(path):
        line = 1
        for batch in parquet.row_batches(path):
            yield _table(batch, line, path)
            line += batch.num_rows
        return
    try:
        for data, line in _chunks.stretches(path):
            yield _stretch(data, line, path)
    except _chunks.CutError as cut:
        with opened(path) as stream:
            data, end = _before_the_cut(stream, cut.line)
        piece = _stretch(data, cut.line, path)
        yield piece._replace(broken=[*piece.broken, sieve.cut_short(path, end)])


def _stretch(data: bytes, line: int, path: Path) -> _Piece:
    batch = _chunks.quickly(data, line)
    if batch is not None and not _strange(batch):
        return _Piece(batch, [], data, line)
    found = (
        sieve.judged(raw, path, number)
        for number, raw in enumerate(data.split(b"\n"), line) if raw.strip()
    )  # fmt: skip
    return _parted(found, data, line)


def _table(batch: pa.RecordBatch, line: int, path: Path) -> _Piece:
    whole = _chunks.quickly_table(batch, line)
    if whole is not None and not _strange(whole):
        return _Piece(whole, [], b"", line)
    found = (sieve.judged_row(values, path, number) for number, values in enumerate(batch.to_pylist(), line))
    return _parted(found, b"", line)


def _parted(found: Iterator[Row | Broken], data: bytes, line: int) -> _Piece:
    both = list(found)
    rows = [each for each in both if not isinstance(each, Broken)]
    return _Piece(_chunks.slowly(rows), [each for each in both if isinstance(each, Broken)], data, line)


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
