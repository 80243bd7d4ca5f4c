"""Sections of HTML pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError
from panglot.data.files import read_bytes
from panglot.data.pages.sections import Place, Section

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
# Parts that every page has, or that are not text.
_SKIPPED = {"script", "style", "nav", "header", "footer", "aside", "template", "noscript", "svg", "select", "button"}
_BLOCKS = {"p", "div", "li", "dd", "dt", "td", "th", "tr", "pre", "blockquote", "section", "article", "main", "br",
           "ul", "ol", "dl", "table", "figure", "figcaption", "body"}  # fmt: skip
# LibreOffice's help: after these classes, a section is a list of links.
_LINKS_FOLLOW = {"relatedtopics", "related"}
# LibreOffice's help hides all alternatives until a script knows module and system. Those of modules are text, and so
# is the default.
_MODULES = {"BASE", "CALC", "CHART", "DRAW", "IMPRESS", "MATH", "WRITER"}
_DEFAULT = "default"
# Marks the end of a block, which a line end in the source does not.
_BREAK = "\x1e"
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)


@dataclass
class _Part:
    level: int = 0
    anchor: str = ""
    title: str = ""
    text: str = ""


def sections(path: Path, place: Place) -> Iterator[Section]:
    """Yield a page's sections.

    ``<html lang>`` names the language. The ``id`` of a heading or of its section is the anchor. Navigation, scripts,
    page headers and hidden parts are left out. Text is decoded as the page declares, by default as UTF-8.
    """
    page = _Page()
    language = page.read(_decoded(path))
    name, language = place.settle(path, language)
    top = next((_line(part.title) for part in page.parts if part.level == 1), page.title)
    for part in page.parts:
        if text := _text(part.text):
            title = _line(part.title) or ("" if part.level else page.title)
            yield Section(name, language, part.anchor, part.level, title, text, top)


@dataclass
class _Page:
    """Collect the parts of a page from its tree."""

    title: str = ""
    parts: list[_Part] = field(default_factory=lambda: [_Part()])
    _in_heading: bool = False
    _section_id: str = ""
    _ended: bool = False

    def read(self, text: str) -> str:
        """Read a page and return its language, "" if it names none."""
        from lxml import etree, html  # pyright: ignore[reportAttributeAccessIssue]

        try:
            # As bytes: lxml refuses text that begins with an XML declaration, as XHTML does.
            root: Any = html.document_fromstring(text.encode(), parser=html.HTMLParser(encoding="utf-8"))
        except etree.ParserError:  # no element at all
            return ""
        self._walk(root)
        return root.get("lang") or root.get("xml:lang") or ""

    def _walk(self, element: Any) -> None:
        tag = element.tag
        # Comments and processing instructions have a function for a tag.
        if not isinstance(tag, str) or tag in _SKIPPED or _is_hidden(element):
            return
        if tag == "title":
            self.title = _line(element.text_content())
            return
        if _LINKS_FOLLOW & set(element.get("class", "").split()):
            self._ended = True
        if tag in _HEADINGS:
            self.parts.append(_Part(_HEADINGS[tag], element.get("id") or self._section_id))
            self._ended, self._in_heading, self._section_id = False, True, ""
        elif tag in ("section", "article", "div"):
            self._section_id = element.get("id", "")
        elif tag == "a" and self._in_heading and not self.parts[-1].anchor:
            self.parts[-1].anchor = element.get("name") or element.get("id") or ""
        breaks = _BREAK if tag in _BLOCKS and not self._in_heading else ""
        self._add(breaks + (element.text or ""))
        for child in element:
            self._walk(child)
            self._add(child.tail or "")
        self._in_heading = self._in_heading and tag not in _HEADINGS
        self._add(breaks)

    def _add(self, text: str) -> None:
        if self._in_heading:
            self.parts[-1].title += text
        elif not self._ended:
            self.parts[-1].text += text


def _is_hidden(element: Any) -> bool:
    return "hidden" in element.attrib and not (
        _MODULES & set(element.get("class", "").split()) or element.get("id", "").startswith(_DEFAULT)
    )


def _line(text: str) -> str:
    return " ".join(text.replace("¶", " ").split())


def _text(text: str) -> str:
    return "\n".join(line for line in (" ".join(piece.split()) for piece in text.split(_BREAK)) if line)


def _decoded(path: Path) -> str:
    raw = read_bytes(path)
    declared = _CHARSET.search(raw[:4096])
    charset = declared[1].decode("ascii") if declared else "utf-8"
    try:
        return raw.decode(charset)
    except (UnicodeDecodeError, LookupError) as error:
        hint = "save it as UTF-8, and declare that in the page"
        raise PanglotError(f"not {charset}: {error}", file=path, hint=hint) from error
