"""Sections of HTML pages and of Markdown files, which hold HTML too."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from panglot._errors import PanglotError, first_line
from panglot.data.files import read_bytes, read_text
from panglot.data.pages.sections import Place, Section, TextPart, sections_of

if TYPE_CHECKING:
    from markdown_it.token import Token

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
# Parts that every page has, or that are not text.
_SKIPPED = {"script", "style", "nav", "header", "footer", "aside", "template", "noscript", "svg", "select", "button"}
# The header of one of these holds its heading, and only that of the page is on every page.
_PARTS = {"article", "main", "section"}
# HTML closes an open paragraph before these. libxml2 knows HTML 4, and does not.
_CLOSE_PARAGRAPH = _PARTS | {
    "address", "aside", "blockquote", "details", "dialog", "div", "dl", "fieldset", "figcaption", "figure", "footer",
    "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "menu", "nav", "ol", "p", "pre", "search",
    "table", "ul",
}  # fmt: skip
_BLOCKS = {"p", "div", "li", "dd", "dt", "td", "th", "tr", "pre", "blockquote", "section", "article", "main", "br",
           "ul", "ol", "dl", "table", "figure", "figcaption", "body"}  # fmt: skip
# LibreOffice's help: after these classes, a section is a list of links.
_LINKS_FOLLOW = {"relatedtopics", "related"}
# LibreOffice's help hides all alternatives until a script knows module and system. Those of modules are text, and so
# is the default.
_MODULES = {"BASE", "CALC", "CHART", "DRAW", "IMPRESS", "MATH", "WRITER"}
_DEFAULT = "default"
# In samples of code, template marks are what the page is about.
_CODE = {"pre", "code", "kbd", "samp", "tt"}
# What programs that make pages replace: statements, comments and values of Jinja, Liquid, Django, Hugo, Mustache, ERB.
# `{{2}}` and `{{i}}` may be of a formula.
_TEMPLATE = re.compile(
    r"\{%(?:(?!%\}).){0,1000}%\}|\{#(?:(?!#\}).){0,2000}#\}|<%(?:(?!%>).){0,1000}%>"
    r"|\{{2,3}(?:[\s<>%#/&.$-]|[A-Za-z]\w*[\s.|(]|[A-Za-z]\w+(?=\}\}))(?:(?!\}\}).){0,1000}\}{2,3}",
    re.DOTALL,
)
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)


def html_sections(path: Path, place: Place) -> Iterator[Section]:
    """Yield a page's sections.

    ``<html lang>`` names the language. The ``id`` of a heading or of its section is the anchor. Navigation, scripts,
    page headers and hidden parts are left out, and so are what is outside of ``<main>`` and the marks of templates,
    such as ``{{ title }}``. Text is decoded as the page declares, by default as UTF-8.
    """
    page = _Page()
    stated = page.read(_decoded(path))
    if page.is_template and not any(part.lines for part in page.parts):
        place.left_out["templates of pages without text of their own"] += 1
        return
    top = next((part.title for part in page.parts if part.level == 1), page.title)
    metadata = {"lang": stated, "title": page.title, "url": page.url}
    yield from sections_of(page.parts, metadata, path, place, top, page.alternates)


@dataclass
class _Page:
    """Collect the parts of a page from its tree."""

    title: str = ""
    url: str = ""
    alternates: tuple[str, ...] = ()  # links to versions in other languages
    parts: list[TextPart] = field(default_factory=lambda: [TextPart()])
    is_template: bool = False
    _in_code: int = 0
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
        # Where a page says which part is its own, the rest is on every page: banners, menus and links.
        for each in _main_parts(root) or [root]:
            self._walk(each, inside=each is not root)
        for part in self.parts:
            part.title = _line(part.title)
            part.lines = [line for each in part.lines if (line := " ".join(each.split()))]
        self.title = self.title or _line(self._without_marks(root.findtext("head/title") or ""))
        self.url = self._without_marks(next(iter(root.xpath("//link[@rel='canonical']/@href")), "")).strip()
        self.alternates = tuple(map(str, root.xpath("//link[@rel='alternate' and @hreflang]/@href")))
        places = [each for each in (root, root.find("body")) if each is not None]
        stated = (self._without_marks(each.get("lang") or each.get("xml:lang") or "").strip() for each in places)
        return next(filter(None, stated), "")

    def _walk(self, element: Any, inside: bool = False) -> None:
        """Collect the text of an element, which may be ``inside`` of an article, section or main part."""
        tag = element.tag
        # Comments and processing instructions have a function for a tag.
        if not isinstance(tag, str) or (tag in _SKIPPED and not (tag == "header" and inside)):
            return
        if _is_hidden(element):
            self._after_paragraph(element, inside)
            return
        inside = inside or tag in _PARTS
        if tag == "title":
            self.title = _line(self._without_marks(element.text_content()))
            return
        if _LINKS_FOLLOW & set(element.get("class", "").split()):
            self._ended = True
        if tag in _HEADINGS:
            self.parts.append(TextPart(_HEADINGS[tag], element.get("id") or self._section_id))
            self._ended, self._in_heading, self._section_id = False, True, ""
        elif tag in ("section", "article", "div"):
            self._section_id = element.get("id", "")
        elif tag == "a" and self._in_heading and not self.parts[-1].anchor:
            self.parts[-1].anchor = element.get("name") or element.get("id") or ""
        is_block = tag in _BLOCKS and not self._in_heading
        self._in_code += tag in _CODE
        self._add(element.text or "", begins_line=is_block)
        for child in element:
            self._walk(child, inside)
            self._add(child.tail or "")
        self._in_code -= tag in _CODE
        self._in_heading = self._in_heading and tag not in _HEADINGS
        self._add("", begins_line=is_block)

    def _after_paragraph(self, hidden: Any, inside: bool) -> None:
        """Collect what a hidden paragraph without an end tag holds only in libxml2's tree."""
        ended = False
        for child in hidden if hidden.tag == "p" else ():
            ended = ended or child.tag in _CLOSE_PARAGRAPH
            if ended:
                self._walk(child, inside)
                self._add(child.tail or "")

    def _without_marks(self, text: str) -> str:
        found, number = _TEMPLATE.subn("", text)
        self.is_template = self.is_template or number > 0
        return found

    def _add(self, text: str, *, begins_line: bool = False) -> None:
        text = text if self._in_code else self._without_marks(text)
        part = self.parts[-1]
        if self._in_heading:
            part.title += text
        elif not self._ended:
            # A line end in the source is a blank.
            part.lines += ["", text] if begins_line or not part.lines else [part.lines.pop() + text]


