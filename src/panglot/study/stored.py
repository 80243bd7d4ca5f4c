"""Read values from stored results by expressions such as ``mean(/cells/*/seconds) / 60``."""

from __future__ import annotations

import functools
import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from statistics import mean, median
from typing import Any

from panglot._errors import PanglotError

_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min, "max": max, "mean": mean, "median": median, "sum": sum, "count": len
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A stored result: a JSON file, all files of a pattern with one ``*``, by what the star stands for, or a study.

    The values of a study, a TOML file, are computed from the cells in the folder of its name. ``command`` made it, in
    about ``minutes`` on two cores. Without one, the file names its command.
    """

    name: str
    file: str
    minutes: float
    command: str = ""


class Sources:
    """The stored results of a checkout at ``root``, and the figures of documented runs by the name of the run.

    A figure of a run, such as ``datasets.xquad-r.monolingual.mAP``, has the expression that it would have in a file.
    ``used`` has the runs and figures that were asked for.
    """

    def __init__(self, root: Path, sources: Mapping[str, Source], runs: Mapping[str, Mapping[str, float]]) -> None:
        self.root, self.sources, self.runs = root, sources, runs
        self.read = functools.cache(self._read)
        self.used: set[tuple[str, str]] = set()

    def command(self, name: str) -> str:
        """Return the command that made a source."""
        source = self.sources[name]
        return source.command or str(self.read(name)["command"])

    def values(self, expression: str, source: str = "") -> list[float]:
        """Return the numbers that an expression stands for, which are two for an interval.

        An expression is a number, a pointer (:func:`follow`) into ``source``, ``NAME:`` and a pointer into another one,
        a function of these (``min``, ``max``, ``mean``, ``median``, ``sum``, ``count``), or several with operators,
        which have blanks around them and apply from left to right. ``source`` may have the first part of pointers
        after its name, such as ``recipe/datasets``.
        """
        text = expression.strip()
        if len(parts := _split(text, r" ([-+*/]) ")) > 1:
            found = self.values(parts[0], source)
            for sign, right in zip(parts[1::2], parts[2::2], strict=True):
                found = list(_broadcast(_OPERATORS[sign], found, self.values(right, source)))
            return found
        if call := re.fullmatch(r"(\w*)\((.+)\)", text):
            inner = [value for part in _split(call[2], r", (?=(?:[\w-]+:)?/)") for value in self.values(part, source)]
            return [float(_FUNCTIONS[call[1]](inner))] if call[1] else inner
        if re.fullmatch(r"[\d.]+", text):
            return [float(text)]
        name, pointer = _named(text)
        name, _, base = (name or source).partition("/")
        return self._at(name, f"/{base}{pointer}" if base else pointer)

    def names(self, expression: str, source: str = "") -> list[str]:
        """Return the names of the sources that an expression reads, each once."""
        own = [source.partition("/")[0]] if re.search(r"(?:^|[ (])/(?! )", expression) else []
        return list(dict.fromkeys([*own, *re.findall(r"([\w-]+):/", expression)]))

    def _at(self, name: str, pointer: str) -> list[float]:
        if (run := self.runs.get(name)) is not None:
            figure = pointer.strip("/").replace("/", ".")
            if figure not in run:
                raise PanglotError(f"the run {name} has no figure {figure}", hint="add it to figures.toml")
            self.used.add((name, figure))
            return [run[figure]]
        if name not in self.sources:
            raise PanglotError(f"there is no stored result {name!r}", hint="name it in benchmarks/figures/sources.toml")
        found = list(follow(self.read(name), pointer))
        if not found:
            raise PanglotError(f"has nothing at {pointer}", file=self.root / self.sources[name].file)
        return found

    def _read(self, name: str) -> Any:
        pattern = self.sources[name].file
        if pattern.endswith(".toml"):
            from panglot.study import design, report  # heavy, and seldom needed
            from panglot.study.estimates import Results

            study = design.read(self.root / pattern)
            results = Results(replace(study, output=study.file.with_suffix("")))
            return json.loads(json.dumps(report.to_dict(results)))  # tuples become lists, as in a file
        if "*" not in pattern:
            return json.loads((self.root / pattern).read_text("utf-8"))
        before, after = pattern.split("*")
        names = {path: path.relative_to(self.root).as_posix() for path in sorted(self.root.glob(pattern))}
        return {
            each.removeprefix(before).removesuffix(after): json.loads(path.read_text("utf-8"))
            for path, each in names.items()
        }


def follow(value: Any, pointer: str) -> Iterator[float]:
    """Yield the numbers at a JSON pointer (RFC 6901): keys after slashes, in which ``~1`` stands for a slash.

    A key with ``*`` or ``[012]`` takes all that fit, and ``de,en`` takes both. In a list of objects, ``a=1,b=x`` takes
    those with these values. Of differences between ``a`` and ``b``, ``hybrid−mono`` takes the one of these two, in this
    direction. An estimate (an object with ``value`` or ``difference``) stands for its number and its interval. NaN and
    null are left out.

    >>> found = {"values": {"x": 1.0, "y": 2.0}, "differences": [{"a": "x", "b": "y", "interval": [-2.0, -0.5]}]}
    >>> list(follow(found, "/values/*")), list(follow(found, "/differences/y−x/interval"))
    ([1.0, 2.0], [0.5, 2.0])
    """
    if not pointer and isinstance(value, Mapping):
        names = [name for name in ("value", "difference", "interval") if name in value]
        yield from chain.from_iterable(follow(value[name], "") for name in names)
        return
    head, _, rest = pointer.removeprefix("/").partition("/")
    if not head:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, int | float) and not isinstance(each, bool) and math.isfinite(each):
                yield float(each)
        return
    key = head.replace("~1", "/")
    for each in _step(value, key):
        yield from follow(each, rest)


def _step(value: Any, key: str) -> Iterator[Any]:
    if isinstance(value, Mapping):
        patterns = [key] if key in value else key.split(",")
        yield from (value[name] for name in value if any(name == each or fnmatchcase(name, each) for each in patterns))
    elif isinstance(value, list) and not re.search("[=−]", key):
        yield from (each for place, each in enumerate(value) if fnmatchcase(str(place), key))
    elif isinstance(value, list) and "=" in key:
        wanted = [part.split("=", 1) for part in key.split(",")]
        yield from (each for each in value if all(str(each.get(name)) == of for name, of in wanted))
    elif isinstance(value, list) and "−" in key:
        one, other = key.split("−")
        for each in value:
            if (each["a"], each["b"]) == (one, other):
                yield each
            elif (each["a"], each["b"]) == (other, one):
                yield {name: _negative(held) if name in {"difference", "interval"} else held
                       for name, held in each.items()}  # fmt: skip


def _named(text: str) -> tuple[str, str]:
    """Split ``NAME:/pointer`` into the name, which may be missing, and the pointer."""
    name, colon, rest = text.partition(":/")
    return (name, f"/{rest}") if colon and "/" not in name else ("", text)


def _negative(value: Any) -> Any:
    return [-end for end in reversed(value)] if isinstance(value, list) else -value


def _split(text: str, separator: str) -> list[str]:
    """Split a text at a separator outside of parentheses. Groups of the separator are kept."""
    depth = [0]
    for letter in text:
        depth.append(depth[-1] + {"(": 1, ")": -1}.get(letter, 0))
    found, last = [], 0
    for match in re.finditer(separator, text):
        if depth[match.start()] == 0:
            found += [text[last : match.start()], *match.groups()]
            last = match.end()
    return [*found, text[last:]]


def _broadcast(apply: Callable[[float, float], float], one: list[float], other: list[float]) -> Iterator[float]:
    if len(other) == 1:
        other = other * len(one)
    elif len(one) == 1:
        one = one * len(other)
    if len(one) != len(other):
        problem = f"an operator has {len(one)} values before it and {len(other)} after it"
        raise PanglotError(problem, hint="give both sides as many values, or one side a single one")
    return map(apply, one, other)
