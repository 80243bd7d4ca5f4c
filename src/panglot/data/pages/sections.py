"""Sections of documents: their language, and which of them are versions of one another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data import names
from panglot.data.language import NO_LANGUAGE, identify

DOUBTFUL = "doubtful"
"""The key of :attr:`Place.detected` under which doubtful detections are counted, beside languages."""


@dataclass(frozen=True)
class Section:
    """A heading and the text up to the next one. Names and titles that are not there are ""."""

    page: str  # name of its page, the same in all languages
    language: str  # canonical code
    anchor: str  # name of the section on the page
    level: int  # of the heading: 1 for a page's title, 0 for text before any heading
    title: str  # the heading
    text: str  # its paragraphs, with line ends between them
    page_title: str
    # Whether it is from a file of translations. Such files hold the source too, so several may hold the same source.
    translated: bool = False
    file: Path = Path()
    number: int = 0  # of the section in its file, from 1
    headings: tuple[str, ...] = ()  # titles of the sections around it, the outermost first
    leaf: int = 0  # number of the page of a PDF
    url: str = ""  # address that the page states


@dataclass(frozen=True)
class Place:
    """Page and language as a path names them, and notes on what was guessed."""

    page: str  # the path without the piece that is a language
    path_language: str  # the code of that piece, or ""
    whole: str  # the path with that piece
    given: str  # the language that the user gave, or ""
    pieces: tuple[tuple[str, str], ...] = ()  # as `names.pieces_of` returns them
    notes: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]], compare=False)
    left_out: Counter[str] = field(default_factory=Counter[str], compare=False)  # what readers leave out, by reason
    # If it is there, a text decides on its language however doubtful it is, and what was detected is counted.
    detected: Counter[str] | None = field(default=None, compare=False)

    def settle(self, path: Path, stated: str = "", text: str = "") -> tuple[str, str]:
        """Return the page's name and its language. ``stated`` is the language that the file itself states."""
        try:
            choice = names.choose(path, text, given=self.given, stated=stated, pieces=self.pieces)
        except PanglotError as error:
            if self.detected is None or self.given:
                raise
            self.detected[DOUBTFUL] += 1
            found = identify(text[: names.LOOKED_AT])
            language = "" if found.language in NO_LANGUAGE else found.language
            choice = names.Choice(language, self.whole, f"{error.problem}, so it was detected", found.confidence)
        if self.detected is not None and choice.confidence is not None:
            self.detected[choice.language or "und"] += 1
            if not (stated or self.pieces):  # That nothing is stated is not worth a note for each page.
                choice = choice._replace(note="")
        if choice.note:
            self.notes.append((path, choice.note))
        return choice.page, choice.language


class Outline:
    """Remember the headings of a page as they come.

    >>> outline = Outline()
    >>> [outline.around(level, title) for level, title in ((1, "Help"), (2, "Print"), (3, "Paper"), (2, "Save"))]
    [(), ('Help',), ('Help', 'Print'), ('Help',)]
    """

    def __init__(self) -> None:
        self._above: list[tuple[int, str]] = []

    def around(self, level: int, title: str) -> tuple[str, ...]:
        """Return the titles of the sections that a heading is in, the outermost first. Level 0 is no heading."""
        if level:
            self._above = [each for each in self._above if each[0] < level]
        found = tuple(title for _, title in self._above if title)
        if level:
            self._above.append((level, title))
        return found


def place_of(path: Path, given: str | None = None) -> Place:
    """Find the language in a path: the part of the file's name or the last folder that is a code.

    >>> place_of(Path("help/de/page.html")).page, place_of(Path("help/page.pt-BR.md")).path_language
    ('help/page.html', 'pt-BR')
    """
    whole = path.as_posix().removesuffix(".gz").removeprefix("./")
    pieces = names.pieces_of(path)
    page, code = pieces[0] if pieces else (whole, "")
    return Place(page, code, whole, given or "", tuple(pieces))


def positions(versions: Mapping[str, Sequence[Section]]) -> dict[str, list[Section]]:
    """Return the versions of each section of one page, by a key.

    ``versions`` are the sections of each language, in the page's order. They are tied by anchor if it occurs in several
    languages, once in each. Otherwise they are tied by place among the versions whose headings have the same levels in
    the same order.
    """
    times = {language: Counter(s.anchor for s in sections) for language, sections in versions.items()}
    known = Counter(anchor for found in times.values() for anchor, number in found.items() if anchor and number == 1)
    shapes: dict[tuple[int, ...], int] = {}
    found: dict[str, list[Section]] = defaultdict(list)
    for language, sections in versions.items():
        shape = shapes.setdefault(tuple(section.level for section in sections), len(shapes))
        # The first shape needs no name: a page in one language, or in versions that agree, has plain numbers.
        apart = f"{shape}." if shape else ""
        for number, section in enumerate(sections, 1):
            if known[section.anchor] > 1 and times[language][section.anchor] == 1:
                found[section.anchor].append(section)
            else:
                found[f"@{apart}{number}"].append(section)
    return found
