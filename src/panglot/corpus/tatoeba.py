"""Tatoeba-112: LASER's test pairs of sentences with English, both ways (arXiv 1812.10464)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from panglot._errors import PanglotError
from panglot.corpus._folder import files
from panglot.corpus._parallel import translations
from panglot.corpus.cards import CARDS
from panglot.corpus.collection import Collection, Text
from panglot.corpus.language import canonical
from panglot.corpus.parquet import records

# One language today, but two files of the publisher, each with its own pool.
_APART = {"kzj": "dtp-x-kzj"}


def names(languages: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return the names under which the pairs are read, ``tatoeba-112:de`` and so on.

    They can be given to :func:`panglot.evaluate`, which then tells the accuracy of LASER and MTEB for each: ``R@1``
    in ``crosslingual``, both ways in its ``matrix``.

    Args:
        languages: Canonical codes; those that the set does not have are passed over. None: all.

    >>> names(["de", "en", "no", "fo"])
    ('tatoeba-112:de', 'tatoeba-112:fo')
    """
    card = CARDS["tatoeba-112"]
    known = [code for code in card.languages if code != "en"]
    return tuple(f"{card.name}:{code}" for code in known if languages is None or code in set(languages))


def code_of(raw: str) -> str:
    """Return the canonical code of a value of the column ``lang``."""
    return _APART.get(raw) or canonical(raw)


def read(
    folder: Path, language: str, *, name: str = "tatoeba-112", about: Mapping[str, str] | None = None
) -> Collection:
    """Read one pair of languages out of ``tatoeba-112.parquet``: columns ``lang``, ``eng``, ``text``.

    Each language has English sentences of its own, up to 1,000, and LASER's accuracy is defined within them: so a
    pair is a collection of its own, whose English pool is the English of that pair alone. A sentence's translation is
    relevant, in both directions. Only the cross-lingual setting is meant: in the pool of both languages the
    best-ranked passage of a question is the question itself.

    Args:
        folder: Where the file lies.
        language: Canonical code of the language that is not English.
        name: What tables call it.
        about: What else is known about it.

    Raises:
        PanglotError: The file is missing or lacks a column, or has no such language.
    """
    texts: list[Text] = []
    for path in files(folder, "*.parquet"):
        of_pair = "lang", lambda raw: code_of(raw) == language
        for row in records(path, ("lang", "eng", "text"), only=of_pair):
            label = f"{language}-{len(texts) // 2:04d}"
            for code, side in ((language, "text"), ("en", "eng")):
                texts.append(Text(f"{code}:{label}", code, label, str(row[side] or "").strip()))
    if not texts:
        raise PanglotError(f"Tatoeba-112 has no {language}", field="languages", cure="see `panglot data list`")
    return translations(name, texts, {**(about or {}), "part": language, "candidates": "sentence"})
