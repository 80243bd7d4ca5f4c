"""HTML and SVG by functions: text is escaped unless it is already markup."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, TypeAlias

from panglot.report.labels import clean

if TYPE_CHECKING:
    from collections.abc import Iterable


class Markup(str):
    """A string that is HTML already and goes into a page as it is."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"

_VOID = {"meta", "link", "br", "hr", "line", "circle", "rect", "path", "polyline", "col", "polygon"}


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Return an element.

    Args:
        name: Of the element.
        *children: Text, markup, iterables of both; ``None`` is nothing.
        **attributes: A trailing underscore is dropped and others become hyphens; ``None`` and ``False`` leave
            the attribute out, ``True`` writes its bare name.

    >>> tag("p", "a < b", class_="x", aria_hidden="true")
    '<p class="x" aria-hidden="true">a &lt; b</p>'
    >>> tag("p", tag("b", "bold"))
    '<p><b>bold</b></p>'
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID and not children:
        return Markup(f"<{name}{written}>" if name in {"meta", "link", "br", "hr", "col"} else f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Child, between: str = "") -> Markup:
    """Return markup of all ``children`` in a row; plain text among them is escaped."""
    if children is None:
        return Markup("")
    if isinstance(children, str):
        return children if isinstance(children, Markup) else Markup(escape(clean(children)))
    return Markup(between.join(join(child) for child in children))


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{escape(clean(text))}"'


def section(heading: str, explanation: Child, *content: Child, wide: bool = False) -> Markup:
    """Return a section, or nothing where it has no content.

    Args:
        heading: Its name.
        explanation: How to read it, in a sentence or two.
        *content: What it shows.
        wide: Whether the content takes the whole width, below the heading.
    """
    if not any(content):
        return Markup("")
    head = tag("div", tag("h3", heading), tag("p", explanation) if explanation else None, class_="aside")
    return tag("section", head, tag("div", content, class_="content"), class_="part wide" if wide else "part")


def beside(*parts: Child) -> Markup:
    """Return parts that stand beside one another where there is room."""
    return tag("div", parts, class_="beside")


def folded(summary: str, *content: Child) -> Markup:
    """Return content that opens at a touch; it is printed open."""
    return tag("details", tag("summary", summary), content)


def widths(names: Iterable[str], ends: Iterable[str] = ()) -> str:
    """Return room for names and intervals, so that short names do not break and long ones do not push."""
    name, both = (max(map(len, texts), default=0) for texts in (names, ends))
    # Brackets, dots and commas are narrower than digits.
    return f"--name:{min(name, 16)}ch;--ends:{both - both // 4}ch"
