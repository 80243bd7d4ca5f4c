"""Sections of documents: their language, and which of them are versions of one another."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from panglot._errors import PanglotError
from panglot.data import names
from panglot.data.columns import DisjointSets
from panglot.data.files import TABLES, ending_of
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
    group: str = ""  # what the page says that its versions share
    alternates: tuple[str, ...] = ()  # links of the page to its versions
    name: str = ""  # the id of a row of a table, if every row has one of its own
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False)  # further fields of the row


@dataclass(frozen=True)
class Place:
    """Page and language as a path names them, and notes on what was guessed."""

    page: str  # the path without the piece that is a language
    whole: str  # the path with that piece
    given: str  # the language that the user gave, or ""
    pieces: tuple[tuple[str, str], ...] = ()  # as `names.pieces_of` returns them
    root: Path | None = None  # the folder that all documents are in
    notes: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]], compare=False)
    left_out: Counter[str] = field(default_factory=Counter[str], compare=False)  # what readers leave out, by reason
    # If it is there, a text decides on its language however doubtful it is, and what was detected is counted.
    detected: Counter[str] | None = field(default=None, compare=False)

    def settle(self, path: Path, stated: str = "", text: str = "") -> tuple[str, str]:
        """Return the page's name and its language. ``stated`` is the language that the file itself states."""
        try:
            choice = names.choose(path, text, given=self.given, stated=stated, pieces=self.pieces, root=self.root)
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


@dataclass
class TextPart:
    """A heading of a file of text with markup, and the lines up to the next one."""

    level: int = 0
    anchor: str = ""
    title: str = ""
    lines: list[str] = field(default_factory=list[str])


def sections_of(
    parts: Sequence[TextPart], metadata: Mapping[str, str], path: Path, place: Place, top: str = "",
    alternates: tuple[str, ...] = (),
) -> Iterator[Section]:  # fmt: skip
    """Yield the parts that have text, given the ``metadata`` of the file.

    That is ``lang``, ``title``, ``url``, and ``group``, which Hugo calls ``translationKey``. The title of the page is
    ``top``, or by default that of the metadata.
    """
    whole = " ".join(line for each in parts for line in (each.title, *each.lines))
    page, language = place.settle(path, metadata.get("lang", ""), whole)
    top = top or metadata.get("title") or next((part.title for part in parts if part.level == 1), "")
    url = metadata.get("url") or metadata.get("permalink") or ""
    group = metadata.get("group") or metadata.get("translationKey") or metadata.get("translationkey") or ""
    above: list[TextPart] = []  # the headings that the part is below
    for part in parts:
        if part.level:
            above = [each for each in above if each.level < part.level]
        around = tuple(each.title for each in above if each.title)
        if part.level:
            above.append(part)
        if part.lines:
            title = part.title or ("" if part.level else metadata.get("title", ""))
            text = "\n".join(part.lines)
            yield Section(
                page, language, part.anchor, part.level, title, text, top, headings=around, url=url, group=group,
                alternates=alternates,
            )  # fmt: skip


def place_of(path: Path, given: str | None = None, root: Path | None = None) -> Place:
    """Find the language in a path: the part of the file's name or the last folder that is a code.

    >>> place_of(Path("help/de/page.html")).page, place_of(Path("help/page.pt-BR.md")).pieces
    ('help/page.html', (('help/page.md', 'pt-BR'),))
    """
    whole = path.as_posix().removesuffix(".gz").removeprefix("./")
    pieces = names.pieces_of(path, root)
    page = pieces[0][0] if pieces else whole
    return Place(page, whole, given or "", tuple(pieces), root)


def tie(found: Sequence[Section], roots: Iterable[Path]) -> tuple[dict[str, list[Section]], int]:
    """Return the versions of each section by the name of their group.

    The number behind them is that of the pages that declare to be versions of each other, and cannot be. ``roots`` are
    the paths that were read.
    """
    joined, refused = _join_declared(found, roots)
    pages: dict[str, dict[str, list[Section]]] = defaultdict(lambda: defaultdict(list))
    for section in _once(joined):
        pages[section.page][section.language].append(section)
    groups: dict[str, list[Section]] = defaultdict(list)
    # A group's name must not depend on where the documents are on this machine.
    shared = os.path.commonpath([Path(page).parent for page in pages]) if pages else ""
    for page, versions in pages.items():
        name = Path(page).relative_to(shared).as_posix()
        # Rows of a table are translations only if it says so: rows of two languages may have equal numbers by chance.
        by_key = _by_group if ending_of(Path(page)) in (*TABLES, "json") else _by_position
        for key, members in by_key(versions).items():
            groups[f"{name}#{key}"] += members
    return groups, refused


