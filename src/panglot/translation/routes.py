"""Open engines, and plan which engine translates which pair, directly or through a third language."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from panglot._environment import install_command
from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.data.language import canonical
from panglot.translation.engines import Chat, Direction, Engine, LibreTranslate

#: What ``--engine`` takes.
_KINDS = ("apertium", "bergamot", "ctranslate2=FOLDER", "libretranslate=URL", "chat=URL#MODEL")
#: Languages tried in the middle, beside those that an engine lists.
_PIVOTS = ("en", "es", "fr", "pt", "de", "ru", "ca")
_SHOWN = 30

Side = Literal["question", "passage"]


@dataclass(frozen=True)
class Step:
    """One engine from one language into another."""

    engine: Engine
    source: str
    target: str

    @property
    def direction(self) -> Direction:
        """Its key in the store."""
        return Direction(self.engine.name, self.engine.version(self.source, self.target), self.source, self.target)


@dataclass(frozen=True)
class Route:
    """One step, or two with a third language between."""

    source: str
    target: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        parts = [f"{step.target} ({step.engine.name})" for step in self.steps]
        return " → ".join([self.source, *parts])


def find_route(engines: Sequence[Engine], source: str, target: str) -> Route | None:
    """Return the route of a pair: the first engine that has it, else two steps, else None.

    Of two steps, those of the earliest engines are taken, with English in the middle before other languages. If a
    language has a region or variant, an engine that knows only the language reads it.
    """
    codes = tuple(dict.fromkeys((source, source.split("-", 1)[0])))
    for code in codes:
        if direct := _step(engines, code, target):
            return Route(source, target, (direct,))
    ways: list[tuple[tuple[int, int, int], Route]] = []
    for code in codes:
        listed = sorted({to for engine in engines for to in engine.targets(code) or ()})
        for place, pivot in enumerate(dict.fromkeys((*_PIVOTS, *listed))):
            if pivot in (source, code, target):
                continue
            first, second = _step(engines, code, pivot), _step(engines, pivot, target)
            if first and second:
                rank = [next(i for i, e in enumerate(engines) if e is step.engine) for step in (first, second)]
                ways.append(((sum(rank), place, max(rank)), Route(source, target, (first, second))))
    return min(ways, key=lambda way: way[0])[1] if ways else None


def _shortest_route(engines: Sequence[Engine], sources: Iterable[str], target: str) -> Route | None:
    """Return the shortest route from one of several languages. English, then the order given, breaks ties."""
    ordered = sorted(dict.fromkeys(sources), key=lambda code: code.split("-", 1)[0] != "en")
    routes = [route for code in ordered if (route := find_route(engines, code, target))]
    return min(routes, key=lambda route: len(route.steps)) if routes else None


def _no_route(engines: Sequence[Engine], sources: Sequence[str], target: str) -> PanglotError:
    names = ", ".join(engine.name for engine in engines) or "none"
    near = {to: engine.name for engine in engines[::-1] for code in sources for to in engine.targets(code) or ()}
    far = {
        to: pivot for pivot in sorted(near, reverse=True) for engine in engines for to in engine.targets(pivot) or ()
        if to not in near and to not in sources
    }  # fmt: skip
    ways = [f"{to} ({name})" for to, name in sorted(near.items())]
    ways += [f"{to} (through {pivot})" for to, pivot in sorted(far.items())]
    more = f" and {len(ways) - _SHOWN} more" if len(ways) > _SHOWN else ""
    reach = f"they reach {', '.join(ways[:_SHOWN])}{more}" if ways else "they reach nothing from there"
    problem = f"no route from {', '.join(sources)} to {target} with the available engines ({names}): {reach}"
    hint = "leave the language out, install a pair for it, or name an engine that has it with --engine"
    return PanglotError(problem, field="to", hint=hint)


def _step(engines: Sequence[Engine], source: str, target: str) -> Step | None:
    return next((Step(engine, source, target) for engine in engines if engine.serves(source, target)), None)


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
        routes: dict[tuple[str, ...], Route | None] = {}
        for side, table in tables[: 1 if questions_only else 2]:
            languages: list[str] = table["language"].to_pylist()
            groups: list[str] = table["group"].to_pylist()
            versions: dict[str, dict[str, None]] = {}
            for group, language in zip(groups, languages, strict=True):
                versions.setdefault(group, {})[language] = None
            for row, (group, language) in enumerate(zip(groups, languages, strict=True)):
                usable = tuple(code for code in versions[group] if code in allowed)
                if target in versions[group] or not usable:
                    continue
                if usable not in routes:
                    routes[usable] = _shortest_route(engines, usable, target)
                route = routes[usable]
                if route is None:
                    raise _no_route(engines, usable, target)
                if route.source == language:
                    jobs.append(Job(side, row, route))
    if not jobs:
        problem = f"{collection.name} already has all of {', '.join(codes)}"
        raise PanglotError(problem, field="to", hint="name other languages with --to")
    return jobs


def head(collection: Collection, questions: int) -> Collection:
    """Return the first questions, by group and in all languages, and the passages that they are judged with."""
    groups: list[str] = collection.questions["group"].to_pylist()
    chosen = set(list(dict.fromkeys(groups))[:questions])
    kept = np.array([group in chosen for group in groups], np.bool_)
    passages = np.zeros(collection.passages.num_rows, np.bool_)
    judged = collection.qrels
    passages[judged["passage"].to_numpy()[kept[judged["question"].to_numpy()]]] = True
    return collection.keep(kept, passages)


def open_engines(names: Sequence[str]) -> list[Engine]:
    """Return the engines of ``NAME`` or ``NAME=PLACE``. ``auto`` opens those that are installed, Bergamot first."""
    engines: list[Engine] = []
    for name in names or ["auto"]:
        if name != "auto":
            engines.append(_open(name))
            continue
        for installed in ("bergamot", "apertium"):
            with contextlib.suppress(PanglotError):  # It is not installed.
                engines.append(_open(installed))
    if not engines:
        ways = f"`apt-get install apertium apertium-eng-spa`, `{install_command('bergamot')}`"
        hint = f"install one ({ways}), or name one: {', '.join(_KINDS)}"
        raise PanglotError("no translation engine is installed", field="engine", hint=hint)
    return engines


def _open(text: str) -> Engine:
    # Imported here, because planning a translation needs no engine.
    from panglot.translation import local

    name, _, place = text.partition("=")
    if name == "apertium":
        return local.Apertium(place or "apertium")
    if name == "bergamot":
        return local.Bergamot()
    with_place = {"ctranslate2": local.CTranslate2, "libretranslate": LibreTranslate, "chat": Chat}
    if name not in with_place:
        raise PanglotError(f"unknown engine {text!r}", field="engine", hint=f"choose auto, {', '.join(_KINDS)}")
    if not place:
        kind = next(kind for kind in _KINDS if kind.startswith(name))
        raise PanglotError(f"the engine {name} needs a place, got none", field="engine", hint=f"write {kind}")
    return with_place[name](place)
