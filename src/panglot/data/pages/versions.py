"""Find pages that say themselves that they are versions of each other, whatever their names are.

Pages whose paths differ only in the language need to say nothing. Those with translated names, such as ``guide.html``
and ``leitfaden.html``, can be tied only by what they declare.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from panglot.data.columns import DisjointSets
from panglot.data.pages.sections import Section

__all__ = ["join_declared"]


def join_declared(found: Sequence[Section], roots: Iterable[Path]) -> tuple[list[Section], int]:
    """Give pages that declare to be versions of each other one name, and return the number of pages that cannot be.

    Pages are joined if they name the same ``group``, or if each links to the other by ``<link rel="alternate"
    hreflang>``. One link alone does not count, because templates link every page to the start page of a language. Two
    pages in one language are no versions, so a set with them is left as it is.

    Args:
        found: The sections of all pages.
        roots: The folders that were read, which are where ``/`` of a link may begin.
    """
    pages = {section.page: section for section in reversed(found)}
    known = {_normal(section.url): section.page for section in found if section.url}
    known |= {os.path.normpath(section.file): section.page for section in found}
    folders = [root for root in roots if root.is_dir()]
    sets = DisjointSets[str]()
    groups: dict[str, list[str]] = defaultdict(list)
    links: set[tuple[str, str]] = set()
    for section in found:
        if section.group:
            groups[section.group].append(section.page)
        for link in section.alternates:
            there = next((known[each] for each in _places(link, section.file, folders) if each in known), section.page)
            links.add((section.page, there))
    for members in groups.values():
        sets.join(members)
    for here, there in sorted(links):
        if here != there and (there, here) in links:
            sets.join([here, there])
    languages: dict[str, Counter[str]] = defaultdict(Counter)
    for page, language in dict.fromkeys((section.page, section.language) for section in found):
        languages[sets.first(page)][language] += 1
    refused = {page for page in pages if max(languages[sets.first(page)].values()) > 1}
    return [s if s.page in refused else replace(s, page=sets.first(s.page)) for s in found], len(refused)


def _normal(address: str) -> str:
    """Return an address without what does not name another page.

    >>> _normal("https://example.org/de/leitfaden/#start")
    'https://example.org/de/leitfaden'
    """
    return address.partition("#")[0].rstrip("/")


def _places(link: str, file: Path, roots: Iterable[Path]) -> Iterator[str]:
    """Yield what a link may mean: the address of a page, or the path of a file."""
    yield _normal(link)
    parts = urlsplit(link)
    path = unquote(parts.path)
    bases = roots if parts.netloc or path.startswith("/") else [file.parent]
    for base in bases:
        place = os.path.normpath(base / path.lstrip("/"))
        yield from (place, f"{place}.html", os.path.join(place, "index.html"))  # noqa: PTH118  (as normpath has it)
