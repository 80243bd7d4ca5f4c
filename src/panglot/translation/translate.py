"""Translate a collection into more languages."""

from __future__ import annotations

import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import atomic_folder, write_json
from panglot.data.collection import Collection, Text
from panglot.data.columns import number_groups, store
from panglot.data.convert import check_folder
from panglot.data.language import canonical
from panglot.encoders.protocol import Side
from panglot.translation.by_sentence import SentenceCounts, Store, translate_texts
from panglot.translation.engines import Engine, Route, shortest_route
from panglot.translation.quality import Thresholds, filter_reasons

#: The file of origins in the folder of a translated collection.
_ORIGINS_FILE = "provenance.arrow"
#: Number of texts that are cut, translated and filtered at once.
_CHUNK = 10_000
#: Marks rows whose translation is far from the source: texts, translations, groups, side → one mark per row.
SimilarityFilter = Callable[[Sequence[str], Sequence[str], Sequence[str], Side], Sequence[bool]]


class Job(NamedTuple):
    """One text to translate: a row of the table of its side, and the route from its language into the target."""

    side: Side
    row: int
    route: Route


def plan(
    collection: Collection, targets: Sequence[str], engines: Sequence[Engine], *,
    sources: Sequence[str] | None = None, questions_only: bool = False,
) -> list[Job]:  # fmt: skip
    """Return the texts to translate, by target language, then side, then row.

    A group that has a version in the target language is skipped. Of several versions, one with the shortest route is
    translated, English before others. If a group has several texts in that language, all of them are translated.
    """
    codes = list(dict.fromkeys(canonical(code) for code in targets))
    allowed = {canonical(code) for code in sources} if sources else set(collection.languages)
    if unknown := sorted(allowed - set(collection.languages)):
        hint = f"choose from {', '.join(collection.languages)}"
        raise PanglotError(f"{collection.name} has no text in {', '.join(unknown)}", field="from", hint=hint)
    tables: tuple[tuple[Side, pa.Table], ...] = (("question", collection.questions), ("passage", collection.passages))
    jobs: list[Job] = []
    for target in codes:
        routes: dict[tuple[str, ...], Route] = {}
        for side, table in tables[: 1 if questions_only else 2]:
            languages: list[str] = table["language"].to_pylist()
            groups: list[int] = number_groups(table["group"]).tolist()
            versions: dict[int, dict[str, None]] = {}
            for group, language in zip(groups, languages, strict=True):
                versions.setdefault(group, {})[language] = None
            for row, (group, language) in enumerate(zip(groups, languages, strict=True)):
                usable = tuple(code for code in versions[group] if code in allowed)
                if target in versions[group] or not usable:
                    continue
                if usable not in routes:
                    routes[usable] = shortest_route(engines, usable, target)
                if routes[usable].source == language:
                    jobs.append(Job(side, row, routes[usable]))
    if not jobs:
        problem = f"{collection.name} already has all of {', '.join(codes)}"
        raise PanglotError(problem, field="to", hint="name other languages with --to")
    return jobs


def head(collection: Collection, questions: int) -> Collection:
    """Return the first questions, by group and in all languages, and the passages that they are judged with."""
    groups: list[int] = number_groups(collection.questions["group"]).tolist()
    chosen = set(list(dict.fromkeys(groups))[:questions])
    kept = np.array([group in chosen for group in groups], np.bool_)
    passages = np.zeros(collection.passages.num_rows, np.bool_)
    judged = collection.qrels
    passages[judged["passage"].to_numpy()[kept[judged["question"].to_numpy()]]] = True
    return collection.keep(kept, passages)


class Origin(NamedTuple):
    """Where a translated row comes from: engine, version and route, and the source row."""

    side: str
    id: str
    language: str
    engine: str
    version: str
    route: str
    source: str
    source_language: str


@dataclass(frozen=True)
class Translated:
    """What :func:`translate` returns."""

    collection: Collection  # The rows that were there, then the new ones by target language. Groups are kept.
    origins: Sequence[Origin]  # One per new row, in the order of the tables.
    dropped: Sequence[dict[str, Any]]  # One per row that was translated and left out, with the ``reasons``.
    metrics: dict[str, Any] = field(default_factory=dict)  # Counts and seconds by target language.

    def save(self, folder: Path) -> None:
        """Write the collection with ``provenance.arrow``, ``dropped.jsonl`` and ``report.json``, atomically."""
        check_folder(folder)
        with atomic_folder(folder) as part:
            self.collection.save(part)
            # Values that repeat are stored once.
            distinct, repeated = pa.string(), pa.dictionary(pa.int32(), pa.string())
            fields = [(name, distinct if name in {"id", "source"} else repeated) for name in Origin._fields]
            table = pa.Table.from_pylist([origin._asdict() for origin in self.origins], pa.schema(fields))
            store(table.to_batches(), table.schema, part / _ORIGINS_FILE)
            with (part / "dropped.jsonl").open("w", encoding="utf-8") as out:
                out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in self.dropped)
            write_json(part / "report.json", self.metrics)


