"""One cell of a lexicon, and what readers of lexicons share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from panglot._errors import PanglotError
from panglot.corpus.language import canonical

_PANLEX = re.compile(r"([a-z]{3})-\d{3}")


@dataclass(frozen=True)
class Entry:
    """An English word or phrase and its translation, as the file writes them.

    Attributes:
        language: Canonical code.
        english: In English.
        target: In the language.
        line: Which line or row of the file, from 1; 0 where the format has none.
    """

    language: str
    english: str
    target: str
    line: int = 0


def code_of(written: str) -> str | None:
    """Return the canonical code of a language, also in PanLex's style; None where it is no language.

    >>> code_of("swh"), code_of("swh-000"), code_of("words")
    ('sw', 'sw', None)
    """
    plain = written.strip()
    uid = _PANLEX.fullmatch(plain)
    try:
        return canonical(uid[1] if uid else plain)
    except PanglotError:
        return None


def pair_of(path: Path) -> tuple[str, bool] | None:
    """Return the language that a file's name pairs with English, and whether English comes first; None: no pair.

    >>> pair_of(Path("en-fr.0-5000.txt")), pair_of(Path("deu-eng.tei")), pair_of(Path("en-zh-Hant.tsv"))
    (('fr', True), ('de', False), ('zh-Hant', True))
    """
    pieces = re.split("[-_]", path.name.split(".", 1)[0])
    for english, others, first in ((pieces[0], pieces[1:], True), (pieces[-1], pieces[:-1], False)):
        if others and code_of(english) == "en" and (language := code_of("-".join(others))) not in (None, "en"):
            return language, first
    return None


def no_pair(path: Path) -> PanglotError:
    """Return the error of a file that does not tell its languages."""
    return PanglotError(
        "the languages of this lexicon are not known",
        file=path,
        field="language",
        cure="call it after them, English among them (en-sw.tsv), or write a first line of their codes",
    )
