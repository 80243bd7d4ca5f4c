"""Sections of text, PDF and reStructuredText files."""

from __future__ import annotations

import io
import logging
import re
import textwrap
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError, first_line
from panglot.data.files import read_bytes, read_text
from panglot.data.language import canonical_or_none
from panglot.data.letters import unspaced_letters
from panglot.data.names import contradicts
from panglot.data.pages.sections import Place, Section, TextPart, sections_of

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


_DIRECTIVE = re.compile(r"\.\. +(?:[\w-]+:)?([\w-]+)::[ \t]*(.*)")
# Directives of Sphinx and its extensions that docutils does not know, and whose content is prose. The argument of those
# in the first line is prose too.
_NOTES = {"seealso", "versionadded", "versionchanged", "versionremoved", "deprecated"}
_PROSE = _NOTES | {
    "attribute", "card", "class", "classmethod", "cmdoption", "confval", "data", "describe", "details", "dropdown",
    "envvar", "exception", "function", "glossary", "grid", "grid-item", "grid-item-card", "method", "object", "only",
    "option", "property", "setting", "staticmethod", "tab", "tab-item", "tab-set", "tabs",
}  # fmt: skip


def rst_sections(path: Path, place: Place) -> Iterator[Section]:
    """Yield the sections of a reStructuredText file without code and markup, by docutils.

    Anchors are targets before a heading, ``.. _anchor:``. The fields ``:lang:`` and ``:url:`` at the head are what the
    file states. Of Sphinx's roles, the text is read. Directives that docutils does not know, such as ``toctree``, are
    left out and counted, except those that hold prose, such as ``versionadded``. No other file is included.

    Raises:
        PanglotError: docutils cannot read the file.
    """
    from docutils import nodes

    parts = [TextPart()]
    try:
        tree = _parsed(read_text(path))
        _walk(tree, parts, 0, place)
    except (PanglotError, MemoryError):
        raise
    except Exception as error:  # docutils raises errors of all kinds for unusual input.
        problem = f"not readable as reStructuredText: {first_line(error)}"
        raise PanglotError(problem, file=path, hint="check it with `docutils`") from error
    docinfo = next(iter(tree.findall(nodes.docinfo)), None)
    fields = docinfo.findall(nodes.field) if docinfo is not None else ()
    metadata = {each[0].astext().lower(): each[1].astext().strip() for each in fields}
    yield from sections_of(parts, {"lang": metadata.get("language", "")} | metadata | {"title": ""}, path, place)


def _parsed(text: str) -> Any:
    from docutils import nodes
    from docutils.core import publish_doctree
    from docutils.parsers.rst import Parser, states

    inliner: Any = states.Inliner()
    known_roles = inliner.interpreted

    def interpreted(rawsource: str, text: str, role: str, lineno: int) -> Any:
        found = known_roles(rawsource, text, role, lineno)
        if not any(isinstance(each, nodes.problematic) for each in found[0]):
            return found
        # A role of Sphinx, such as :ref:`Title <target>`, :class:`~package.Name` and :func:`!name`.
        shown = re.sub(r"\s*<[^<>]*>$", "", nodes.unescape(text))
        shown = shown.rpartition(".")[2] if shown.startswith("~") else shown.removeprefix("!")
        return [nodes.Text(shown)], []

    # docutils builds its patterns from the class itself, so that a subclass would have none.
    inliner.interpreted = interpreted
    settings = {
        # Neither files nor the user's own configuration change what a text says.
        "_disable_config": True, "file_insertion_enabled": False, "raw_enabled": False, "doctitle_xform": False,
        "line_length_limit": 1 << 30, "report_level": 2, "halt_level": 5, "warning_stream": io.StringIO(),
    }  # fmt: skip
    return publish_doctree(text, parser=Parser(inliner=inliner), settings_overrides=settings)


def _walk(node: Any, parts: list[TextPart], level: int, place: Place) -> None:
    """Add the text below a node of docutils to the last part, and a part per section."""
    from docutils import nodes

    for child in node.children:
        if isinstance(child, nodes.system_message):
            _add_unknown(child, parts, level, place)
        elif isinstance(child, nodes.section):
            if "system-messages" not in child["classes"]:
                title = _inline(child[0])
                named = [name for name in child["names"] if name != nodes.fully_normalize_name(title)]
                parts.append(TextPart(level + 1, named[0] if named else "", title))
            _walk(child, parts, level + 1, place)
        elif _is_silent(child, node):
            continue
        elif isinstance(child, nodes.row | nodes.field | nodes.option_list_item):
            inner = [TextPart()]
            _walk(child, inner, level, place)
            parts[-1].lines += [" ".join(inner[0].lines)] if inner[0].lines else []
        elif isinstance(child, nodes.TextElement):
            line = " ".join(_inline(child).split())
            parts[-1].lines += [line] if any(map(str.isalnum, line)) else []
        else:
            _walk(child, parts, level, place)


def _is_silent(node: Any, parent: Any) -> bool:
    """Return whether a node has no text to read, or is a heading that its section has."""
    from docutils import nodes

    if isinstance(node, nodes.title):
        return isinstance(parent, nodes.section)
    code = nodes.literal_block, nodes.doctest_block, nodes.math_block
    silent = isinstance(node, (nodes.Invisible, nodes.docinfo, nodes.image, nodes.label, *code))
    return silent or (isinstance(node, nodes.topic) and "contents" in node["classes"])


def _inline(node: Any) -> str:
    from docutils import nodes

    if isinstance(node, nodes.Text):
        return str(node)
    dropped = (nodes.footnote_reference, nodes.citation_reference, nodes.image, nodes.raw)
    return "" if isinstance(node, dropped) else "".join(map(_inline, node.children))


def _add_unknown(message: Any, parts: list[TextPart], level: int, place: Place) -> None:
    """Add the prose of a directive that docutils did not read, or count it."""
    from docutils import nodes

    for block in message.findall(nodes.literal_block):
        first, _, rest = block.astext().partition("\n")
        directive = _DIRECTIVE.match(first)
        if directive is None:
            place.left_out["blocks of reStructuredText with an error"] += message["level"] > 2
        elif directive[1] not in _PROSE:
            place.left_out["directives of reStructuredText without text, or unknown"] += 1
        else:
            # Options follow the first line. More signatures of a function may be there too.
            body = re.sub(r"\A(?:[ \t]+\S.*\n?)*?(?=[ \t]*\n|\Z)", "", rest) if directive[1] not in _NOTES else rest
            argument = directive[2] if directive[1] in _NOTES and re.search(r"[^\W\d]", directive[2]) else ""
            inner = [TextPart()]
            _walk(_parsed(f"{argument}\n{textwrap.dedent(body)}"), inner, level, place)
            parts[-1].lines += [line for each in inner for line in ([each.title] if each.title else []) + each.lines]