def translate(
    collection: Collection, targets: Sequence[str], engines: Sequence[Engine], store: Store, *,
    sources: Sequence[str] | None = None, questions_only: bool = False, thresholds: Thresholds | None = None,
    distant: SimilarityFilter | None = None, progress: Callable[[str], None] = lambda _: None,
) -> Translated:  # fmt: skip
    """Translate every group that lacks a version in a target language, as :func:`plan` chooses.

    A new row has the group of its source. Any version of a question is judged with any version of a passage as their
    sources are. Rows that the filters find are left out of the collection and listed in ``dropped``: those beyond the
    ``thresholds``, and those that ``distant`` marks (:func:`similarity_filter`). With the same engines, in order of
    preference, and the same store, the result does not depend on how often the run was interrupted.
    """
    limits = thresholds or Thresholds()
    jobs = plan(collection, targets, engines, sources=sources, questions_only=questions_only)
    tables = {"question": collection.questions, "passage": collection.passages}
    used = {side: set(table["id"].to_pylist()) for side, table in tables.items()}
    new: dict[str, list[tuple[int, Text]]] = {"question": [], "passage": []}
    origins: list[Origin] = []
    dropped: list[dict[str, Any]] = []
    counted: dict[str, dict[str, _Counts]] = {}
    for part in _parts(jobs):
        route, side = part[0].route, part[0].side
        counts = counted.setdefault(route.target, {}).setdefault(str(route), _Counts())
        progress(f"{route}: {len(part):,} {side}s")
        rows = _named_groups(tables[side].take([job.row for job in part]))
        # Without filters, any answer is accepted, also one in another language.
        found = translate_texts([row["text"] for row in rows], route, store, counts, check_language=limits.sure <= 1)
        directions = [step.direction for step in route.steps]
        engine = "+".join(dict.fromkeys(each.engine for each in directions))
        version = " + ".join(each.version for each in directions)
        made_by = {"engine": engine, "version": version, "route": str(route)}
        why = _reasons(rows, found, route, side, limits, distant)
        for job, row, text, reasons in zip(part, rows, found, why, strict=True):
            counts.add(side, reasons)
            label = _label(row["id"], route, used[side])
            if reasons or text is None:
                dropped.append({"side": side, "id": label, "language": route.target, "source": row["id"],
                                "source_language": route.source, "reasons": reasons, "text": row["text"],
                                "translation": text, **made_by})  # fmt: skip
                continue
            used[side].add(label)
            new[side].append((job.row, Text(label, route.target, row["group"], text)))
            origins.append(Origin(side, label, route.target, **made_by, source=row["id"], source_language=route.source))
    origins.sort(key=lambda origin: origin.side != "question")
    report = {target: [counts.metrics(name) for name, counts in by.items()] for target, by in counted.items()}
    metadata = {**collection.metadata, "translated": "; ".join(sorted({f"{o.route}, {o.version}" for o in origins}))}
    metrics = {"collection": collection.name, "to": report}
    return Translated(_extend(collection, new, metadata), origins, dropped, metrics)


@dataclass
class _Counts(SentenceCounts):
    """Counts of one route: sentences, and rows by side."""

    rows: Counter[str] = field(default_factory=Counter[str])
    kept: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[str] = field(default_factory=Counter[str])

    def add(self, side: str, reasons: Sequence[str]) -> None:
        self.rows[side] += 1
        self.kept[side] += not reasons
        self.reasons.update(reasons)

    def metrics(self, route: str) -> dict[str, Any]:
        rows = self.rows.total()
        # Reused sentences would make the engine look faster than it is.
        rate = round(rows / self.seconds, 2) if self.translated and not self.reused else None
        return {
            "route": route, "rows": dict(self.rows), "kept": dict(self.kept),
            "dropped": rows - self.kept.total(), "dropped_by": dict(sorted(self.reasons.items())),
            "sentences": self.sentences, "reused": self.reused, "translated": self.translated,
            "failed": self.failed, "seconds": round(self.seconds, 3), "rows_per_second": rate,
        }  # fmt: skip


def _reasons(
    rows: Sequence[dict[str, str]], found: Sequence[str | None], route: Route, side: Side, thresholds: Thresholds,
    distant: SimilarityFilter | None,
) -> list[list[str]]:  # fmt: skip
    """Return why each row should be left out, as :func:`filter_reasons` and the filter by an encoder say."""
    reasons = [
        ["not translated"]
        if made is None
        else filter_reasons(row["text"], made, route.source, route.target, thresholds)
        for row, made in zip(rows, found, strict=True)
    ]
    there = [place for place, made in enumerate(found) if made is not None]
    if distant is not None and there:
        texts, groups = ([rows[place][name] for place in there] for name in ("text", "group"))
        marks = distant(texts, [found[place] or "" for place in there], groups, side)
        for place, mark in zip(there, marks, strict=True):
            reasons[place] += ["similarity"] if mark else []
    return reasons


