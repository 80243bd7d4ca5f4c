"""Sections of Markdown files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from panglot.data.files import read_text
from panglot.data.pages import html
from panglot.data.pages.sections import Outline, Place, Section

if TYPE_CHECKING:
    from markdown_it.token import Token

_FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_SETTING = re.compile(r"^(lang|language|title|url|permalink)\s*:\s*[\"']?(.*?)[\"']?\s*$", re.MULTILINE)
# `## Title {#anchor}` of Pandoc and kramdown is not part of CommonMark.
_ANCHOR = re.compile(r"\s*\{:?\s*#([\w.:-]+)[^}]*\}\s*$")
_ENDS_LINE = {"paragraph_close", "tr_close"}


@dataclass
class _Part:
    level: int = 0
    anchor: str = ""
    title: str = ""
    lines: list[str] = field(default_factory=list[str])


def sections(path: Path, place: Place) -> Iterator[Section]:
    """Yield a file's sections, without code and markup. ``lang`` of the front matter names the language.

    Anchors are explicit ones, ``## Title {#anchor}``. Sections without one are tied by place.
    """
    content = read_text(path).replace("\r\n", "\n")
    front = _FRONT.match(content)
    settings: dict[str, str] = dict(_SETTING.findall(front[1])) if front else {}
    parts = _parts(content[front.end() :] if front else content)
    stated = settings.get("lang") or settings.get("language") or ""
    page, language = place.settle(path, stated, " ".join(line for each in parts for line in (each.title, *each.lines)))
    top = settings.get("title") or next((part.title for part in parts if part.level == 1), "")
    outline, url = Outline(), settings.get("url") or settings.get("permalink") or ""
    for part in parts:
        around = outline.around(part.level, part.title)
        if part.lines:
            title = part.title or ("" if part.level else settings.get("title", ""))
            text = "\n".join(part.lines)
            yield Section(page, language, part.anchor, part.level, title, text, top, headings=around, url=url)


def _parts(text: str) -> list[_Part]:
    from markdown_it import MarkdownIt

    parts = [_Part()]
    line, heading = "", False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "heading_open":
            parts.append(_Part(level=int(token.tag[1:])))
            heading = True
        elif token.type == "inline" and heading:
            title = _plain(token.children or ())
            anchor = _ANCHOR.search(title)
            parts[-1].title, parts[-1].anchor = _ANCHOR.sub("", title), anchor[1] if anchor else ""
            heading = False
        elif token.type == "inline":
            line += " " + _plain(token.children or ())
        elif token.type == "html_block":
            parts += _add_html(parts[-1], token.content)
        if token.type in _ENDS_LINE:
            # Rules and rows of dashes have no text.
            if any(map(str.isalnum, line)):
                parts[-1].lines.append(" ".join(line.split()))
            line = ""
    return parts


def _add_html(part: _Part, content: str) -> list[_Part]:
    """Add the text of a block of HTML to a part, and return the parts that its headings begin."""
    page = html.Page()
    page.read(content)
    found = [_Part(each.level, each.anchor, " ".join(each.title.split())) for each in page.parts]
    for one, each in zip(found, page.parts, strict=True):
        one.lines += html.lines_of(each.text).splitlines()
    part.lines += found[0].lines
    return found[1:]


def _plain(tokens: Sequence[Token]) -> str:
    texts = (" " if token.type.endswith("break") else token.content for token in tokens if token.type != "html_inline")
    return " ".join("".join(texts).split())
