"""The collection: questions, passages and which answers which, in memory, in a folder or in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import atomic_folder, cache_folder, digest, digest_once
from panglot.data.columns import Bools, Ints, Ints32, open_table, origin, pc, store, walk

TEXTS = pa.schema([("id", pa.string()), ("language", pa.string()), ("group", pa.string()), ("text", pa.string())])
QRELS = pa.schema([("question", pa.int32()), ("passage", pa.int32()), ("relevance", pa.int16())])
MAX_RELEVANCE = 2**15 - 1

_PARTS = ("questions", "passages", "qrels")
# The digest of so many texts is remembered, and so are parts of collections with so MANY, which memory may not hold.
_LARGE = 100_000
MANY = 1_000_000
# Raise it whenever a reader gives other rows for the same files.
_READERS = 6

_log = logging.getLogger(__name__)


class Text(NamedTuple):
    """One question or passage. All versions (translations) of it share ``group``."""

    id: str
    language: str
    group: str
    text: str


@dataclass(frozen=True)
class Collection:
    """Questions and passages in any number of languages, with graded relevance.

    The tables are Arrow tables, memory-mapped when the collection was opened from a folder.

    Attributes:
        name: What tables and reports call it.
        questions: Columns ``id, language, group, text`` (:data:`TEXTS`); languages are canonical BCP 47.
        passages: The same columns.
        qrels: Columns ``question, passage`` (row numbers in the tables above), ``relevance`` (above 0 is relevant).
        metadata: Where the data come from and how they were read: ``candidates``, ``licence``, ``source``, ….
    """

    name: str
    questions: pa.Table
    passages: pa.Table
    qrels: pa.Table
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        name: str,
        questions: Iterable[Text],
        passages: Iterable[Text],
        qrels: Iterable[tuple[str, str, int]],
        metadata: Mapping[str, str] | None = None,
    ) -> Collection:
        """Make a collection from texts and ``(question id, passage id, relevance)``.

        Raises:
            PanglotError: An id occurs twice, a judgement names an id that is not there, or a pair is judged twice.
        """
        tables: list[pa.Table] = []
        rows: list[dict[str, int]] = []
        for side, texts in (("question", questions), ("passage", passages)):
            tables.append(text_table(texts))
            ids: dict[str, int] = {}
            for row, text_id in enumerate(tables[-1]["id"].to_pylist()):
                if ids.setdefault(text_id, row) != row:
                    problem = f"two {side}s have the id {text_id!r}"
                    raise PanglotError(problem, field="id", hint="give each its own id")
            rows.append(ids)
        pairs: dict[tuple[int, int], int] = {}
        for question, passage, relevance in qrels:
            if question not in rows[0] or passage not in rows[1]:
                missing, side = (question, "question") if question not in rows[0] else (passage, "passage")
                problem = f"a judgement names the {side} {missing!r}, which is not there"
                raise PanglotError(problem, hint=f"add the {side} or remove the judgement")
            if abs(relevance) > MAX_RELEVANCE:
                raise PanglotError(f"the relevance {relevance} has more than 16 bits", hint="write 0, 1 or more")
            if (before := pairs.setdefault((rows[0][question], rows[1][passage]), relevance)) != relevance:
                problem = f"the question {question!r} and the passage {passage!r} are judged {before} and {relevance}"
                raise PanglotError(problem, hint="keep one of the two judgements")
        columns = [q for q, _ in pairs], [p for _, p in pairs], pairs.values()
        judged = pa.table([*map(pa.array, columns, QRELS.types)], QRELS)
        return cls(name, tables[0], tables[1], judged, dict(metadata or {}))

    @classmethod
    def open(cls, folder: str | Path) -> Collection:
        """Open a folder that :meth:`save` wrote, memory-mapped.

        Raises:
            PanglotError: The folder is not a collection or is damaged.
        """
        folder = Path(folder)
        try:
            head = json.loads((folder / "collection.json").read_text("utf-8"))
            tables = [open_table(folder / f"{part}.arrow") for part in _PARTS]
        except (OSError, ValueError, pa.ArrowException) as error:
            hint = "convert the data again" if (folder / "relevance.arrow").is_file() else "write it again"
            raise PanglotError(f"not a collection: {error}", file=folder, hint=hint) from error
        _check_form(head, tables, folder)
        return cls(head["name"], tables[0], tables[1], tables[2], head["metadata"])

    def save(self, folder: str | Path) -> None:
        """Write the collection to ``folder``, atomically."""
        tables: dict[str, pa.Table] = {name: getattr(self, name) for name in _PARTS}
        self._save(folder, {name: (walk(table), table.schema) for name, table in tables.items()})

    def _save(self, folder: str | Path, parts: Mapping[str, tuple[Iterator[pa.RecordBatch], pa.Schema]]) -> None:
        with atomic_folder(folder) as part:
            for name, made in parts.items():
                store(*made, part / f"{name}.arrow")
            write_metadata(part, self.name, self.metadata)

    @property
    def folder(self) -> Path | None:
        """The folder that the tables are memory-mapped from, or None if one of them was made or changed since."""
        homes = {(at := origin(table)) and at.parent for table in (self.questions, self.passages, self.qrels)}
        return homes.pop() if len(homes) == 1 else None

    def __reduce__(self) -> tuple[Any, ...]:
        # So another process opens the folder instead of getting all texts through a pipe.
        place = self.folder
        if place is None:
            return Collection, (self.name, self.questions, self.passages, self.qrels, dict(self.metadata))
        return _reopened, (place, self.name, dict(self.metadata))

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """All languages of questions and passages, sorted."""
        sides = (table["language"].unique().to_pylist() for table in (self.questions, self.passages))
        return tuple(sorted({code for codes in sides for code in codes}))

    @cached_property
    def question_language(self) -> Ints:
        """The language of each question as an index into :attr:`languages`, shape ``[questions]``."""
        return self._language_of(self.questions)

    @cached_property
    def passage_language(self) -> Ints:
        """The language of each passage as an index into :attr:`languages`, shape ``[passages]``."""
        return self._language_of(self.passages)

    def _language_of(self, table: pa.Table) -> Ints:
        return pc.index_in(table["language"], pa.array(self.languages, pa.string())).to_numpy().astype(np.int64)

    @cached_property
    def pairs(self) -> tuple[Ints, Ints]:
        """Row numbers of the relevant ``(questions, passages)``, whose relevance is above 0, with 16 bytes per pair."""
        relevant = self.qrels.filter(pc.greater(self.qrels["relevance"], 0))
        return relevant["question"].to_numpy().astype(np.int64), relevant["passage"].to_numpy().astype(np.int64)

    def walk_pairs(self) -> Iterator[tuple[Ints32, Ints32]]:
        """Yield :attr:`pairs` a piece at a time, so that a large collection's are never all in memory."""
        for batch in walk(self.qrels):
            relevant = batch["relevance"].to_numpy() > 0
            yield batch["question"].to_numpy()[relevant], batch["passage"].to_numpy()[relevant]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all ids, languages, groups, texts and judgements, in order, each after its length in 8 bytes.

        The digest of a large saved collection is remembered as long as its files do not change.
        """
        home = self.folder
        if home is None or self.questions.num_rows + self.passages.num_rows < _LARGE:
            return self._digest()
        return digest_once([home / f"{part}.arrow" for part in _PARTS], self._digest)

    def _digest(self) -> str:
        whole = hashlib.sha256()
        for table in (self.questions, self.passages, self.qrels):
            for name in table.column_names:
                for batch in walk(table, [name]):
                    whole.update(_framed(batch.column(0)))
        return whole.hexdigest()

    def select(self, languages: Sequence[str], folder: str | Path | None = None) -> Collection:
        """Return the part in ``languages``, in a folder as :meth:`keep` does, or as :func:`cached_subset` does.

        Raises:
            PanglotError: None of them is in the collection.
        """
        wanted = pa.array(languages, pa.string())
        questions, passages = in_languages(self.questions, wanted), in_languages(self.passages, wanted)
        if not questions.any() or not passages.any():
            problem = f"{self.name} has no questions or no passages in {', '.join(languages)}"
            raise PanglotError(problem, hint=f"choose among {', '.join(self.languages)}")
        return self.keep(questions, passages, folder) if folder else cached_subset(self, questions, passages)

    def keep(self, questions: Bools, passages: Bools, folder: str | Path | None = None) -> Collection:
        """Return the collection of the marked rows, given marks of shape ``[questions]`` and ``[passages]``.

        Judgements of rows that go go with them. Memory holds the rows, or a ``folder``, to which they are written piece
        by piece, and from which they are memory-mapped.

        Raises:
            PanglotError: The folder cannot be written.
        """
        parts = {
            "questions": (_kept(self.questions, questions), TEXTS),
            "passages": (_kept(self.passages, passages), TEXTS),
            "qrels": (_kept_judgements(self.qrels, questions, passages), QRELS),
        }
        if folder is None:
            return replace(self, **{name: store(*made) for name, made in parts.items()})
        self._save(folder, parts)
        return Collection.open(folder)

    def __repr__(self) -> str:
        return (
            f"Collection({self.name!r}: {self.questions.num_rows:,} questions, {self.passages.num_rows:,} passages,"
            f" {self.qrels.num_rows:,} judgements, {len(self.languages)} languages)"
        )


def _check_form(head: object, tables: Sequence[pa.Table], folder: Path) -> None:
    known = cast("dict[object, object]", head) if isinstance(head, dict) else {}
    problem = "the tables have other columns"
    if not isinstance(known.get("name"), str) or not isinstance(known.get("metadata"), dict):
        problem = f"expected `name` and `metadata`, got {', '.join(map(str, known)) or 'neither'}"
    elif [table.schema for table in tables] == [TEXTS, TEXTS, QRELS]:
        return
    raise PanglotError(problem, file=folder / "collection.json", hint="convert the data again")


def write_metadata(folder: Path, name: str, metadata: Mapping[str, str]) -> None:
    """Write what :meth:`Collection.open` needs beside the tables."""
    text = json.dumps({"name": name, "metadata": dict(metadata)}, ensure_ascii=False, indent=2)
    (folder / "collection.json").write_text(text, "utf-8")


def _reopened(folder: Path, name: str, metadata: Mapping[str, str]) -> Collection:
    return replace(Collection.open(folder), name=name, metadata=metadata)


def text_table(texts: Iterable[Text]) -> pa.Table:
    """Return texts as a table of :data:`TEXTS`."""
    columns = tuple(zip(*texts, strict=True)) or ((),) * len(TEXTS)
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=TEXTS)


def _kept(table: pa.Table, marks: Bools) -> Iterator[pa.RecordBatch]:
    end = 0
    for batch in walk(table):
        start, end = end, end + batch.num_rows
        if marks[start:end].any():
            yield batch.filter(pa.array(marks[start:end]))


def _kept_judgements(qrels: pa.Table, questions: Bools, passages: Bools) -> Iterator[pa.RecordBatch]:
    place = [np.cumsum(side, dtype=np.int32) - np.int32(1) for side in (questions, passages)]
    for batch in walk(qrels):
        q, p = (batch[side].to_numpy() for side in ("question", "passage"))
        both = questions[q] & passages[p]
        if both.any():
            relevance = batch["relevance"].filter(pa.array(both)).cast(pa.int16())
            columns = [pa.array(place[0][q[both]]), pa.array(place[1][p[both]]), relevance]
            yield pa.record_batch(columns, schema=QRELS)


def in_languages(table: pa.Table, languages: pa.Array) -> Bools:
    """Mark the texts that are in one of some languages."""
    found = [pc.is_in(batch.column(0), languages).to_numpy(zero_copy_only=False) for batch in walk(table, ["language"])]
    return np.concatenate([np.empty(0, bool), *found])


def _framed(column: pa.Array) -> bytes:
    """Return each value in UTF-8 after its length in 8 bytes, as :func:`panglot._files.digest` frames its parts."""
    texts = pc.fill_null(column.cast(pa.string()), "None")
    # Arrow's second buffer holds where each text begins in the third. One copy in numpy saves a loop over the texts.
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    if not len(texts):
        return b""
    content = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    out = np.empty(len(content) + 8 * len(texts), np.uint8)
    head = (offsets[:-1] - offsets[0] + 8 * np.arange(len(texts)))[:, None] + np.arange(8)
    is_text = np.ones(len(out), bool)
    is_text[head] = False
    out[head] = lengths.astype("<i8").view(np.uint8).reshape(-1, 8)
    out[is_text] = content
    return out.tobytes()


def source_key(files: Iterable[Path], **options: object) -> str:
    """Return a digest of the files' names, sizes and times, of the options and of the readers' version."""
    parts = [str(_READERS), *(f"{key}={options[key]!r}" for key in sorted(options))]
    states = ((path.resolve(), path.stat()) for path in sorted(files))
    return digest(*parts, *(f"{path}|{state.st_size}|{state.st_mtime_ns}" for path, state in states))


def cached(key: str, build: Callable[[], Collection], write: Callable[[Path], Collection] | None = None) -> Collection:
    """Return the cached collection of a :func:`source_key`, memory-mapped. Make it if it is missing or damaged.

    ``build`` makes it in memory, and ``write`` in a folder, for a collection that memory may not hold. If the cache
    cannot be written, the collection is returned as it was built.
    """
    place = cache_folder() / "collections" / key
    if place.is_dir():
        try:
            return Collection.open(place)
        except (PanglotError, KeyError, TypeError) as error:
            _log.warning("building %s again: %s", place.name[:12], error)
    if write is not None and _writable(place.parent):
        return write(place)
    collection = build()
    try:
        collection.save(place)
        return Collection.open(place)
    except PanglotError as error:
        _log.warning("cannot cache the collection: %s", error)
        return collection


def cached_subset(collection: Collection, questions: Bools, passages: Bools) -> Collection:
    """Return the marked rows, as :meth:`Collection.keep` does, without filling the memory.

    If all rows are marked, this is the collection itself. A million or more rows of a saved collection are written to
    the cache once, and memory-mapped.
    """
    if questions.all() and passages.all():
        return collection
    home = collection.folder
    if home is None or np.count_nonzero(questions) + np.count_nonzero(passages) < MANY:
        return collection.keep(questions, passages)
    marks = digest(*(np.packbits(side).tobytes() for side in (questions, passages)))
    found = cached(
        source_key(home.glob("*.arrow"), kept=marks),
        lambda: collection.keep(questions, passages),
        lambda folder: collection.keep(questions, passages, folder),
    )
    return replace(found, name=collection.name, metadata=collection.metadata)


def _writable(place: Path) -> bool:
    """Return whether a folder can be written, and make it if it is not there."""
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    return False
