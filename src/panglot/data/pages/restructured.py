"""Sections of reStructuredText files."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError, first_line
from panglot.data.files import read_text
from panglot.data.pages.sections import Place, Section, TextPart, sections_of

_DIRECTIVE = re.compile(r"\.\. +(?:[\w-]+:)?([\w-]+)::[ \t]*(.*)")
# Directives of Sphinx and its extensions that docutils does not know, and whose content is prose. The argument of those
# in the first line is prose too.
_NOTES = {"seealso", "versionadded", "versionchanged", "versionremoved", "deprecated"}
_PROSE = _NOTES | {
    "attribute", "card", "class", "classmethod", "cmdoption", "confval", "data", "describe", "details", "dropdown",
    "envvar", "exception", "function", "glossary", "grid", "grid-item", "grid-item-card", "method", "object", "only",
    "option", "property", "setting", "staticmethod", "tab", "tab-item", "tab-set", "tabs",
}  # fmt: skip


def sections(path: Path, place: Place) -> Iterator[Section]:
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
