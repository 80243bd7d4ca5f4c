"""What is known about a language beside its data: names, script, direction, family, and the sets that have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import langcodes

from panglot.data.language import canonical, name, script_of
from panglot.data.letters import commonest_script, is_right_to_left, members
from panglot.datasets.registry import CARDS

__all__ = ["LanguageFacts", "facts", "family", "known_languages"]

# Codes whose CLDR name is that of another code too.
_NOTES = {
    "ak-x-twi": "Twi", "ca-valencia": "Valencian", "dtp-x-kzj": "Coastal Kadazan", "es-x-ref2": "second reference",
    "gsw-u-sd-chbe": "Bern", "gsw-u-sd-chzh": "Zürich",
}  # fmt: skip
# CLDR shortens these names, because it puts them behind a language's name.
_SCRIPT_NAMES = {"Hans": "Simplified Han", "Hant": "Traditional Han"}
_GROUP_NAMES = (" languages", " (family)")


@dataclass(frozen=True)
class LanguageFacts:
    """One language as data sets write it.

    Codes are those of BCP 47 and ISO 15924, names English. Whatever is not known is "".

    Attributes:
        own_name: Name in the language itself.
        direction: ``ltr`` or ``rtl``.
        family: Groups of ISO 639-5, the widest first. Empty if the language is in none. Some groups are for
            convenience and not by descent (Altaic, Caucasian, South American Indian, creoles by their vocabulary).
        trains: Known sets with the language that may be trained on.
        tests: Known sets, or parts of them, with the language that are for tests.
    """

    code: str
    name: str
    own_name: str
    script: str
    script_name: str
    direction: str
    family: tuple[str, ...]
    trains: tuple[str, ...]
    tests: tuple[str, ...]


def facts(code: str, texts: Iterable[str] = ()) -> LanguageFacts:
    """Return what is known about a language, whose code may be in any style.

    The script of ``texts`` in it wins over the one that is likely for the language.

    >>> found = facts("urd_Arab")
    >>> found.name, found.own_name, found.script, found.direction, found.family
    ('Urdu', 'اردو', 'Arab', 'rtl', ('Indo-European', 'Indo-Iranian', 'Indic'))
    """
    code = canonical(code)
    likely, seen = script_of(code), commonest_script(texts)
    # Letters of one member say nothing against the whole: Japanese may be seen in Hiragana alone.
    agrees = not seen or bool(langcodes.Language.get(code).script) or seen in members(likely)
    script = likely if agrees else seen
    note = _NOTES.get(code)
    cards = [card for card in CARDS.values() if code in card.languages]
    return LanguageFacts(
        code,
        f"{name(code)} ({note})" if note else name(code),
        _own_name(code),
        script,
        _SCRIPT_NAMES.get(script) or (langcodes.Language.make(script=script).script_name() if script else ""),
        ("rtl" if is_right_to_left(script) else "ltr") if script else "",
        family(code),
        tuple(card.name for card in cards if "*" not in card.test_only),
        tuple(card.name for card in cards if card.test_only),
    )


def known_languages() -> tuple[str, ...]:
    """Return the codes of all known data sets, sorted."""
    return tuple(sorted({code for card in CARDS.values() for code in card.languages}))


@cache
def family(code: str) -> tuple[str, ...]:
    """Return the groups of ISO 639-5 that hold a language, the widest first. Empty if there are none.

    The package ``iso-langcodes`` has them from CLDR. A macrolanguage is in the groups that all its members are in.

    >>> family("de"), family("ko")
    (('Indo-European', 'Germanic', 'West Germanic'), ())
    """
    from iso_langcodes import iso639_3

    language = langcodes.Language.get(code).to_alpha3()
    found = _groups(language)
    if not found:
        macro: dict[str, str] = iso639_3._data["ThreeToMacro"]  # pyright: ignore[reportAttributeAccessIssue]
        lines = [line for member, whole in macro.items() if whole == language and (line := _groups(member))]
        found = lines[0] if lines and all(line == lines[0] for line in lines) else ()
    return found


def _groups(language: str) -> tuple[str, ...]:
    from iso_langcodes import iso639_5

    parents: Any = iso639_5.LanguageParent
    line: list[str] = []
    while (language := parents.get(language, "")) and language not in line:
        line.append(language)
    names = [langcodes.Language.get(group).language_name() for group in reversed(line) if group != "mul"]
    # A code whose name is that of a language is not the code of a group.
    return tuple(n.removesuffix(end) for n in names for end in _GROUP_NAMES if n.endswith(end))


def _own_name(code: str) -> str:
    from language_data.names import code_to_names

    tag = langcodes.Language.get(code)
    known = {key.partition("-")[0] for key in code_to_names(tag.language or "")}
    return tag.autonym() if tag.language in known else ""
