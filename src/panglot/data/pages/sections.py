"""Sections of documents: their language, and which of them are versions of one another. Those of text and PDF files."""

from __future__ import annotations

import io
import logging
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError, first_line
from panglot.data import names
from panglot.data.files import read_bytes, read_text
from panglot.data.language import NO_LANGUAGE, canonical_or_none, identify
from panglot.data.letters import unspaced_letters
from panglot.data.names import contradicts

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


@dataclass
class TextPart:
    """A heading of a file of text with markup, and the lines up to the next one."""

    level: int = 0
    anchor: str = ""
    title: str = ""
    lines: list[str] = field(default_factory=list[str])


def sections_of(parts: Sequence[TextPart], metadata: Mapping[str, str], path: Path, place: Place) -> Iterator[Section]:
    """Yield the parts that have text, given the ``metadata`` of the file.

    That is ``lang``, ``title``, ``url``, and ``group``, which Hugo calls ``translationKey``.
    """
    whole = " ".join(line for each in parts for line in (each.title, *each.lines))
    page, language = place.settle(path, metadata.get("lang", ""), whole)
    top = metadata.get("title") or next((part.title for part in parts if part.level == 1), "")
    outline, url = Outline(), metadata.get("url") or metadata.get("permalink") or ""
    group = metadata.get("group") or metadata.get("translationKey") or metadata.get("translationkey") or ""
    for part in parts:
        around = outline.around(part.level, part.title)
        if part.lines:
            title = part.title or ("" if part.level else metadata.get("title", ""))
            text = "\n".join(part.lines)
            yield Section(
                page, language, part.anchor, part.level, title, text, top, headings=around, url=url, group=group
            )


def place_of(path: Path, given: str | None = None, root: Path | None = None) -> Place:
    """Find the language in a path: the part of the file's name or the last folder that is a code.

    >>> place_of(Path("help/de/page.html")).page, place_of(Path("help/page.pt-BR.md")).pieces
    ('help/page.html', (('help/page.md', 'pt-BR'),))
    """
    whole = path.as_posix().removesuffix(".gz").removeprefix("./")
    pieces = names.pieces_of(path, root)
    page = pieces[0][0] if pieces else whole
    return Place(page, whole, given or "", tuple(pieces), root)


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


# Lines of less are verse, lists or tables, whose ends mean something.
_WIDE = 40
# Letters of a printed line differ in width, so that a full line may have fewer of them than the longest.
_PRINTED = 0.8
_ITEM = re.compile(r"(?:[-*+•‣▪◦·–—]|\(?(?:\d{1,3}|[A-Za-z])[.)])\s")
# Letters and ligatures as they are printed, which a search for the text would not match.
_FORMS = re.compile("[\ufb00-\ufb06\ufb13-\ufb17\ufb50-\ufdfb\ufe70-\ufefc]+")
# What a PDF gives for glyphs without a character: control characters, halves of surrogate pairs, non-characters.
_NO_LETTER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffd-\uffff]")
_RIGHT_TO_LEFT = re.compile("[\u05d0-\u05ea\u0620-\u064a\u066e-\u06d3\u06fa-\u06ff\u0750-\u077f]+")
_BEGINS_WITH_STOP = re.compile(rf"^[.!?؟۔]\s*{_RIGHT_TO_LEFT.pattern}")
_ENDS_WITH_STOP = re.compile(rf"{_RIGHT_TO_LEFT.pattern}[.!?؟۔]$")
# Letters that stand only at the end of a word in Hebrew, Arabic, Persian or Urdu, or hardly ever there.
_LAST, _FIRST = frozenset("ךםןףץةىےں"), frozenset("إآ")
_FEWEST, _SHARE = 3, 0.05  # Words or lines that show the order, and the least share of words.
# Programs write the name of a file where the title of the document belongs.
_FILE_NAME = re.compile(r"(?i)^microsoft \w+ - |\.(?:docx?|odt|pptx?|xlsx?|indd|tex|dvi|pdf|html?)$|^untitled|^\W*$")


def text_section(path: Path, place: Place) -> Iterator[Section]:
    """Yield the one section of a text file. Lines that were wrapped are joined, and a file has no title."""
    found = unwrapped(read_text(path))
    page, language = place.settle(path, "", found)
    yield Section(page, language, "", 0, "", found, "")


def pdf_sections(path: Path, place: Place) -> Iterator[Section]:
    """Yield a section per page of a PDF with text, by pypdf. The document's title heads them all.

    The language that the file states counts if the text does not contradict it, because programs often state their
    own. Pages without text, which are scans mostly, and glyphs without a character are left out and counted.

    Raises:
        PanglotError: The file is not a PDF, is damaged, needs a password, or has no text on any page.
    """
    title, stated, pages = _read_pdf(path, place)
    whole = "\n".join(each for each in pages if each)
    if not whole:
        hint = "make a text layer by OCR, such as ocrmypdf"
        raise PanglotError("the PDF has no text, so it is a scan or a picture", file=path, hint=hint)
    place.left_out["pages of PDF without text"] += sum(not each for each in pages)
    page, language = place.settle(path, "" if not stated or contradicts(whole, stated) else stated, whole)
    for number, each in enumerate(pages, 1):
        if each:
            yield Section(page, language, "", 0, title, each, title, leaf=number)


