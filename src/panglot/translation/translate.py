"""A collection in, a parallel collection out."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import atomic_folder, write_json
from panglot.data.collection import Collection, Text
from panglot.translation import store as provenance
from panglot.translation.engines import Engine
from panglot.translation.quality import Thresholds, judge
from panglot.translation.routes import Route, Side, Want, plan
from panglot.translation.store import Origin, Store
from panglot.translation.work import Tally, translate_texts

#: Texts cut, translated and judged at once.
CHUNK = 10_000
#: Finds rows to drop whose translation is far from the source: texts, translations, side → one mark a row.
Distant = Callable[[Sequence[str], Sequence[str], Side], Sequence[bool]]


@dataclass(frozen=True)
class Translated:
    """What :func:`translate` returns.

    Attributes:
        collection: The rows that were there, then the new ones, by target language; groups are kept.
        origins: One for each new row, in the order of the tables.
        dropped: One JSON object for each row that was translated and left out, with the ``reasons``.
        figures: Counts and seconds, by target language; written as ``report.json``.
    """

    collection: Collection
    origins: Sequence[Origin]
    dropped: Sequence[dict[str, Any]]
    figures: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the collection with ``provenance.arrow``, ``dropped.jsonl`` and ``report.json``, atomically.

        Raises:
            PanglotError: The folder is there and is no collection, or cannot be written.
        """
        check_output(folder)
        with atomic_folder(folder) as part:
            self.collection.save(part)
            provenance.write(part / provenance.FILE, self.origins)
            with (part / "dropped.jsonl").open("w", encoding="utf-8") as out:
                out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in self.dropped)
            write_json(part / "report.json", self.figures)


def check_output(folder: Path) -> None:
    """Refuse to replace what is not a collection.

    Raises:
        PanglotError: There is something else.
    """
    if folder.exists() and not (folder / "collection.json").is_file() and not _empty(folder):
        raise PanglotError("there is something else, which would be lost", file=folder, hint="name a new folder")


