"""Sections of HTML pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data.files import read_bytes
from panglot.data.pages.sections import Place, Section

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
# What is on every page, or is no text.
_SKIPPED = {"script", "style", "nav", "header", "footer", "aside", "template", "noscript", "svg", "select", "button"}
_BLOCKS = {"p", "div", "li", "dd", "dt", "td", "th", "tr", "pre", "blockquote", "section", "article", "main", "br",
           "ul", "ol", "dl", "table", "figure", "figcaption", "body"}  # fmt: skip
# Elements without an end.
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
# What follows in a section is a list of links, in LibreOffice's help.
_LINKS_FOLLOW = {"relatedtopics", "related"}
# It hides all alternatives until a script knows system and module: those of modules, and the usual one, are text.
_MODULES = {"BASE", "CALC", "CHART", "DRAW", "IMPRESS", "MATH", "WRITER"}
_USUAL = "default"
# Stands for the end of a block, which a line end in the source is not.
_BREAK = "\x1e"
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)


def sections(path: Path, place: Place) -> Iterator[Section]:
    """Yield a page's sections; ``<html lang>`` tells the language, ``id`` of a heading or its section the anchor.

    Navigation, scripts, page headers and what is hidden are left out. Text is decoded as the page says, as UTF-8 if it
    says nothing.

    Raises:
        PanglotError: The file cannot be read or decoded, or nobody tells its language.
    """
    parser = _Parser()
    parser.feed(_decoded(path))
    parser.close()
    page, language = place.settle(path, parser.language)
    top = next((title for level, _, title, _ in parser.found() if level == 1), parser.title)
    for level, anchor, title, text in parser.found():
        if text:
            yield Section(page, language, anchor, level, title or (parser.title if level == 0 else ""), text, top)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.language = self.title = ""
        self._parts: list[tuple[int, str, list[str], list[str]]] = [(0, "", [], [])]
        self._skipped: list[str] = []
        self._heading = self._in_title = False
        self._section_id = ""
        self._ended = False

    def found(self) -> list[tuple[int, str, str, str]]:
        """Return ``(level, anchor, title, text)`` of each section, in the page's order."""
        return [
            (level, anchor, _line("".join(title)), _text("".join(text))) for level, anchor, title, text in self._parts
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if tag == "html":
            self.language = given.get("lang") or given.get("xml:lang") or ""
        if tag not in _VOID and (tag in _SKIPPED or tag in self._skipped or _is_no_text(given)):
            self._skipped.append(tag)
        if self._skipped:
            return
        if set(given.get("class", "").split()) & _LINKS_FOLLOW:
            self._ended = True
        if tag == "title":
            self._in_title = True
        elif tag in _HEADINGS:
            self._ended = False
            self._parts.append((_HEADINGS[tag], given.get("id") or self._section_id, [], []))
            self._heading, self._section_id = True, ""
        elif tag in ("section", "article", "div"):
            self._section_id = given.get("id", "")
        elif tag == "a" and self._heading and not self._parts[-1][1] and (given.get("name") or given.get("id")):
            level, _, title, text = self._parts[-1]
            self._parts[-1] = (level, given.get("name") or given.get("id") or "", title, text)
        if tag in _BLOCKS and not self._heading:
            self._parts[-1][3].append(_BREAK)

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if tag in self._skipped:
                del self._skipped[len(self._skipped) - 1 - self._skipped[::-1].index(tag) :]
            return
        if tag == "title":
            self._in_title = False
        elif tag in _HEADINGS:
            self._heading = False
        elif tag in _BLOCKS and not self._heading:
            self._parts[-1][3].append(_BREAK)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title = _line(self.title + data)
        elif not self._skipped and not self._ended:
            _, _, title, text = self._parts[-1]
            (title if self._heading else text).append(data)


def _is_no_text(given: dict[str, str]) -> bool:
    classes = set(given.get("class", "").split())
    return "hidden" in given and not classes & _MODULES and not given.get("id", "").startswith(_USUAL)


def _line(text: str) -> str:
    return " ".join(text.replace("¶", " ").split())


def _text(text: str) -> str:
    return "\n".join(line for line in (" ".join(piece.split()) for piece in text.split(_BREAK)) if line)


def _decoded(path: Path) -> str:
    raw = read_bytes(path)
    told = _CHARSET.search(raw[:4096])
    charset = told[1].decode("ascii") if told else "utf-8"
    try:
        return raw.decode(charset)
    except (UnicodeDecodeError, LookupError) as error:
        raise PanglotError(
            f"not {charset}: {error}", file=path, hint="save it as UTF-8, and say so in the page"
        ) from error
