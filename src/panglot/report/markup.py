"""Build HTML and SVG from functions. Text is escaped unless it is markup already."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, TypeAlias

from panglot.report.labels import sanitize

if TYPE_CHECKING:
    from collections.abc import Iterable


class Markup(str):
    """A string of HTML that is not escaped again."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"

_VOID = {"meta", "link", "br", "hr", "line", "circle", "rect", "path", "polyline", "col", "polygon"}


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Return an element.

    Args:
        name: The name of the element.
        *children: Text, markup, and iterables of both. ``None`` adds nothing.
        **attributes: A trailing underscore is dropped and others become hyphens. ``None`` and ``False`` omit
            the attribute, ``True`` writes its bare name.

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
    """Return the markup of all ``children``. Plain text is escaped."""
    if children is None:
        return Markup("")
    if isinstance(children, str):
        return children if isinstance(children, Markup) else Markup(escape(sanitize(children)))
    return Markup(between.join(join(child) for child in children))


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{escape(sanitize(text))}"'


def section(heading: str, explanation: Child, *content: Child, wide: bool = False) -> Markup:
    """Return a section, or nothing if it has no content.

    Args:
        heading: Its heading.
        explanation: How to read it, in a sentence or two.
        *content: Its tables and drawings.
        wide: Whether the content takes the whole width, below the heading.
    """
    if not any(content):
        return Markup("")
    head = tag("div", tag("h3", heading), tag("p", explanation) if explanation else None, class_="aside")
    return tag("section", head, tag("div", content, class_="content"), class_="part wide" if wide else "part")


def beside(*parts: Child) -> Markup:
    """Return parts side by side if there is room."""
    return tag("div", parts, class_="beside")


def folded(summary: str, *content: Child) -> Markup:
    """Return content that is closed until it is clicked, and open in print."""
    return tag("details", tag("summary", summary), content)