def _parts(jobs: Iterable[Job]) -> list[list[Job]]:
    """Return the jobs by route and side, in chunks of about one size, because a filter compares the rows of a chunk."""
    by: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        by[str(job.route), job.side].append(job)
    return [part[begin:end] for part in by.values() for begin, end in pairwise(_edges(len(part)))]


def _edges(rows: int) -> list[int]:
    """Return where the chunks of so many rows begin and end.

    >>> _edges(10_001)
    [0, 5000, 10001]
    """
    chunks = -(-rows // _CHUNK)
    return [rows * number // chunks for number in range(chunks + 1)]


def _label(source: str, route: Route, used: set[str]) -> str:
    """Return an id for the translation: the source's, with the language at its head replaced or added."""
    has_language = source.startswith((f"{route.source}:", f"{route.source}-"))
    label = route.target + (source[len(route.source) :] if has_language else f":{source}")
    while label in used:
        label += "'"
    return label


def _named_groups(table: pa.Table) -> list[dict[str, str]]:
    """Return texts as dictionaries. One without a group has its id as one, so that its translations can share it."""
    return [row | {"group": row["group"] or row["id"]} for row in table.to_pylist()]


def _extend(collection: Collection, new: dict[str, list[tuple[int, Text]]], metadata: dict[str, str]) -> Collection:
    """Return the collection with new rows, which are judged as their sources are."""
    sides: list[list[Text]] = []
    versions: list[dict[int, list[str]]] = []
    for side, table in (("question", collection.questions), ("passage", collection.passages)):
        old = [Text(**row) for row in _named_groups(table)]
        ids = {row: [text.id] for row, text in enumerate(old)}
        for row, text in new[side]:
            ids[row].append(text.id)
        sides.append(old + [text for _, text in new[side]])
        versions.append(ids)
    judged = collection.qrels
    # Judgements that were there come first, so that they win over those made here.
    pairs: dict[tuple[str, str], int] = {}
    for question, passage, relevance in zip(*(judged[name].to_pylist() for name in judged.column_names), strict=True):
        for q in versions[0][question]:
            for p in versions[1][passage]:
                pairs.setdefault((q, p), relevance)
    qrels = ((q, p, relevance) for (q, p), relevance in pairs.items())
    return Collection.build(collection.name, sides[0], sides[1], qrels, metadata)


#: A row's own cosine must reach this quantile of the cosines of sources with other rows' translations.
_QUANTILE = 0.95
_FEWEST_ROWS = 20


def distant(
    sources: npt.NDArray[np.float32], translations: npt.NDArray[np.float32], others: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Mark the rows whose translation is no nearer to its source than translations of other rows are.

    The limit is the .95 quantile of the cosines of each source with the translation of the row that ``others`` names
    (:func:`unlike_rows`), so that no encoder needs a threshold of its own. If it names fewer than 20, none is marked.
    ``sources`` and ``translations`` are unit vectors, shape ``[rows, dimension]``. The result has one mark per row.
    """
    known = others >= 0
    if known.sum() < _FEWEST_ROWS:
        return np.zeros(len(sources), np.bool_)
    own = np.einsum("rd,rd->r", sources, translations)
    unlike = np.einsum("rd,rd->r", sources[known], translations[others[known]])
    return own < np.quantile(unlike, _QUANTILE)


def unlike_rows(*columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return for each row the nearest one before it that has another value in every column, or -1 if there is none.

    The last row is before the first. Rows without a value share it with nobody.

    >>> unlike_rows(["a", "b", "b", "c"]).tolist(), unlike_rows(["a", "a"]).tolist(), unlike_rows(["", ""]).tolist()
    ([3, 0, 0, 2], [-1, -1], [1, 0])
    """
    number = len(columns[0])
    codes: list[npt.NDArray[np.int64]] = []
    for column in columns:
        numbers: dict[str | int, int] = {}
        values = (numbers.setdefault(value or row, len(numbers)) for row, value in enumerate(column))
        codes.append(np.fromiter(values, np.int64, number))
    found, left = np.full(number, -1, np.int64), np.arange(number)
    for step in range(1, number):
        before = (left - step) % number
        unlike = np.logical_and.reduce([code[left] != code[before] for code in codes])
        found[left[unlike]] = before[unlike]
        left = left[~unlike]
        if not len(left):
            break
    return found


def similarity_filter(encoder: Any) -> SimilarityFilter:
    """Return the filter of an :class:`panglot.encoders.protocol.Encoder`, which marks distant translations.

    Both texts of a row are encoded on its side, question or passage. A row is compared with one of another group that
    has another text and another translation, because equal ones are as near as its own translation. If fewer than 20
    rows can be compared, it warns.
    """

    def marked(sources: Sequence[str], made: Sequence[str], groups: Sequence[str], side: Side) -> Sequence[bool]:
        others = unlike_rows(sources, made, groups)
        if np.count_nonzero(others >= 0) < _FEWEST_ROWS:
            note = f"{len(made):,} {side}s are too few to be compared by similarity, so none is dropped for it"
            warnings.warn(note, RuntimeWarning, stacklevel=2)
        return distant(encoder.encode(sources, side), encoder.encode(made, side), others).tolist()

    return marked
