"""What a language is called, and text from outside made fit to print."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class LanguageName:
    """A language as reports show it.

    Args:
        code: The code that the figures hold.
        autonym: Its name in itself (``العربية``); the code where it is unknown.
        english: Its name in English; the code where it is unknown.
        tag: A valid BCP 47 tag for HTML's ``lang``, or nothing.
    """

    code: str
    autonym: str
    english: str
    tag: str | None


@lru_cache(maxsize=1024)
def language(code: str) -> LanguageName:
    """Return the names of a language; an unknown code stands for itself.

    >>> language("de").autonym, language("de").english, language("no such thing").english
    ('Deutsch', 'German', 'no such thing')
    """
    import langcodes

    shown = clean(code)
    try:
        found = langcodes.Language.get(code)
        if not found.is_valid():
            return LanguageName(shown, shown, shown, None)
        tag = found.to_tag()
    except ValueError:
        return LanguageName(shown, shown, shown, None)
    try:
        return LanguageName(shown, found.autonym(), found.display_name(), tag)
    except (ImportError, LookupError):  # langcodes keeps its names in a package of their own
        return LanguageName(shown, shown, shown, tag)


def clean(text: object) -> str:
    r"""Return ``text`` without what a terminal or a page could take for a command.

    Control characters and lone surrogates become the replacement character; line breaks and tabs a blank.

    >>> clean("a\x1b[31mb\nc")
    'a�[31mb c'
    """
    blanks = " ".join(str(text).split("\n")).replace("\t", " ").replace("\r", "")
    return "".join("�" if unicodedata.category(mark) in {"Cc", "Cs"} else mark for mark in blanks)


def short_names(models: tuple[str, ...]) -> dict[str, str]:
    """Return each model's last path segment, or its whole name where two would be the same.

    >>> short_names(("runs/mono", "runs/hybrid"))
    {'runs/mono': 'mono', 'runs/hybrid': 'hybrid'}
    >>> short_names(("a/x", "b/x"))
    {'a/x': 'a/x', 'b/x': 'b/x'}
    """
    short = {model: clean(model).rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1] for model in models}
    values = list(short.values())
    return {model: name if name and values.count(name) == 1 else clean(model) for model, name in short.items()}