def translate(
    collection: Collection,
    targets: Sequence[str],
    engines: Sequence[Engine],
    store: Store,
    *,
    sources: Sequence[str] | None = None,
    questions_only: bool = False,
    thresholds: Thresholds | None = None,
    distant: Distant | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Translated:
    """Translate every group that lacks a version in a target language, as :func:`plan` chooses.

    A new row has its source's group; any version of a question is judged with any version of a passage as their
    sources are. What the filters find is left out and kept aside. With the same engines and store, the result does
    not depend on how often the work was interrupted.

    Args:
        collection: What to translate.
        targets: Languages to translate into.
        engines: In the order of preference.
        store: Keeps each batch as it is done.
        sources: Translate from these languages only.
        questions_only: Leave the passages in their languages.
        thresholds: Of the filters; by default :class:`Thresholds`.
        distant: A filter by an encoder, as :func:`panglot.translation.similarity.distant_by`.
        tell: Told what is being done, in lines.

    Raises:
        PanglotError: A pair has no route, or an engine fails on all that it is given.
    """
    limits = thresholds or Thresholds()
    wants = plan(collection, targets, engines, sources=sources, questions_only=questions_only)
    tables = {"question": collection.questions, "passage": collection.passages}
    used = {side: set(table["id"].to_pylist()) for side, table in tables.items()}
    new: dict[str, list[tuple[int, Text]]] = {"question": [], "passage": []}
    origins: list[Origin] = []
    dropped: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    for part in _parts(wants):
        route, side = part[0].route, part[0].side
        counts = figures.setdefault(route.target, {}).setdefault(str(route), _Counts(Tally()))
        tell(f"{route}: {len(part):,} {side}s")
        rows: list[dict[str, str]] = tables[side].take([want.row for want in part]).to_pylist()
        found = translate_texts([row["text"] for row in rows], route, store, counts.tally, guard=limits.sure <= 1)
        verdicts = _judged(rows, found, route, side, limits, distant)
        made_by = _made_by(route)
        for want, row, text, reasons in zip(part, rows, found, verdicts, strict=True):
            counts.add(side, reasons)
            label = _label(row["id"], route, used[side])
            if reasons or text is None:
                dropped.append({"side": side, "id": label, "language": route.target, "source": row["id"],
                                "source_language": route.source, "reasons": reasons, "text": row["text"],
                                "translation": text, **made_by})  # fmt: skip
                continue
            used[side].add(label)
            new[side].append((want.row, Text(label, route.target, row["group"], text)))
            origins.append(Origin(side, label, route.target, **made_by, source=row["id"], source_language=route.source))
    origins.sort(key=lambda origin: origin.side != "question")
    report = {target: [counts.figures(name) for name, counts in by.items()] for target, by in figures.items()}
    about = {**collection.about, "translated": "; ".join(sorted({f"{o.route}, {o.version}" for o in origins}))}
    return Translated(
        _extended(collection, new, about), origins, dropped, {"collection": collection.name, "to": report}
    )


@dataclass
class _Counts:
    tally: Tally
    rows: Counter[str] = field(default_factory=Counter[str])
    kept: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[str] = field(default_factory=Counter[str])

    def add(self, side: str, reasons: Sequence[str]) -> None:
        self.rows[side] += 1
        self.kept[side] += not reasons
        self.reasons.update(reasons)

    def figures(self, route: str) -> dict[str, Any]:
        rows, tally = self.rows.total(), self.tally
        seconds = round(tally.seconds, 3)
        # A rate says something about the engine only where the engine did the work.
        rate = round(rows / tally.seconds, 2) if tally.translated and not tally.reused else None
        return {
            "route": route, "rows": dict(self.rows), "kept": dict(self.kept),
            "dropped": rows - self.kept.total(), "dropped_by": dict(sorted(self.reasons.items())),
            "sentences": tally.sentences, "reused": tally.reused, "translated": tally.translated,
            "failed": tally.failed, "seconds": seconds, "rows_per_second": rate,
        }  # fmt: skip


def _judged(
    rows: Sequence[dict[str, str]], found: Sequence[str | None], route: Route, side: Side, thresholds: Thresholds,
    distant: Distant | None,
) -> list[list[str]]:  # fmt: skip
    verdicts = [
        ["not translated"] if text is None else judge(row["text"], text, route.source, route.target, thresholds)
        for row, text in zip(rows, found, strict=True)
    ]
    there = [place for place, text in enumerate(found) if text is not None]
    if distant is not None and there:
        marks = distant([rows[place]["text"] for place in there], [found[place] or "" for place in there], side)
        for place, mark in zip(there, marks, strict=True):
            verdicts[place] += ["similarity"] if mark else []
    return verdicts


def _parts(wants: Iterable[Want]) -> list[list[Want]]:
    """Return the wants by route and side, in chunks."""
    by: dict[tuple[str, str], list[Want]] = defaultdict(list)
    for want in wants:
        by[str(want.route), want.side].append(want)
    return [part[begin : begin + CHUNK] for part in by.values() for begin in range(0, len(part), CHUNK)]


def _made_by(route: Route) -> dict[str, str]:
    directions = [step.direction for step in route.steps]
    return {
        "engine": "+".join(dict.fromkeys(each.engine for each in directions)),
        "version": " + ".join(each.version for each in directions),
        "route": str(route),
    }


def _label(source: str, route: Route, used: set[str]) -> str:
    """Return an id for the translation: the source's, with the language at its head changed or put there."""
    for mark in (":", "-"):
        if source.startswith(route.source + mark):
            label = route.target + source[len(route.source) :]
            break
    else:
        label = f"{route.target}:{source}"
    while label in used:
        label += "'"
    return label


def _extended(collection: Collection, new: dict[str, list[tuple[int, Text]]], about: dict[str, str]) -> Collection:
    """Return the collection with new rows; judgements are those between the sources of both sides."""
    sides: list[list[Text]] = []
    versions: list[dict[int, list[str]]] = []
    for side, table in (("question", collection.questions), ("passage", collection.passages)):
        columns = ("id", "language", "group", "text")
        old = [Text(*values) for values in zip(*(table[name].to_pylist() for name in columns), strict=True)]
        ids = {row: [text.id] for row, text in enumerate(old)}
        for row, text in new[side]:
            ids[row].append(text.id)
        sides.append(old + [text for _, text in new[side]])
        versions.append(ids)
    judged: pa.Table = collection.relevance
    rows = zip(*(judged[name].to_pylist() for name in ("question", "passage", "grade")), strict=True)
    # Judgements made for versions that were there come first, so that they win over those made here.
    pairs: dict[tuple[str, str], int] = {}
    for question, passage, grade in rows:
        for q in versions[0][question]:
            for p in versions[1][passage]:
                pairs.setdefault((q, p), grade)
    relevance = ((q, p, grade) for (q, p), grade in pairs.items())
    return Collection.build(collection.name, sides[0], sides[1], relevance, about)


def _empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
