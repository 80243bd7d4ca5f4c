"""Segments: documents and vectors in files that never change, sorted by language, and what was deleted since."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from panglot.search import _manifest
from panglot.search._graph import Graph
from panglot.search._manifest import Part
from panglot.search._nearest import Table, Wanted, nearest
from panglot.search._scores import Bools, Ints, first
from panglot.search._texts import Keys, Texts
from panglot.search._writing import Piece
from panglot.search.store import Found

if TYPE_CHECKING:
    from pathlib import Path

    from panglot.encoders.protocol import Vectors


class Span(NamedTuple):
    """The rows of one language.

    Attributes:
        language: The language.
        begin: The first row.
        end: The row after the last.
        live: How many of them are not deleted.
    """

    language: str
    begin: int
    end: int
    live: int


@dataclass(frozen=True)
class Segment:
    """A segment that is open.

    Attributes:
        part: Its description.
        texts: Its documents.
        tables: For each space the vectors, memory-mapped.
        deleted: Whether each row is; None: none is.
        spans: Its languages.
    """

    part: Part
    texts: Texts
    tables: dict[str, Table]
    deleted: Bools | None
    spans: tuple[Span, ...]

    @classmethod
    def open(cls, folder: Path, part: Part, spaces: Sequence[str], known: Segment | None = None) -> Segment:
        """Check the files of a segment and open it.

        Args:
            folder: Of all segments.
            part: What must be there.
            spaces: The names of the spaces.
            known: The same segment, opened before, perhaps with fewer deleted rows.

        Raises:
            PanglotError: A file is damaged.
            FileNotFoundError: A file is not there.
        """
        place = folder / part.name
        for name, facts in part.files.items():
            if not known or name not in known.part.files:
                _manifest.check(place / name, facts)
        deleted = None
        if part.deleted:
            bits = np.load(place / part.deleted, allow_pickle=False)
            deleted = np.unpackbits(bits, count=part.rows).astype(np.bool_)
        spans = _spans(part, deleted)
        if known:
            return replace(known, part=part, deleted=deleted, spans=spans)
        texts = Texts(place / "documents.arrow", _mapped(place / "keys.npy"))
        graphs = {space: Graph(place / f"{space}.usearch", *built) for space, built in part.graphs.items()}
        tables = {space: Table(_mapped(place / f"{space}.npy"), graphs.get(space)) for space in spaces}
        return cls(part, texts, tables, deleted, spans)

    @property
    def live(self) -> int:
        """How many rows are not deleted."""
        return sum(span.live for span in self.spans)

    def counts(self) -> dict[str, int]:
        """Return how many live rows each language has."""
        return {language: live for language, _, _, live in self.spans if live}

    def rows(self, ids: Sequence[str], keys: Keys) -> Ints:
        """Return the live row of each id, -1 where there is none."""
        found = self.texts.rows(ids, keys)
        if self.deleted is not None:
            found[(found >= 0) & self.deleted[found]] = -1
        return found

    def search(self, space: str, questions: Vectors, k: int, languages: Collection[str] | None) -> list[list[Found]]:
        """Return for each question the ``k`` nearest live rows in some languages, or in any."""
        spans = [span for span in self.spans if languages is None or span.language in languages]
        wanted = Wanted(_joined(spans), self.deleted, sum(span.live for span in spans))
        if not wanted.live:
            return [[] for _ in questions]
        return [
            [
                Found(name, score, self.texts.value(row, "language"), self.texts.value(row, "group"))
                for score, name, row in first(k, score, rows, partial(self.texts.value, column="id"))
            ]
            for score, rows in nearest(self.tables[space], questions, k, wanted)
        ]

    def live_pieces(self) -> dict[str, Iterator[Piece]]:
        """Return for each language its live rows, read when they are asked for."""
        return {span.language: self._pieces(span) for span in self.spans if span.live}

    def _pieces(self, span: Span) -> Iterator[Piece]:
        for begin, batch in self.texts.batches(span.begin, span.end):
            part = slice(begin, begin + batch.num_rows)
            vectors = {space: table.vectors[part] for space, table in self.tables.items()}
            if self.deleted is None or not self.deleted[part].any():
                yield batch, vectors
                continue
            kept = ~self.deleted[part]
            if kept.any():
                yield batch.filter(pa.array(kept)), {space: each[kept] for space, each in vectors.items()}


def _spans(part: Part, deleted: Bools | None) -> tuple[Span, ...]:
    found: list[Span] = []
    begin = 0
    for language, rows in part.languages:
        end = begin + rows
        found.append(Span(language, begin, end, rows - (0 if deleted is None else int(deleted[begin:end].sum()))))
        begin = end
    return tuple(found)


def _joined(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """Return begin and end of the stretches that spans make up."""
    found: list[tuple[int, int]] = []
    for span in spans:
        if found and found[-1][1] == span.begin:
            found[-1] = found[-1][0], span.end
        else:
            found.append((span.begin, span.end))
    return found


def _mapped(path: Path) -> Any:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