def _read_pdf(path: Path, place: Place) -> tuple[str, str, list[str]]:
    """Return the title, the language that the file states, and the text of each page."""
    import pypdf

    # What it notes of small faults is of no use to the reader of a page.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    content = read_bytes(path)
    locked = False
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        locked = reader.is_encrypted and not reader.decrypt("")
        metadata: Any = reader.metadata
        title = " ".join(str((metadata and metadata.title) or "").split())
        catalog: Any = reader.trailer["/Root"]
        stated = canonical_or_none(str(catalog.get("/Lang") or "")) or ""
        raw_pages = [each.extract_text() or "" for each in reader.pages]
    except Exception as error:  # pypdf raises errors of all kinds for damaged files.
        problem = "the PDF needs a password" if locked else f"not a readable PDF: {first_line(error)}"
        hint = "save it without one" if locked else "save or fetch it again"
        raise PanglotError(problem, file=path, hint=hint) from error
    pages = [_page_text(each, place) for each in raw_pages]
    if problem := _visual_order("\n".join(pages)):
        hint = "extract the text with another program, such as pdftotext, or index what the PDF was made from"
        place.notes.append((path, f"{problem}. Fix: {hint}"))
    return "" if _FILE_NAME.search(title) else title, stated, [unwrapped(each, printed=True) for each in pages]


def _page_text(raw: str, place: Place) -> str:
    found, lost = _NO_LETTER.subn("", raw.replace("\r\n", "\n"))
    place.left_out["glyphs of PDF that stand for no character"] += lost
    return _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), found)


def _visual_order(text: str) -> str:
    """Return what a text in Hebrew or Arabic letters seems to have in the order in which it is seen, or "".

    PDF files draw glyphs at places and do not say in which order they are read. Letters are in reverse order if words
    begin with letters that only end words, or end with the Arabic article. Words may be if full stops begin lines.

    >>> [_visual_order(text) for text in ("בוחרים תאים ועמודים.", "םירחוב םיאתו םידומע .")]
    ['', 'the letters of its words are in reverse order']
    """
    plain = "".join(letter for letter in text if unicodedata.category(letter) != "Mn")
    words = [word for word in _RIGHT_TO_LEFT.findall(plain) if len(word) > 3]
    ahead = sum(word[-1] in _LAST or word[0] in _FIRST or word.startswith("ال") for word in words)
    back = sum(word[0] in _LAST or word[-1] in _FIRST or word.endswith("لا") for word in words)
    if back >= _FEWEST and back > 3 * ahead and back > _SHARE * len(words):
        return "the letters of its words are in reverse order"
    lines = [line.strip() for line in plain.splitlines()]
    first, last = (sum(map(bool, map(part.search, lines))) for part in (_BEGINS_WITH_STOP, _ENDS_WITH_STOP))
    moved = first >= _FEWEST and first > 3 * last
    return "full stops begin its lines, so the words may be in reverse order" if moved else ""


def unwrapped(text: str, *, printed: bool = False) -> str:
    r"""Return a text with one line per paragraph.

    A line was wrapped if the first word of the next one would not have fit into the width of the paragraph. Blank
    lines and items of lists begin a paragraph. ``printed`` lines are less even, and break words with hyphens.

    >>> unwrapped("Puffins nest in burrows that they dig into\ngrassy cliffs.\n\n- one\n- two")
    'Puffins nest in burrows that they dig into grassy cliffs.\n- one\n- two'
    """
    paragraphs: list[str] = []
    for block in re.split(r"\n[^\S\n]*\n", text):
        lines = [line for each in block.splitlines() if (line := " ".join(each.replace("\xad", "").split()))]
        width = max(map(len, lines), default=0) * (_PRINTED if printed else 1)
        paragraphs += lines[:1]
        for before, line in pairwise(lines):
            if _is_wrapped(before, line, width):
                paragraphs[-1] = _joined(paragraphs[-1], line, printed=printed)
            else:
                paragraphs.append(line)
    return "\n".join(paragraphs)


def _is_wrapped(before: str, line: str, width: float) -> bool:
    first = 1 if _joins(line[0]) else len(line.partition(" ")[0])
    return width >= _WIDE and len(before) + 1 + first > width and not _ITEM.match(line)


def _joined(before: str, line: str, *, printed: bool) -> str:
    if before.endswith("-"):
        broken = printed and before[-2:-1].isalpha() and line[0].islower()
        return (before[:-1] if broken else before) + line
    return before + ("" if _joins(before[-1]) and _joins(line[0]) else " ") + line


def _joins(letter: str) -> bool:
    """Return whether no blank belongs beside a letter: scripts without blanks between words, and their punctuation."""
    wide = "\u3000" <= letter <= "\u303f" or "\uff00" <= letter <= "\uffef"
    return wide or unspaced_letters().match(letter) is not None