def _join_declared(found: Sequence[Section], roots: Iterable[Path]) -> tuple[list[Section], int]:
    """Give pages that declare to be versions of each other one name, and return the number of pages that cannot be.

    Pages whose paths differ only in the language need to say nothing. Those with translated names, such as
    ``guide.html`` and ``leitfaden.html``, can be tied only by what they declare.

    Pages are joined if they name the same ``group``, or if each links to the other by ``<link rel="alternate"
    hreflang>``. One link alone does not count, because templates link every page to the start page of a language. Two
    pages in one language are no versions, so a set with them is left as it is.

    Args:
        found: The sections of all pages.
        roots: The folders that were read, which are where ``/`` of a link may begin.
    """
    pages = {section.page: section for section in reversed(found)}
    known = {_normal(section.url): section.page for section in found if section.url}
    known |= {os.path.normpath(section.file): section.page for section in found}
    folders = [root for root in roots if root.is_dir()]
    sets = DisjointSets[str]()
    groups: dict[str, list[str]] = defaultdict(list)
    links: set[tuple[str, str]] = set()
    for section in found:
        if section.group:
            groups[section.group].append(section.page)
        for link in section.alternates:
            there = next((known[each] for each in _places(link, section.file, folders) if each in known), section.page)
            links.add((section.page, there))
    for members in groups.values():
        sets.join(members)
    for here, there in sorted(links):
        if here != there and (there, here) in links:
            sets.join([here, there])
    languages: dict[str, Counter[str]] = defaultdict(Counter)
    for page, language in dict.fromkeys((section.page, section.language) for section in found):
        languages[sets.first(page)][language] += 1
    refused = {page for page in pages if max(languages[sets.first(page)].values()) > 1}
    return [s if s.page in refused else replace(s, page=sets.first(s.page)) for s in found], len(refused)


def _normal(address: str) -> str:
    """Return an address without what does not name another page.

    >>> _normal("https://example.org/de/leitfaden/#start")
    'https://example.org/de/leitfaden'
    """
    return address.partition("#")[0].rstrip("/")


def _places(link: str, file: Path, roots: Iterable[Path]) -> Iterator[str]:
    """Yield what a link may mean: the address of a page, or the path of a file."""
    yield _normal(link)
    parts = urlsplit(link)
    path = unquote(parts.path)
    bases = roots if parts.netloc or path.startswith("/") else [file.parent]
    for base in bases:
        place = os.path.normpath(base / path.lstrip("/"))
        yield from (place, f"{place}.html", os.path.join(place, "index.html"))  # noqa: PTH118  (as normpath has it)


def _once(found: Sequence[Section]) -> list[Section]:
    """Return the sections, with the source of several translations only once.

    Files that are translated to different degrees give different parts of a source. The longest is kept.
    """
    longest: dict[tuple[str, str, str], Section] = {}
    for section in found:
        if section.translated:
            known = longest.setdefault((section.page, section.language, section.anchor), section)
            if len(section.text) > len(known.text):
                longest[section.page, section.language, section.anchor] = section
    kept = set(map(id, longest.values()))
    return [section for section in found if not section.translated or id(section) in kept]


def _by_position(versions: Mapping[str, Sequence[Section]]) -> dict[str, list[Section]]:
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


def _by_group(versions: Mapping[str, Sequence[Section]]) -> dict[str, list[Section]]:
    """Return the rows of a table by group. A row without a group, or not alone in it and its language, stays alone."""
    found: dict[str, list[Section]] = defaultdict(list)
    for language, sections in versions.items():
        times = Counter(section.anchor for section in sections)
        for number, section in enumerate(sections, 1):
            alone = not section.anchor or times[section.anchor] > 1
            found[f"@{language}.{number}" if alone else section.anchor].append(section)
    return found
