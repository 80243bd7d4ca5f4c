"""What every section has: a heading in the margin, a line of explanation, its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot.report.markup import Child, Markup, tag

if TYPE_CHECKING:
    from collections.abc import Iterable


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
