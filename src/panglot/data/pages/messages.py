"""Sections of translation files: PO and XLIFF, each with a source and its translation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from panglot._errors import PanglotError, located
from panglot._files import digest
from panglot.data.files import local_name, numbered_lines, read_xml
from panglot.data.language import canonical, canonical_or_none
from panglot.data.pages.sections import Place, Section

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_TITLE = re.compile(r"(?i)\b(?:title|heading|head|h[1-6])\b")
_KEYWORD = re.compile(r'^(msgctxt|msgid_plural|msgid|msgstr(?:\[\d+\])?)?\s*(".*")\s*$')
_PO_LANGUAGE = re.compile(r"(?im)^(?:X-Source-)?Language:\s*(\S+)")
_SOURCE = "en"
# States in which a target is no translation yet, of XLIFF 1.2 and 2. A message of PO in such a state is fuzzy.
_UNFINISHED = {
    "initial", "new", "needs-adaptation", "needs-l10n", "needs-review-adaptation", "needs-review-l10n",
    "needs-review-translation", "needs-translation",
}  # fmt: skip
# Elements that hold codes of the original format, such as tags, and no text. `sub` holds another text.
_CODES = {"bpt", "ept", "it", "ph", "sub"}
_XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_NOT_TRANSLATED, _NOT_FINISHED = "messages that are not translated", "translations that are not finished"


@dataclass
class _Entry:
    comment: str = ""
    fuzzy: bool = False
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def pair(self) -> tuple[str, str]:
        return self.parts.get("msgid", "").strip(), self.parts.get("msgstr", "").strip()


class _Pair(NamedTuple):
    """A source text and its translation."""

    key: str
    title: bool  # whether it is a heading
    source: str
    target: str


def po(path: Path, place: Place) -> Iterator[Section]:
    """Yield the sections of a PO file, in the source language and in that of the translation.

    A message whose comment calls it a title or heading, as those of po4a and itstool do, heads the messages up to the
    next one. Without such comments, each message is a section. Fuzzy, obsolete and untranslated messages are left out.
    The header's ``Language`` names the language of the translation, or else the file's name does. The source is
    English, or ``--language``.
    """
    entries = list(_entries(path))
    head = next((entry.parts.get("msgstr", "") for entry in entries if entry.parts.get("msgid") == ""), "")
    named = _PO_LANGUAGE.search(head)
    usable: list[_Entry] = []
    for each in entries:
        if each.fuzzy or not all(each.pair):
            place.left_out[_NOT_FINISHED if each.fuzzy else _NOT_TRANSLATED] += bool(each.pair[0])
        else:
            usable.append(each)
    page, target = _settle(path, place, named[1] if named else "", " ".join(each.pair[1] for each in usable))
    pairs = [
        _Pair(digest(each.parts.get("msgctxt", ""), each.pair[0])[:12], bool(_TITLE.search(each.comment)), *each.pair)
        for each in usable
    ]
    yield from _sections(pairs, page, canonical(place.given or _SOURCE), target)


def xliff(path: Path, place: Place) -> Iterator[Section]:
    """Yield the sections of an XLIFF file, version 1.2 or 2, in its source and target language.

    Units whose ``restype``, ``type``, ``resname`` or ``name`` mentions a title or heading head the units up to the
    next one. The translation is the unit's own target, without proposals and notes. Left out are units without a
    translation, units that say ``translate="no"``, and translations whose state says that they are not finished.
    ``--language`` is the source's.
    """
    root = read_xml(path)
    for file in (element for element in root.iter() if local_name(element) == "file"):
        source = place.given or file.get("source-language") or root.get("srcLang") or ""
        target = file.get("target-language") or root.get("trgLang") or ""
        if not source or not target:
            problem = "the source or target language is missing"
            raise PanglotError(problem, file=path, field="target-language", hint="add it")
        # The original's name is the same in all languages, and the file's own name is not.
        page = file.get("original") or _settle(path, place, target)[0]
        with located(file=path, field="source-language"):
            source = canonical(source)
        with located(file=path, field="target-language"):
            target = canonical(target)
        units = _translatable(file, root.get("translate") != "no", place)
        pairs = [pair for unit in units if (pair := _unit(unit, target, place))]
        yield from _sections(pairs, page, source, target)


def _settle(path: Path, place: Place, named: str, text: str = "") -> tuple[str, str]:
    # `--language` is that of the source, never that of the translation.
    return replace(place, given="").settle(path, named, text)


def _translatable(parent: Element, wanted: bool, place: Place) -> Iterator[Element]:
    """Yield the units below an element that nothing marks with ``translate="no"``."""
    for element in parent:
        translate = {"yes": True, "no": False}.get(element.get("translate", ""), wanted)
        if local_name(element) not in ("trans-unit", "unit"):
            yield from _translatable(element, translate, place)
        elif translate:
            yield element
        else:
            place.left_out["messages that are not to be translated"] += 1


def _sections(pairs: list[_Pair], page: str, source: str, target: str) -> Iterator[Section]:
    marked = any(pair.title for pair in pairs)
    heading: _Pair | None = None
    body: list[_Pair] = []
    top = next((pair for pair in pairs if pair.title), None)

    def closed() -> Iterator[Section]:
        if body:
            key = heading.key if heading else body[0].key
            for language, side in ((source, "source"), (target, "target")):
                text = "\n".join(getattr(pair, side) for pair in body)
                title: str = getattr(heading, side) if heading else ""
                yield Section(page, language, key, 2, title, text, getattr(top, side) if top else "", True)

    for pair in pairs:
        if pair.title or not marked:
            yield from closed()
            body = [] if pair.title else [pair]
            heading = pair if pair.title else None
        else:
            body.append(pair)
    yield from closed()


def _entries(path: Path) -> Iterator[_Entry]:
    entry, at = _Entry(), ""
    for number, line in numbered_lines(path):
        if line.startswith("#"):
            # A comment after a translation belongs to the next message.
            if "msgstr" in entry.parts:
                yield entry
                entry, at = _Entry(), ""
            if line.startswith("#~"):
                continue
            if line.startswith("#,"):
                entry.fuzzy = entry.fuzzy or "fuzzy" in line
            elif line.startswith("#."):
                entry.comment += line[2:] + "\n"
            continue
        match = _KEYWORD.match(line)
        if match is None or not (match[1] or at):
            hint = "correct it, or run `msgfmt -c`"
            raise PanglotError("not a line of a PO file", file=path, line=number, hint=hint)
        if match[1]:
            if match[1] in ("msgctxt", "msgid") and "msgstr" in entry.parts:
                yield entry
                entry = _Entry()
            at = match[1].replace("msgstr[0]", "msgstr")
        try:
            entry.parts[at] = entry.parts.get(at, "") + str(ast.literal_eval(match[2]))
        except (ValueError, SyntaxError) as error:
            problem = "the quotes of this text do not match"
            raise PanglotError(problem, file=path, line=number, hint="correct it") from error
    if entry.parts:
        yield entry


def _unit(unit: Element, target: str, place: Place) -> _Pair | None:
    """Return the pair of a unit of version 1.2, or of a unit of version 2 with its segments, if it is translated."""
    kind = " ".join(unit.get(key) or "" for key in ("restype", "type", "resname", "name"))
    # A proposal (`alt-trans`), a match or a note is no child of these.
    parts = [each for each in unit if local_name(each) in ("segment", "ignorable")] or [unit]
    sources: list[str] = []
    targets: list[tuple[int, str]] = []
    for number, part in enumerate(parts, 1):
        source = " ".join(_text(each) for each in part if local_name(each) == "source")
        own = [each for each in part if local_name(each) == "target"
               and canonical_or_none(each.get(_XML_LANGUAGE) or target) == target]  # fmt: skip
        states = {part.get("state", ""), *(each.get("state", "") for each in own)}
        texts = [text for each in own if (text := _text(each))]
        if source and (len(texts) != 1 or states & _UNFINISHED) and local_name(part) != "ignorable":
            place.left_out[_NOT_FINISHED if texts else _NOT_TRANSLATED] += 1
            return None
        sources.append(source)
        targets += [(int(order) if (order := own[0].get("order", "")).isdecimal() else number, text) for text in texts]
    source, text = (" ".join(filter(None, side)) for side in (sources, [text for _, text in sorted(targets)]))
    if not source or not text:
        return None
    return _Pair(unit.get("id") or digest(source)[:12], bool(_TITLE.search(kind.replace("-", " "))), source, text)


def _text(element: Element) -> str:
    """Return the text of an element without codes, and with one blank for each run of blanks."""

    def pieces(each: Element) -> Iterator[str]:
        yield each.text or ""
        for child in each:
            if local_name(child) not in _CODES:
                yield from pieces(child)
            yield child.tail or ""

    return " ".join("".join(pieces(element)).split())
