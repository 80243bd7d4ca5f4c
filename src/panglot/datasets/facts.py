"""What is known about a language beside its data: names, script, direction, family, and which sets have it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import langcodes
from langcodes.data_dicts import LIKELY_SUBTAGS

from panglot.data.language import canonical, name
from panglot.datasets.card import CARDS

# What tells apart codes that have one name.
_NOTES = {
    "ak-x-twi": "Twi", "ca-valencia": "Valencian", "dtp-x-kzj": "Coastal Kadazan", "es-x-ref2": "second reference",
    "gsw-u-sd-chbe": "Bern", "gsw-u-sd-chzh": "Zürich",
}  # fmt: skip
# Names that CLDR shortens, for it puts them behind a language.
_SCRIPTS = {"Hans": "Simplified Han", "Hant": "Traditional Han"}
# Scripts that are several: letters of the parts tell nothing against the whole.
_PARTS = {"Jpan": ("Hira", "Kana", "Hani"), "Kore": ("Hang", "Hani"), "Hans": ("Hani",), "Hant": ("Hani",)}
# Unicode's right-to-left scripts of today.
_RIGHT_TO_LEFT = frozenset(
    ["Adlm", "Arab", "Aran", "Hebr", "Mand", "Mend", "Nkoo", "Rohg", "Samr", "Syrc", "Thaa", "Yezi"]
)
_GROUP_NAMES = (" languages", " (family)")


@dataclass(frozen=True)
class Facts:
    """One language as data sets write it.

    Attributes:
        code: Canonical BCP 47.
        name: In English.
        own_name: In itself; "" where CLDR has none.
        script: ISO 15924; "" where it is not known.
        script_name: In English.
        direction: ``ltr`` or ``rtl``; "" where the script is not known.
        family: Groups of ISO 639-5, the widest first; empty where it has the language in none. Some are groups of
            convenience, not of descent (Altaic, Caucasian, South American Indian, creoles by their vocabulary).
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


def facts(code: str, texts: Iterable[str] = ()) -> Facts:
    """Return what is known about a language.

    Args:
        code: In any style.
        texts: Some text in it. What it is written in wins over the script that is likely for the language.

    Raises:
        PanglotError: There is no such language.

    >>> found = facts("urd_Arab")
    >>> found.name, found.own_name, found.script, found.direction, found.family
    ('Urdu', 'اردو', 'Arab', 'rtl', ('Indo-European', 'Indo-Iranian', 'Indic'))
    """
    code = canonical(code)
    likely, seen = script_of(code), commonest_script(texts)
    said = not seen or langcodes.Language.get(code).script or seen in _PARTS.get(likely, ())
    script = likely if said else seen
    note = _NOTES.get(code)
    holding = [card for card in CARDS.values() if code in card.languages]
    return Facts(
        code,
        f"{name(code)} ({note})" if note else name(code),
        _own_name(code),
        script,
        _script_name(script),
        ("rtl" if script in _RIGHT_TO_LEFT else "ltr") if script else "",
        family(code),
        tuple(card.name for card in holding if "*" not in card.test_only),
        tuple(card.name for card in holding if card.test_only),
    )


def known_languages() -> tuple[str, ...]:
    """Return the codes of all known data sets, sorted."""
    return tuple(sorted({code for card in CARDS.values() for code in card.languages}))


def script_of(code: str) -> str:
    """Return the script that a canonical code says, or the likely one of its language; "" where none is known.

    Of a language that CLDR does not know, ``maximize`` would say Latin: so it is not asked.

    >>> script_of("zh"), script_of("bjn-Arab"), script_of("alz")
    ('Hans', 'Arab', '')
    """
    tag = langcodes.Language.get(code)
    likely = LIKELY_SUBTAGS.get(tag.language or "")
    return tag.script or (langcodes.Language.get(likely).script if likely else "") or ""


def commonest_script(texts: Iterable[str]) -> str:
    """Return the script of most letters; "" where there are none, or their script's name does not tell its code.

    >>> commonest_script(["ܫܠܡܐ", "ok"]), commonest_script(["123"])
    ('Syrc', '')
    """
    from iso_langcodes.iso15924 import ScriptName2ScriptCode

    scripts: Counter[str] = Counter()
    for letter, number in Counter("".join(texts)).items():
        if letter.isalpha():
            scripts[unicodedata.name(letter, "").split(" ", 1)[0].title()] += number
    names: Any = ScriptName2ScriptCode
    known: dict[str, str] = {**names, "Cjk": "Hani"}
    return known.get(scripts.most_common(1)[0][0], "") if scripts else ""


@cache
def family(code: str) -> tuple[str, ...]:
    """Return the groups of ISO 639-5 that hold a language, the widest first; empty where there is none.

    The package ``iso-langcodes`` has them from CLDR. A language that stands for several is in the groups that all of
    these are in.

    >>> family("de"), family("ko")
    (('Indo-European', 'Germanic', 'West Germanic'), ())
    """
    from iso_langcodes import iso639_3

    language = langcodes.Language.get(code).to_alpha3()
    found = _groups(language)
    if not found:
        members: dict[str, str] = iso639_3._data["ThreeToMacro"]  # pyright: ignore[reportAttributeAccessIssue]
        lines = [line for member, whole in members.items() if whole == language and (line := _groups(member))]
        found = lines[0] if lines and all(line == lines[0] for line in lines) else ()
    return found


def _groups(language: str) -> tuple[str, ...]:
    from iso_langcodes import iso639_5

    parents: Any = iso639_5.LanguageParent
    line: list[str] = []
    while (language := parents.get(language, "")) and language not in line:
        line.append(language)
    names = [langcodes.Language.get(group).language_name() for group in reversed(line) if group != "mul"]
    # Where the name is a language's, the code is not a group's.
    return tuple(n.removesuffix(end) for n in names for end in _GROUP_NAMES if n.endswith(end))


def _own_name(code: str) -> str:
    from language_data.names import code_to_names

    tag = langcodes.Language.get(code)
    known = {key.partition("-")[0] for key in code_to_names(tag.language or "")}
    return tag.autonym() if tag.language in known else ""


def _script_name(script: str) -> str:
    return _SCRIPTS.get(script) or (langcodes.Language.make(script=script).script_name() if script else "")
