"""Sections of Markdown files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from panglot.data.files import read_text
from panglot.data.pages.sections import Place, Section

_FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_SETTING = re.compile(r"^(lang|language|title)\s*:\s*[\"']?(.*?)[\"']?\s*$", re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_ANCHOR = re.compile(r"\s*\{:?\s*#([\w.:-]+)[^}]*\}\s*$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+)\s*$")
_INLINE = (
    (re.compile(r"<!--.*?-->", re.DOTALL), ""),
    (re.compile(r"!\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"),
    (re.compile(r"^\s*\[[^\]]+\]:\s+\S+.*$", re.MULTILINE), ""),
    (re.compile(r"(\*{1,3}|(?<!\w)_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(r"`+([^`]+)`+"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^>]*>"), ""),
    (re.compile(r"^\s*(?:[-*+]|\d+[.)]|>)\s+", re.MULTILINE), ""),
)


def sections(path: Path, place: Place) -> Iterator[Section]:
    """Yield a file's sections, without code and marks; ``lang`` of the front matter tells the language.

    Anchors are those written out, ``## Title {#anchor}``; sections without one are tied by place.

    Raises:
        PanglotError: The file cannot be read, or nobody tells its language.
    """
    text = read_text(path).replace("\r\n", "\n")
    front = _FRONT.match(text)
    told = dict(_SETTING.findall(front[1])) if front else {}
    page, language = place.settle(path, told.get("lang") or told.get("language") or "")
    parts = list(_parts(text[front.end() :] if front else text))
    top = told.get("title") or next((title for level, _, title, _ in parts if level == 1), "")
    for level, anchor, title, lines in parts:
        if body := _plain("\n".join(lines)):
            yield Section(
                page, language, anchor, level, title or (told.get("title", "") if level == 0 else ""), body, top
            )


def _parts(text: str) -> Iterator[tuple[int, str, str, list[str]]]:
    level, anchor, title = 0, "", ""
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        if mark := _FENCE.match(line):
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence):
                fence = ""
            continue
        if fence:
            continue
        heading = _HEADING.match(line)
        under = (
            _UNDERLINE.match(line)
            if lines and lines[-1].strip() and (len(lines) == 1 or not lines[-2].strip())
            else None
        )
        if not heading and not under:
            lines.append(line)
            continue
        found = heading[2] if heading else lines.pop().strip()
        yield level, anchor, title, lines
        level = len(heading[1]) if heading else 1 if under and under[1][0] == "=" else 2
        named = _ANCHOR.search(found)
        anchor, title, lines = (named[1] if named else ""), _plain(_ANCHOR.sub("", found)), []
    yield level, anchor, title, lines


def _plain(text: str) -> str:
    for pattern, kept in _INLINE:
        text = pattern.sub(kept, text)
    paragraphs = (" ".join(piece.split()) for piece in re.split(r"\n\s*\n", text))
    return "\n".join(piece for piece in paragraphs if any(map(str.isalnum, piece)))
