"""Read the figures that a page of the documentation states: each number with its line and its place in a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
#: Numbers in these are names or dates. They are blanked out, so that columns stay the same.
_NAMES = re.compile(
    "|".join((
        r"`[^`]*`",  # code
        r"\]\([^)]*\)",  # where a link leads
        rf"\b(?:{_MONTHS}) \d{{1,2}}(?:, \d{{4}})?\b",
        r"\b\d{4}\.\d{5}\b",  # a paper on arXiv
        r"(?:\bPython )?\b\d+\.\d+\.\d+\b|\bPython \d+\.\d+\b",  # a version
        r"\b\d\d:\d\d\b",  # a time of day
        r"^\s*\d+\. ",  # an item of a list
    ))
)  # fmt: skip
#: A number as these pages print it. A digit beside a letter belongs to a name, such as XLM-R or bf16.
_FIGURE = r"[-+−±]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:e-\d+)?"
NUMBER = re.compile(rf"(?<![\w.@,])(?<!\w-){_FIGURE}(?!\w)(?!-[a-z])(?!\.\d)")


@dataclass(frozen=True)
class PageFigure:
    """A number on a page, with its ``line`` (from 1), its columns ``start`` to ``end`` (from 0) and how it is printed.

    ``below`` says that it is a bound, such as .001 in "p < .001".
    """

    line: int
    start: int
    end: int
    printed: str
    below: bool = False

    @property
    def value(self) -> float:
        """The number."""
        return float(self.printed.replace("−", "-").replace(",", "").lstrip("±"))

    @property
    def step(self) -> float:
        """One unit of the last digit.

        >>> PageFigure(1, 0, 0, ".7996").step, PageFigure(1, 0, 0, "1,210").step, PageFigure(1, 0, 0, "2e-6").step
        (0.0001, 1.0, 1e-06)
        """
        digits, _, exponent = self.printed.partition("e")
        return float(f"1e{int(exponent or 0) - len(digits.partition('.')[2])}")

    def agrees(self, found: float) -> bool:
        """Return whether a value, rounded to the digits printed, is this number, or less than a bound.

        >>> PageFigure(1, 0, 0, ".80").agrees(0.7951), PageFigure(1, 0, 0, ".80").agrees(0.7949)
        (True, False)
        """
        if self.below:
            return found < self.value
        return abs(found - self.value) <= self.step * (0.5 + 1e-6)


@dataclass(frozen=True)
class Section:
    """The lines from a heading to the next one, from ``first`` (from 1) to before ``end``."""

    title: str
    first: int
    end: int


class Page:
    """A page of Markdown: its lines, its sections, the rows of its tables and its figures.

    Code spans, links, dates, versions and blocks of code in a language have no figures. A block without a language is
    the output of a command and has some. Numbers in words, such as "three", are no figures.
    """

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self.plain = _plain(self.lines)
        heads = [(number, line) for number, line in enumerate(self.plain, 1) if re.match("#+ ", line)]
        bounds = [*(number for number, _ in heads), len(self.lines) + 1]
        titles = [self.lines[number - 1].lstrip("#").strip() for number, _ in heads]
        self.sections = [Section(title, *ends) for title, ends in zip(titles, pairwise(bounds), strict=True)]
        self._of_line = {number: list(_figures(number, line)) for number, line in enumerate(self.plain, 1)}
        self.figures = [figure for figures in self._of_line.values() for figure in figures]

    def section(self, title: str) -> Section | None:
        """Return the section with a title, or None."""
        return next((each for each in self.sections if each.title == title), None)

    def tables(self, section: Section) -> list[list[int]]:
        """Return the numbers of the lines of each table in a section, without its head."""
        found: list[list[int]] = []
        inside = False
        for number in range(section.first, section.end):
            row = self.plain[number - 1].startswith("|")
            if row and not inside:
                found.append([])
            if row:
                found[-1].append(number)
            inside = row
        return [lines[2:] for lines in found]

    def cells(self, number: int) -> list[list[PageFigure]]:
        """Return the figures of each cell of a line of a table."""
        line = self.plain[number - 1]
        bars = [place for place, letter in enumerate(line) if letter == "|"]
        return [self.between(number, *ends) for ends in pairwise(bars)]

    def between(self, number: int, start: int, end: int) -> list[PageFigure]:
        """Return the figures of a line that begin in its columns from ``start`` to before ``end``."""
        return [each for each in self._of_line.get(number, ()) if start <= each.start < end]

    def context(self, figure: PageFigure, width: int = 30) -> str:
        """Return the text around a figure."""
        line = self.lines[figure.line - 1]
        return line[max(0, figure.start - width) : figure.end + width].strip()


def _plain(lines: list[str]) -> list[str]:
    """Return the lines with code, links, dates and versions blanked out."""
    found: list[str] = []
    fence = ""
    for line in lines:
        if line.startswith("```"):
            fence = "" if fence else (line[3:].strip() or "output")
            found.append("")
        elif fence:
            found.append(line if fence == "output" else "")
        else:
            found.append(_NAMES.sub(lambda match: " " * len(match[0]), line))
    return found


def _figures(number: int, line: str) -> Iterator[PageFigure]:
    for match in NUMBER.finditer(line):
        yield PageFigure(number, match.start(), match.end(), match[0], line[: match.start()].endswith("< "))
