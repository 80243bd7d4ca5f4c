"""The collection: questions, passages and which answers which."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from panglot._errors import PanglotError
from panglot._files import atomic_folder, digest

TEXTS = pa.schema([("id", pa.string()), ("language", pa.string()), ("group", pa.string()), ("text", pa.string())])
RELEVANCE = pa.schema([("question", pa.int32()), ("passage", pa.int32()), ("grade", pa.int16())])

pc: Any = compute  # its functions are made at run time, so that no checker knows them
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
        about: What the reader did and where the data come from: ``candidates``, ``licence``, ``source``, ….
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
                raise PanglotError(f"two {side}s have the id {twice!r}", field="id", cure="give each its own id")
            rows.append(ids)
        pairs: dict[tuple[int, int], int] = {}
        for question, passage, grade in relevance:
            if question not in rows[0] or passage not in rows[1]:
                missing, side = (question, "question") if question not in rows[0] else (passage, "passage")
                raise PanglotError(
                    f"a judgement names the {side} {missing!r}, which is not there",
                    cure=f"add the {side} or remove the judgement",
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
            tables = [
                pa.ipc.open_file(pa.memory_map(str(folder / f"{part}.arrow"))).read_all()
                for part in ("questions", "passages", "relevance")
            ]
        except (OSError, ValueError, pa.ArrowException) as error:
            raise PanglotError(f"not a collection: {error}", file=folder, cure="write it again") from error
        questions, passages, relevance = tables
        return cls(head["name"], questions, passages, relevance, head["about"])

    def save(self, folder: str | Path) -> None:
        """Write the collection to ``folder``, atomically."""
        with atomic_folder(folder) as part:
            for name in ("questions", "passages", "relevance"):
                table: pa.Table = getattr(self, name)
                with (
                    pa.OSFile(str(part / f"{name}.arrow"), "wb") as sink,
                    pa.ipc.new_file(sink, table.schema) as out,
                ):
                    out.write_table(table)
            head = {"name": self.name, "about": dict(self.about)}
            (part / "collection.json").write_text(json.dumps(head, ensure_ascii=False, indent=2), "utf-8")

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
        """Row numbers of the relevant ``(questions, passages)``: judgements with a grade above 0."""
        relevant = self.relevance.filter(pc.greater(self.relevance["grade"], 0))
        return relevant["question"].to_numpy().astype(np.int64), relevant["passage"].to_numpy().astype(np.int64)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all ids, languages, groups, texts and grades, in order."""
        parts: list[str] = []
        for table in (self.questions, self.passages, self.relevance):
            for column in table.itercolumns():
                parts.extend(str(value) for value in column.to_pylist())
        return digest(*parts)

    def select(self, languages: Sequence[str]) -> Collection:
        """Return the part in ``languages``.

        Raises:
            PanglotError: None of them is in the collection.
        """
        wanted = pa.array(languages, pa.string())
        keep = [pc.is_in(t["language"], wanted).to_numpy() for t in (self.questions, self.passages)]
        if not keep[0].any() or not keep[1].any():
            raise PanglotError(
                f"{self.name} has no questions or no passages in {', '.join(languages)}",
                cure=f"choose among {', '.join(self.languages)}",
            )
        return self.keep(*keep)

    def keep(self, questions: npt.NDArray[np.bool_], passages: npt.NDArray[np.bool_]) -> Collection:
        """Return the collection of the marked rows; judgements between dropped rows go with them.

        Args:
            questions: One mark per question, shape ``[questions]``.
            passages: One mark per passage, shape ``[passages]``.
        """
        q, p = self.relevance["question"].to_numpy(), self.relevance["passage"].to_numpy()
        both = questions[q] & passages[p]
        relevance = pa.table(
            [
                pa.array((np.cumsum(questions) - 1)[q[both]], pa.int32()),
                pa.array((np.cumsum(passages) - 1)[p[both]], pa.int32()),
                self.relevance["grade"].filter(pa.array(both)).cast(pa.int16()),
            ],
            schema=RELEVANCE,
        )
        return replace(
            self,
            questions=self.questions.filter(pa.array(questions)),
            passages=self.passages.filter(pa.array(passages)),
            relevance=relevance,
        )

    def __repr__(self) -> str:
        return (
            f"Collection({self.name!r}: {self.questions.num_rows:,} questions, {self.passages.num_rows:,} passages,"
            f" {self.relevance.num_rows:,} judgements, {len(self.languages)} languages)"
        )


def _codes(column: pa.ChunkedArray, languages: Sequence[str]) -> Ints:
    return pc.index_in(column, pa.array(languages, pa.string())).to_numpy().astype(np.int64)
