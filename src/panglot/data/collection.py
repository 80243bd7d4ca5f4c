"""The collection: questions, passages and which answers which."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from panglot._errors import PanglotError
from panglot._files import atomic_folder, digest_once
from panglot.data.arrow import open_table, origin, walk
from panglot.data.keys import Ints32

TEXTS = pa.schema([("id", pa.string()), ("language", pa.string()), ("group", pa.string()), ("text", pa.string())])
RELEVANCE = pa.schema([("question", pa.int32()), ("passage", pa.int32()), ("grade", pa.int16())])

_PARTS = ("questions", "passages", "relevance")
# The digest of so many texts takes a sixth of a second, which is worth remembering.
_LARGE = 100_000

pc: Any = compute  # Its functions are made at run time, so that no type checker knows them.
Ints = npt.NDArray[np.int64]


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
        relevance: Columns ``question, passage`` (row numbers in the tables above) and ``grade`` (above 0 is
            relevant), as :data:`RELEVANCE`.
        about: Where the data come from and how they were read: ``candidates``, ``licence``, ``source``, ….
    """

    name: str
    questions: pa.Table
    passages: pa.Table
    relevance: pa.Table
    about: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        name: str,
        questions: Iterable[Text],
        passages: Iterable[Text],
        relevance: Iterable[tuple[str, str, int]],
        about: Mapping[str, str] | None = None,
    ) -> Collection:
        """Make a collection from texts and ``(question id, passage id, grade)``.

        Raises:
            PanglotError: An id occurs twice, or a judgement names an id that is not there.
        """
        tables: list[pa.Table] = []
        rows: list[dict[str, int]] = []
        for side, texts in (("question", questions), ("passage", passages)):
            columns = tuple(zip(*texts, strict=True)) or ((), (), (), ())
            tables.append(pa.table([pa.array(column, pa.string()) for column in columns], schema=TEXTS))
            ids: dict[str, int] = {text_id: row for row, text_id in enumerate(columns[0])}
            if len(ids) < len(columns[0]):
                seen: set[str] = set()
                twice = next(i for i in columns[0] if i in seen or seen.add(i))
                raise PanglotError(f"two {side}s have the id {twice!r}", field="id", hint="give each its own id")
            rows.append(ids)
        pairs: dict[tuple[int, int], int] = {}
        for question, passage, grade in relevance:
            if question not in rows[0] or passage not in rows[1]:
                missing, side = (question, "question") if question not in rows[0] else (passage, "passage")
                raise PanglotError(
                    f"a judgement names the {side} {missing!r}, which is not there",
                    hint=f"add the {side} or remove the judgement",
                )
            pairs[rows[0][question], rows[1][passage]] = grade
        judged = pa.table(
            [
                pa.array([q for q, _ in pairs], pa.int32()),
                pa.array([p for _, p in pairs], pa.int32()),
                pa.array(list(pairs.values()), pa.int16()),
            ],
            schema=RELEVANCE,
        )
        return cls(name, tables[0], tables[1], judged, dict(about or {}))

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
            raise PanglotError(f"not a collection: {error}", file=folder, hint="write it again") from error
        questions, passages, relevance = tables
        return cls(head["name"], questions, passages, relevance, head["about"])

    def save(self, folder: str | Path) -> None:
        """Write the collection to ``folder``, atomically."""
        with atomic_folder(folder) as part:
            for name in _PARTS:
                table: pa.Table = getattr(self, name)
                store(walk(table), table.schema, part / f"{name}.arrow")
            write_metadata(part, self.name, self.about)

    @property
    def folder(self) -> Path | None:
        """The folder that the tables are memory-mapped from, or None if one of them was made or changed since."""
        places = [origin(table) for table in (self.questions, self.passages, self.relevance)]
        homes = {place.parent for place in places if place is not None}
        return homes.pop() if None not in places and len(homes) == 1 else None

    def __reduce__(self) -> tuple[Any, ...]:
        # So another process opens the folder instead of getting all texts through a pipe.
        place = self.folder
        if place is None:
            return Collection, (self.name, self.questions, self.passages, self.relevance, dict(self.about))
        return _reopened, (place, self.name, dict(self.about))

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """All languages of questions and passages, sorted."""
        both = {
            *self.questions["language"].unique().to_pylist(),
            *self.passages["language"].unique().to_pylist(),
        }
        return tuple(sorted(both))

    @cached_property
    def question_language(self) -> Ints:
        """The language of each question as an index into :attr:`languages`, shape ``[questions]``."""
        return _codes(self.questions["language"], self.languages)

    @cached_property
    def passage_language(self) -> Ints:
        """The language of each passage as an index into :attr:`languages`, shape ``[passages]``."""
        return _codes(self.passages["language"], self.languages)

    @cached_property
    def pairs(self) -> tuple[Ints, Ints]:
        """Row numbers of the relevant ``(questions, passages)``, whose grade is above 0, with 16 bytes per pair."""
        relevant = self.relevance.filter(pc.greater(self.relevance["grade"], 0))
        return relevant["question"].to_numpy().astype(np.int64), relevant["passage"].to_numpy().astype(np.int64)

    def walk_pairs(self) -> Iterator[tuple[Ints32, Ints32]]:
        """Yield :attr:`pairs` a piece at a time, so that a large collection's are never all in memory."""
        for batch in walk(self.relevance):
            relevant = batch["grade"].to_numpy() > 0
            yield batch["question"].to_numpy()[relevant], batch["passage"].to_numpy()[relevant]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all ids, languages, groups, texts and grades, in order, each after its length in 8 bytes.

        The digest of a large saved collection is remembered as long as its files do not change.
        """
        home = self.folder
        if home is None or self.questions.num_rows + self.passages.num_rows < _LARGE:
            return self._digest()
        return digest_once([home / f"{part}.arrow" for part in _PARTS], self._digest)

    def _digest(self) -> str:
        whole = hashlib.sha256()
        for table in (self.questions, self.passages, self.relevance):
            for name in table.column_names:
                for batch in walk(table, [name]):
                    whole.update(_framed(batch.column(0)))
        return whole.hexdigest()

    def select(self, languages: Sequence[str], folder: str | Path | None = None) -> Collection:
        """Return the part in ``languages``, in memory or in a folder as :meth:`keep` does.

        Raises:
            PanglotError: None of them is in the collection.
        """
        wanted = pa.array(languages, pa.string())
        questions, passages = in_languages(self.questions, wanted), in_languages(self.passages, wanted)
        if not questions.any() or not passages.any():
            raise PanglotError(
                f"{self.name} has no questions or no passages in {', '.join(languages)}",
                hint=f"choose among {', '.join(self.languages)}",
            )
        return self.keep(questions, passages, folder)

    def keep(
        self, questions: npt.NDArray[np.bool_], passages: npt.NDArray[np.bool_], folder: str | Path | None = None
    ) -> Collection:
        """Return the collection of the marked rows. Judgements of rows that go go with them.

        Args:
            questions: One mark per question, shape ``[questions]``.
            passages: One mark per passage, shape ``[passages]``.
            folder: Where to write the rows piece by piece and open them memory-mapped. By default memory holds them.

        Raises:
            PanglotError: The folder cannot be written.
        """
        parts = {
            "questions": (TEXTS, _kept(self.questions, questions)),
            "passages": (TEXTS, _kept(self.passages, passages)),
            "relevance": (RELEVANCE, _kept_judgements(self.relevance, questions, passages)),
        }
        if folder is None:
            return replace(self, **{name: store(batches, schema) for name, (schema, batches) in parts.items()})
        with atomic_folder(folder) as part:
            for name, (schema, batches) in parts.items():
                store(batches, schema, part / f"{name}.arrow")
            write_metadata(part, self.name, self.about)
        return Collection.open(folder)

    def __repr__(self) -> str:
        return (
            f"Collection({self.name!r}: {self.questions.num_rows:,} questions, {self.passages.num_rows:,} passages,"
            f" {self.relevance.num_rows:,} judgements, {len(self.languages)} languages)"
        )


def write_metadata(folder: Path, name: str, about: Mapping[str, str]) -> None:
    """Write the name and the description of a collection into its folder, beside the tables."""
    head = {"name": name, "about": dict(about)}
    (folder / "collection.json").write_text(json.dumps(head, ensure_ascii=False, indent=2), "utf-8")


def _reopened(folder: Path, name: str, about: Mapping[str, str]) -> Collection:
    return replace(Collection.open(folder), name=name, about=about)


def store(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path | None = None) -> pa.Table:
    """Return batches as a table: written to an Arrow file and memory-mapped, or without a path held in memory."""
    if path is None:
        return pa.Table.from_batches(list(batches), schema)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as out:
        for batch in batches:
            out.write_batch(batch)
    return open_table(path)


def _kept(table: pa.Table, marks: npt.NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in walk(table):
        mine = marks[start : start + batch.num_rows]
        start += batch.num_rows
        if mine.any():
            yield batch.filter(pa.array(mine))


def _kept_judgements(
    relevance: pa.Table, questions: npt.NDArray[np.bool_], passages: npt.NDArray[np.bool_]
) -> Iterator[pa.RecordBatch]:
    place = [np.cumsum(side, dtype=np.int32) - np.int32(1) for side in (questions, passages)]
    for batch in walk(relevance):
        q, p = (batch[side].to_numpy() for side in ("question", "passage"))
        both = questions[q] & passages[p]
        if both.any():
            grade = batch["grade"].filter(pa.array(both)).cast(pa.int16())
            columns = [pa.array(place[0][q[both]]), pa.array(place[1][p[both]]), grade]
            yield pa.record_batch(columns, schema=RELEVANCE)


def in_languages(table: pa.Table, languages: pa.Array) -> npt.NDArray[np.bool_]:
    """Mark the texts that are in one of some languages."""
    found = [pc.is_in(batch.column(0), languages).to_numpy(zero_copy_only=False) for batch in walk(table, ["language"])]
    return np.concatenate([np.empty(0, bool), *found])


def _framed(column: pa.Array) -> bytes:
    """Return each value in UTF-8 after its length in 8 bytes, as :func:`panglot._files.digest` frames its parts."""
    texts = pc.fill_null(column.cast(pa.string()), "None")
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


def _codes(column: pa.ChunkedArray, languages: Sequence[str]) -> Ints:
    return pc.index_in(column, pa.array(languages, pa.string())).to_numpy().astype(np.int64)
