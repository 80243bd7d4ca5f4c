"""Sections of plain text and of PDF files, with one line per paragraph."""

from __future__ import annotations

import io
import logging
import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError, first_line
from panglot.data.files import read_bytes, read_text
from panglot.data.language import canonical_or_none, unspaced_letters
from panglot.data.names import contradicts
from panglot.data.pages.sections import Place, Section

# Lines of less are verse, lists or tables, whose ends mean something.
_WIDE = 40
# Letters of a printed line differ in width, so that a full line may have fewer of them than the longest.
_PRINTED = 0.8
_ITEM = re.compile(r"(?:[-*+•‣▪◦·–—]|\(?(?:\d{1,3}|[A-Za-z])[.)])\s")
# Letters and ligatures as they are printed, which a search for the text would not match.
_FORMS = re.compile("[\ufb00-\ufb06\ufb13-\ufb17\ufb50-\ufdfb\ufe70-\ufefc]+")
# What a PDF gives for glyphs without a character: control characters, halves of surrogate pairs, non-characters.
_NO_LETTER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffd-\uffff]")
# Programs write the name of a file where the title of the document belongs.
_FILE_NAME = re.compile(r"(?i)^microsoft \w+ - |\.(?:docx?|odt|pptx?|xlsx?|indd|tex|dvi|pdf|html?)$|^untitled|^\W*$")


def text(path: Path, place: Place) -> Iterator[Section]:
    """Yield the one section of a text file. Lines that were wrapped are joined, and a file has no title."""
    found = unwrapped(read_text(path))
    page, language = place.settle(path, "", found)
    yield Section(page, language, "", 0, "", found, "")


def pdf(path: Path, place: Place) -> Iterator[Section]:
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
    raw = read_bytes(path)
    locked = False
    try:
        reader = pypdf.PdfReader(io.BytesIO(raw))
        locked = reader.is_encrypted and not reader.decrypt("")
        about: Any = reader.metadata
        title = " ".join(str((about and about.title) or "").split())
        catalog: Any = reader.trailer["/Root"]
        stated = canonical_or_none(str(catalog.get("/Lang") or "")) or ""
        pages = [_page_text(each.extract_text() or "", place) for each in reader.pages]
    except Exception as error:  # pypdf raises errors of all kinds for damaged files.
        problem = "the PDF needs a password" if locked else f"not a readable PDF: {first_line(error)}"
        hint = "save it without one" if locked else "save or fetch it again"
        raise PanglotError(problem, file=path, hint=hint) from error
    return "" if _FILE_NAME.search(title) else title, stated, pages


def _page_text(raw: str, place: Place) -> str:
    found, lost = _NO_LETTER.subn("", raw.replace("\r\n", "\n"))
    place.left_out["glyphs of PDF that stand for no character"] += lost
    found = _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), found)
    return unwrapped(found, printed=True)


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