def _main_parts(root: Any) -> list[Any]:
    """Return the parts of a page that ``<main>`` or ``role="main"`` marks, if they can be seen and have a text."""
    mark = "self::main or @role='main'"
    found = root.xpath(f"//*[{mark}][not(ancestor::*[{mark}])]")
    seen = [each for each in found if not any(map(_is_hidden, (each, *each.iterancestors())))]
    return [each for each in seen if each.text_content().strip()]


def _is_hidden(element: Any) -> bool:
    unseen = "hidden" in element.attrib or "display:none" in element.get("style", "").replace(" ", "").lower()
    return unseen and not (
        _MODULES & set(element.get("class", "").split()) or element.get("id", "").startswith(_DEFAULT)
    )


def _line(text: str) -> str:
    return " ".join(text.replace("¶", " ").split())


def _decoded(path: Path) -> str:
    raw = read_bytes(path)
    declared = _CHARSET.search(raw[:4096])
    charset = declared[1].decode("ascii") if declared else "utf-8"
    try:
        return raw.decode(charset)
    except (UnicodeDecodeError, LookupError) as error:
        hint = "save it as UTF-8, and declare that in the page"
        raise PanglotError(f"not {charset}: {error}", file=path, hint=hint) from error


# YAML, or TOML as Hugo writes it.
_FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)^\1[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_AT_LINE = re.compile(r" \(at line (\d+).*\)$")
_TYPED = {"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"}
# `## Title {#anchor}` of Pandoc and kramdown is not part of CommonMark.
_ANCHOR = re.compile(r"\s*\{:?\s*#([\w.:-]+)[^}]*\}\s*$")
_ENDS_LINE = {"paragraph_close", "tr_close"}


def markdown_sections(path: Path, place: Place) -> Iterator[Section]:
    """Yield a file's sections, without code and markup. ``lang`` of the front matter names the language.

    Anchors are explicit ones, ``## Title {#anchor}``. Sections without one are tied by place.
    """
    settings, content = _front_matter(read_text(path).replace("\r\n", "\n"), path, place)
    parts = _parts(content)
    stated = settings.get("lang") or settings.get("language") or ""
    yield from sections_of(parts, settings | {"lang": stated}, path, place)


def _front_matter(content: str, path: Path, place: Place) -> tuple[dict[str, str], str]:
    """Return the texts and numbers that a file states at its head, as texts, and the rest of the file.

    A head that cannot be read is noted with its line. Lines between two rules that set nothing are text.
    """
    front = _FRONT.match(content)
    if front is None:
        return {}, content
    form, read = ("YAML", _yaml) if front[1] == "---" else ("TOML", tomllib.loads)
    rest = content[front.end() :]
    try:
        found = read(front[2])
    except (ValueError, RecursionError) as error:
        problem = first_line(error)
        at = _AT_LINE.search(problem)
        line = 1 + int(at[1]) if at else 1
        hint = "put quotes around texts with signs such as a colon"
        problem = f"the front matter is left out, because it is not {form}: {_AT_LINE.sub('', problem)}"
        place.notes.append((path, f"line {line}: {problem}. Fix: {hint}"))
        return {}, rest
    if found is not None and not isinstance(found, dict):
        return {}, content
    values = cast("dict[object, object]", found or {}).items()
    stated = {str(name): value for name, value in values if isinstance(value, str | int)}
    return {name: " ".join(str(value).split()) for name, value in stated.items()}, rest


def _yaml(text: str) -> object:
    """Return what a text in YAML says, with numbers, dates and truth values as texts, so ``lang: no`` is Norwegian.

    Raises:
        ValueError: It is not YAML, or asks for objects of Python.
    """
    import yaml

    class Texts(yaml.SafeLoader):
        yaml_implicit_resolvers: ClassVar[Any] = {
            sign: [each for each in known if each[0] in _TYPED]
            for sign, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    try:
        return Texts(text).get_single_data()
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else first_line(error)
        raise ValueError(f"{problem} (at line {mark.line + 1})" if mark else problem) from error


def _parts(text: str) -> list[TextPart]:
    from markdown_it import MarkdownIt

    parts = [TextPart()]
    line, heading = "", False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "heading_open":
            parts.append(TextPart(level=int(token.tag[1:])))
            heading = True
        elif token.type == "inline" and heading:
            title = _plain(token.children or ())
            anchor = _ANCHOR.search(title)
            parts[-1].title, parts[-1].anchor = _ANCHOR.sub("", title), anchor[1] if anchor else ""
            heading = False
        elif token.type == "inline":
            line += " " + _plain(token.children or ())
        elif token.type == "html_block":
            page = _Page()
            page.read(token.content)
            parts[-1].lines += page.parts[0].lines
            parts += page.parts[1:]
        if token.type in _ENDS_LINE:
            # Rules and rows of dashes have no text.
            if any(map(str.isalnum, line)):
                parts[-1].lines.append(" ".join(line.split()))
            line = ""
    return parts


def _plain(tokens: Sequence[Token]) -> str:
    texts = (
        " " if token.type.endswith("break")
        else token.content if token.type == "code_inline" else _TEMPLATE.sub("", token.content)
        for token in tokens if token.type != "html_inline"
    )  # fmt: skip
    return " ".join("".join(texts).split())
