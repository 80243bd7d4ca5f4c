"""Which engine translates which pair, directly or through a third language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from panglot._errors import PanglotError
from panglot.augment.translation.protocol import Engine
from panglot.augment.translation.store import Direction

#: Languages tried in the middle, beside those that an engine lists.
PIVOTS = ("en", "es", "fr", "pt", "de", "ru", "ca")
_SHOWN = 30


@dataclass(frozen=True)
class Step:
    """One engine from one language into another."""

    engine: Engine
    source: str
    target: str

    @property
    def direction(self) -> Direction:
        """What the store knows it by."""
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


def find(engines: Sequence[Engine], source: str, target: str) -> Route | None:
    """Return the route of a pair: the first engine that has it, else two steps, else None.

    Of two steps, those of the earliest engines are taken, and English in the middle before others. A language
    with a region or variant is read by an engine that knows only the language.
    """
    for spoken in dict.fromkeys((source, source.split("-", 1)[0])):
        if direct := _step(engines, spoken, target):
            return Route(source, target, (direct,))
    ways: list[tuple[tuple[int, int, int], Route]] = []
    for spoken in dict.fromkeys((source, source.split("-", 1)[0])):
        for place, pivot in enumerate(_pivots(engines, spoken)):
            if pivot in (source, spoken, target):
                continue
            steps = (_step(engines, spoken, pivot), _step(engines, pivot, target))
            if steps[0] and steps[1]:
                rank = [next(i for i, e in enumerate(engines) if e is step.engine) for step in steps if step]
                ways.append(((sum(rank), place, max(rank)), Route(source, target, (steps[0], steps[1]))))
    return min(ways, key=lambda way: way[0])[1] if ways else None


def nearest(engines: Sequence[Engine], sources: Iterable[str], target: str) -> Route | None:
    """Return the shortest route from one of several languages; English, then the order given, breaks ties."""
    ordered = sorted(dict.fromkeys(sources), key=lambda code: code.split("-", 1)[0] != "en")
    routes = [route for code in ordered if (route := find(engines, code, target))]
    return min(routes, key=lambda route: len(route.steps)) if routes else None


def missing(engines: Sequence[Engine], sources: Sequence[str], target: str) -> PanglotError:
    """Return the error of a language that no route leads to; it tells those that there are."""
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
    return PanglotError(
        f"no route from {', '.join(sources)} to {target} with the engines at hand ({names}); {reach}",
        field="to",
        cure="leave the language out, install a pair for it, or name an engine that has it with --engine",
    )


def _step(engines: Sequence[Engine], source: str, target: str) -> Step | None:
    return next((Step(engine, source, target) for engine in engines if engine.serves(source, target)), None)


def _pivots(engines: Sequence[Engine], source: str) -> list[str]:
    listed = sorted({target for engine in engines for target in engine.targets(source) or ()})
    return list(dict.fromkeys((*PIVOTS, *listed)))
