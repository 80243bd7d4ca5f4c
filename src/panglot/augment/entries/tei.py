"""FreeDict's dictionaries: TEI, P5 and the older P4."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from panglot._errors import PanglotError
from panglot.augment.entries.entry import Entry, no_pair, pair_of
from panglot.corpus._open import read_bytes

_ENTITY = re.compile(rb"<!ENTITY\b")
# UTF-16 and UTF-32 could hide one.
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00", b"<\x00")


def entries(path: Path, wanted: Collection[str] = ()) -> Iterator[Entry]:
    """Yield each spelling of each headword with each of its translations, in the file's order.

    ``entry`` has ``form/orth`` and translations in ``cit type="trans"`` (``quote``), in P4 ``trans`` (``tr``);
    translations of examples are left out. The file's name tells the languages (``eng-swh.tei``, ``deu-eng.tei``).

    Args:
        path: The file, plain or gzipped.
        wanted: Keep these languages; empty: all.

    Raises:
        PanglotError: The file is not XML, is no dictionary, declares entities, or is not called after its languages.
    """
    pair = pair_of(path)
    if pair is None:
        raise no_pair(path)
    language, english_first = pair
    if wanted and language not in wanted:
        return
    raw = read_bytes(path)
    if raw.startswith(_WIDE):
        raise PanglotError("an XML file in UTF-16", file=path, cure="save it as UTF-8")
    if entity := _ENTITY.search(raw):
        line = raw.count(b"\n", 0, entity.start()) + 1
        raise PanglotError("an XML file that declares entities", file=path, line=line, cure="write it without them")
    try:
        root = ET.fromstring(raw)  # noqa: S314  (without entities there is nothing to expand)
    except ET.ParseError as error:
        raise PanglotError(
            f"not XML: {error}", file=path, line=error.position[0], cure="correct or fetch it"
        ) from error
    articles = [element for element in root.iter() if _name(element) == "entry"]
    if not articles:
        raise PanglotError("no <entry> in this file", file=path, cure="give a dictionary in FreeDict's TEI")
    for article in articles:
        words = [
            _text(orth) for form in article if _name(form) == "form" for orth in form.iter() if _name(orth) == "orth"
        ]
        for word in words:
            for translation in _translations(article):
                if word and translation:
                    sides = (word, translation) if english_first else (translation, word)
                    yield Entry(language, *sides)


def _translations(element: ET.Element) -> Iterator[str]:
    for child in element:
        name, kind = _name(child), child.get("type", "")
        if name == "cit" and kind in ("trans", "translation"):
            yield from (_text(quote) for quote in child if _name(quote) == "quote")
        elif name == "trans":
            yield from (_text(word) for word in child if _name(word) == "tr")
        elif name in ("sense", "entry", "hom", "re", "gramGrp"):
            yield from _translations(child)


def _text(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
