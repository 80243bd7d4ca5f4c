"""Collections out into files: Arrow, and what other tools read: BEIR, JSON lines, Parquet, TREC; all read back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import atomic_file
from panglot.corpus import beir, clef
from panglot.corpus._as_rows import Line, lines
from panglot.corpus.collection import Collection
from panglot.corpus.filters import Bools
from panglot.corpus.prepare import prepare

_ROWS = pa.schema([(name, pa.string()) for name in ("group", "language", "question", "passage")])


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        path: Where.
        questions: How many of the collection's questions are there.
        passages: How many of its passages.
        judgements: How many of its judgements.
        lost: What the form could not hold, by reason, with counts.
    """

    path: Path
    questions: int
    passages: int
    judgements: int
    lost: Mapping[str, int] = field(default_factory=dict)


def write(
    collection: Collection,
    to: str,
    output: str | Path,
    *,
    split: str = "test",
    untie: bool = False,
    marks: tuple[Bools, Bools] | None = None,
) -> Converted:
    """Write a collection in the form ``to``; :func:`panglot.read` reads the result.

    Arrow (:meth:`Collection.save`) holds everything, and is opened without parsing; it alone is written a piece at a
    time. BEIR and TREC hold everything but questions that nobody judged, and give back the same ids, texts, languages,
    groups and grades. JSON lines and Parquet hold groups: a question in several languages, answered by one passage
    a language; grades go, passages that are equal become one, and what a group cannot hold (two passages of one
    language, versions of a question with other answers) is an error or is untied.

    Args:
        collection: What to write.
        to: One of :data:`FORMS`.
        output: A folder for ``arrow``, ``beir`` and ``trec``, a file for ``jsonl`` (``.gz`` is compressed) and
            ``parquet``.
        split: The name of BEIR's judgements.
        untie: For ``jsonl`` and ``parquet``: give each question that does not fit, with each of its passages, a group
            of its own. Such a question may occur several times, and is no longer tied to its translations.
        marks: The questions and passages to write, as :func:`panglot.corpus.filters.chosen` marks them; else all.

    Raises:
        PanglotError: An unknown form, a collection that it cannot hold, or a place that cannot be written.
    """
    path = Path(output)
    check_place(to, path)
    if to == "arrow":
        if marks:
            return _all_of(collection.keep(*marks, path), path)
        collection.save(path)
        return _all_of(collection, path)
    collection = collection.keep(*marks) if marks else collection
    if to in _FOLDERS:
        _check_ids(collection)
        _FOLDERS[to](collection, path, split)
        number = collection.questions.num_rows
        unjudged = number - len(set(collection.relevance["question"].to_pylist()))
        lost = {"questions that nobody judged": unjudged} if unjudged else {}
        return Converted(path, number - unjudged, collection.passages.num_rows, collection.relevance.num_rows, lost)
    rows, lost = lines(collection, untie=untie)
    _TABLES[to](rows, path)
    questions = collection.questions.num_rows - lost.get("questions without a relevant passage", 0)
    return Converted(path, questions, collection.passages.num_rows - lost.get("equal passages joined", 0),
                     collection.relevance.num_rows - lost.get("judgements of grade 0 or less", 0), lost)  # fmt: skip


def prepare_rows(paths: Sequence[Path], output: Path, progress: Callable[[int], None], *, on_ray: bool) -> Converted:
    """Write the collection of JSON lines or Parquet files as ``arrow``, without holding it: :func:`prepare.prepare`.

    Args:
        paths: The files.
        output: The folder.
        progress: Called with the number of rows just read.
        on_ray: Read the rows in Ray's workers.

    Raises:
        PanglotError: A row is wrong, the place cannot be written, or Ray is missing.
    """
    check_place("arrow", output)
    if on_ray:
        from panglot.corpus.on_ray import started

        with started() as read:
            return _all_of(prepare(paths, output, progress=progress, read=read), output)
    return _all_of(prepare(paths, output, progress=progress), output)


def check_place(to: str, path: Path) -> None:
    """Refuse a form that there is not, and a place that holds something else.

    Raises:
        PanglotError: Either.
    """
    if to not in FORMS:
        raise PanglotError(f"no form {to!r}", field="to", cure=f"choose among {', '.join(FORMS)}")
    folder = to in _MARKS
    if path.is_dir() != folder and path.exists():
        raise PanglotError(
            f"{to} is written to {'a folder' if folder else 'a file'}", file=path, cure="choose another place"
        )
    if folder and path.exists() and any(path.iterdir()) and not (path / _MARKS[to]).is_file():
        raise PanglotError("the folder holds something else, and would be replaced", file=path, cure="choose another")


def _all_of(collection: Collection, path: Path) -> Converted:
    tables = (collection.questions, collection.passages, collection.relevance)
    return Converted(path, *(table.num_rows for table in tables))


def write_rows(rows: Iterable[Line], output: str | Path) -> None:
    """Write rows to a ``.jsonl`` (``.jsonl.gz``) or ``.parquet`` file, atomically.

    Raises:
        PanglotError: The name ends otherwise, or the place cannot be written.
    """
    path = Path(output)
    form = path.name.removesuffix(".gz").rpartition(".")[2]
    if form not in _TABLES:
        raise PanglotError("rows go to JSON lines or Parquet", file=path, cure="call it .jsonl or .parquet")
    _TABLES[form](rows, path)


def _check_ids(collection: Collection) -> None:
    """Refuse ids with which a line of judgements could not be read back."""
    for side, table in (("question", collection.questions), ("passage", collection.passages)):
        for identity in table["id"].to_pylist():
            if not identity or any(letter in identity for letter in "\t\n\r") or identity.strip() != identity:
                raise PanglotError(
                    f"the {side} id {identity!r} is empty, or holds a tab or line end", field="id", cure="change it"
                )


def _beir(collection: Collection, path: Path, split: str) -> None:
    beir.write(collection, path, split=split)


def _trec(collection: Collection, path: Path, _: str) -> None:
    clef.write(collection, path)


def _jsonl(rows: Iterable[Line], path: Path) -> None:
    import gzip

    with contextlib.ExitStack() as stack:
        out = stack.enter_context(stack.enter_context(atomic_file(path)).open("wb"))
        if path.suffix == ".gz":
            # Level 6 takes a fraction of the time of 9 for a few per cent more bytes; no time: equal bytes again.
            out = stack.enter_context(gzip.GzipFile("", "wb", 6, out, 0))
        out.writelines((row.json() + "\n").encode() for row in rows)


def _parquet(rows: Iterable[Line], path: Path) -> None:
    import pyarrow.parquet as pq

    with atomic_file(path) as part, pq.ParquetWriter(part, _ROWS) as out:
        for some in _batches(rows, 65_536):
            out.write_batch(pa.RecordBatch.from_pylist([row.values() for row in some], schema=_ROWS))


def _batches(rows: Iterable[Line], size: int) -> Iterator[list[Line]]:
    some: list[Line] = []
    for row in rows:
        some.append(row)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


_FOLDERS: Mapping[str, Callable[[Collection, Path, str], None]] = {"beir": _beir, "trec": _trec}
_TABLES: Mapping[str, Callable[[Iterable[Line], Path], None]] = {"jsonl": _jsonl, "parquet": _parquet}
# What tells that a folder was written before.
_MARKS = {"arrow": "collection.json", "beir": "corpus.jsonl", "trec": "qrels.txt"}
#: What :func:`write` can write.
FORMS = ("beir", "jsonl", "parquet", "trec", "arrow")
