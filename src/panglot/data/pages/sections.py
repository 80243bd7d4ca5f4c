"""Sections of documents: their language, and which of them are versions of one another."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from panglot._errors import PanglotError, located
from panglot.data.language import canonical, canonical_or_none

# Three letters in a path name a language only with a script or region, because `man`, `bin` and `doc` are folders.
_CODE = re.compile(r"[a-z]{2}(?:[-_@][A-Za-z]{2,8}){0,2}|[a-z]{3}[-_][A-Za-z]{2,4}")


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


@dataclass(frozen=True)
class Place:
    """Page and language as a path names them."""

    page: str  # the path without the piece that is a language
    path_language: str  # the code of that piece, or ""
    whole: str  # the path with that piece
    given: str  # the language that the user gave, or ""
    other: tuple[tuple[str, str], ...] = ()  # more pieces that could be a language: the path without each, and its code

    def settle(self, path: Path, named: str = "") -> tuple[str, str]:
        """Return the page's name and its language. ``named`` is the language that the file itself names, and wins."""
        code = named or self.path_language or self.given
        if not code:
            hint = "add `--language en`, or put it into the path, as in en/page.html"
            raise PanglotError("the language of this document is not known", file=path, field="language", hint=hint)
        with located(file=path, field="language"):
            language = canonical(code)
        if not named:
            return self.page, language
        # If the file is in another language than a piece of its path, that piece is part of a name: de/import_ms.html.
        pieces = ((self.page, self.path_language), *self.other)
        agree = (page for page, piece in pieces if piece and _base(canonical(piece)) == _base(language))
        return next(agree, self.whole), language


def place_of(path: Path, given: str | None = None) -> Place:
    """Find the language in a path: the part of the file's name or the last folder that is a code.

    >>> place_of(Path("help/de/page.html")).page, place_of(Path("help/page.pt-BR.md")).path_language
    ('help/page.html', 'pt-BR')
    """
    whole = path.as_posix().removesuffix(".gz").removeprefix("./")
    stem, dot, ending = path.name.removesuffix(".gz").rpartition(".")
    folder = path.parent.parts
    pieces: list[tuple[str, str]] = []
    for mark in (".", "_"):
        base, found, code = stem.rpartition(mark)
        if found and base and _is_code(code):
            pieces.append((Path(*folder, base + dot + ending).as_posix(), code))
    if _is_code(stem) and ending in ("po", "xlf", "xliff"):
        pieces.append((Path(*folder, dot + ending).as_posix(), stem))
    for number in range(len(folder) - 1, -1, -1):
        if _is_code(folder[number]):
            rest = (*folder[:number], *folder[number + 1 :], stem + dot + ending)
            pieces.append((Path(*rest).as_posix(), folder[number]))
    page, code = pieces[0] if pieces else (whole, "")
    return Place(page, code, whole, given or "", tuple(pieces[1:]))


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


def _is_code(piece: str) -> bool:
    return bool(_CODE.fullmatch(piece) and canonical_or_none(piece))


def _base(code: str) -> str:
    return code.split("-", 1)[0]
