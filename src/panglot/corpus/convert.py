"""Collections out into files that other tools read: BEIR, JSON lines, Parquet, TREC; all of them read back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import atomic_file
from panglot.corpus import beir, clef
from panglot.corpus._as_rows import Line, lines
from panglot.corpus.collection import Collection

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
    collection: Collection, to: str, output: str | Path, *, split: str = "test", untie: bool = False
) -> Converted:
    """Write a collection in the form ``to``; :func:`panglot.read` reads the result.

    BEIR and TREC hold everything but questions that nobody judged, and give back the same ids, texts, languages,
    groups and grades. JSON lines and Parquet hold groups: a question in several languages, answered by one passage
    a language; grades go, passages that are equal become one, and what a group cannot hold (two passages of one
    language, versions of a question with other answers) is an error or is untied.

    Args:
        collection: What to write.
        to: One of :data:`FORMS`.
        output: A folder for ``beir`` and ``trec``, a file for ``jsonl`` (``.gz`` is compressed) and ``parquet``.
        split: The name of BEIR's judgements.
        untie: For ``jsonl`` and ``parquet``: give each question that does not fit, with each of its passages, a group
            of its own. Such a question may occur several times, and is no longer tied to its translations.

    Raises:
        PanglotError: An unknown form, a collection that it cannot hold, or a place that cannot be written.
    """
    if to not in FORMS:
        raise PanglotError(f"no form {to!r}", field="to", cure=f"choose among {', '.join(FORMS)}")
    path = Path(output)
    if path.is_dir() != (to in _FOLDERS) and path.exists():
        kind = "a folder" if to in _FOLDERS else "a file"
        raise PanglotError(f"{to} is written to {kind}", file=path, cure="choose another place")
    if to in _FOLDERS:
        if path.exists() and any(path.iterdir()) and not _is_ours(path, to):
            raise PanglotError(
                "the folder holds something else, and would be replaced", file=path, cure="choose another"
            )
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


def _is_ours(path: Path, to: str) -> bool:
    return (path / ("corpus.jsonl" if to == "beir" else "qrels.txt")).is_file()


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
#: What :func:`write` can write.
FORMS = ("beir", "jsonl", "parquet", "trec")
