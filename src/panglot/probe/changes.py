"""Changes of a question that keep what answers it, made to its English version and another one alike.

There is no reordering of words inside a clause, and no replacing of a name by its English spelling: without a
parser and a word alignment neither is sure to keep the meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from panglot.probe import _phrases as phrases
from panglot.probe._bearers import ascii_digits, names, shared


@dataclass(frozen=True)
class Versions:
    """One question in English and in another language."""

    language: str
    english: str
    other: str


@dataclass(frozen=True)
class Material:
    """What the changes of one question draw on.

    Attributes:
        original: The question as the collection has it.
        distractors: Sentences of other passages, in English and in the other language.
        words: English words with their translations in the other language.
    """

    original: Versions
    distractors: tuple[tuple[str, str], ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


WORDS = 2
"""Code-switched versions of one question at a level."""

Apply = Callable[[Versions, Material], Iterable[Versions]]


@dataclass(frozen=True)
class Change:
    """A change that keeps which passages are relevant.

    Attributes:
        name: What reports call it.
        family: Of one family a question gets one change at most.
        meaning: What it does, in a few words.
        both: Whether the English version changes in the same way; if not, it stays as it is, and only how the
            other version is written differs.
        apply: Yields the changed versions; nothing where the change does not exist or changes nothing.
        languages: The languages that have it; None: any.
    """

    name: str
    family: str
    meaning: str
    both: bool
    apply: Apply
    languages: frozenset[str] | None = None


def _mark(now: Versions, _: Material) -> Iterable[Versions]:
    found = replace(now, english=_bare(now.english, "en"), other=_bare(now.other, now.language))
    return [found] if found.other != now.other and found.english and found.other else []


def _bare(text: str, language: str) -> str:
    ends = phrases.MARKS + phrases.OWN_MARKS.get(language, "")
    bare = text.rstrip()
    if bare.rstrip(ends) == bare:
        return text
    bare = bare.rstrip(ends + " ")
    if language in {"es", "gl"} and bare.count("¿") == 1:
        bare = bare.replace("¿", "")
    return bare


def _cased(how: Callable[[str, str], str]) -> Apply:
    def apply(now: Versions, _: Material) -> Iterable[Versions]:
        found = replace(now, english=how(now.english, "en"), other=how(now.other, now.language))
        return [found] if found.english != now.english and found.other != now.other else []

    return apply


def _please(now: Versions, _: Material) -> Iterable[Versions]:
    lead = phrases.PLEASE.get(now.language)
    return [replace(now, english=phrases.PLEASE["en"] + now.english, other=lead + now.other)] if lead else []


def _thanks(now: Versions, _: Material) -> Iterable[Versions]:
    end = phrases.THANKS.get(now.language)
    if not end:
        return []
    other = now.other + phrases.blank(now.language) + end
    return [replace(now, english=f"{now.english} {phrases.THANKS['en']}", other=other)]


def _topic(now: Versions, material: Material) -> Iterable[Versions]:
    both = shared(material.original.english, material.original.other)
    if not both:
        return []
    colon = "：" if now.language in phrases.DENSE else ": "
    return [replace(now, english=f"{both[0]}: {now.english}", other=both[0] + colon + now.other)]


def _name(now: Versions, material: Material) -> Iterable[Versions]:
    folded = material.original.other.casefold()
    absent = [name for name in names(material.original.english) if name.casefold() not in folded]
    if not absent:
        return []
    behind = f"({', '.join(absent[:2])})"
    other = now.other + phrases.blank(now.language) + behind
    return [replace(now, english=f"{now.english} {behind}", other=other)]


def _native(now: Versions, _: Material) -> Iterable[Versions]:
    zero = phrases.ZERO.get(now.language)
    if zero is None:
        return []
    other = re.sub("[0-9]", lambda digit: chr(zero + int(digit[0])), now.other)
    return [replace(now, other=other)] if other != now.other else []


def _western(now: Versions, _: Material) -> Iterable[Versions]:
    other = ascii_digits(now.other)
    return [replace(now, other=other)] if other != now.other else []


def _word(now: Versions, material: Material) -> Iterable[Versions]:
    # Longest first: long words carry meaning, and are rarely a part of others.
    asked = {word.lower() for word in re.findall(r"[A-Za-z]+", material.original.english)}
    entries = [
        (target, word)
        for word, targets in material.words.items()
        if word.lower() in asked
        for target in targets
        if target.lower() != word.lower() and target in material.original.other
    ]
    entries.sort(key=lambda entry: (-len(entry[0]), entry))
    changed = (_replaced(now.other, target, word) for target, word in entries)
    kept = [other for other in dict.fromkeys(changed) if other != now.other]
    return [replace(now, other=other) for other in kept[:WORDS]]


_RUN_ON = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_HAN = re.compile(r"[\u3400-\u9fff]")


def _replaced(text: str, target: str, word: str) -> str:
    """Return ``text`` with an English word for ``target``; where words are set apart, for whole ones only.

    Where they run on, short ones are left alone: they may be a part of another word.
    """
    if _RUN_ON.search(target):
        return text.replace(target, word) if len(target) >= (2 if _HAN.search(target) else 4) else text
    return re.sub(rf"(?<!\w){re.escape(target)}(?!\w)", lambda _: word, text)


def _distractor(now: Versions, material: Material) -> Iterable[Versions]:
    space = phrases.blank(now.language)
    return [
        replace(now, english=f"{english} {now.english}", other=other + space + now.other)
        for english, other in material.distractors
    ]


_FRAMED = frozenset(phrases.PLEASE) - {"en"}

#: Every change by its name.
CHANGES: dict[str, Change] = {
    change.name: change
    for change in (
        Change("no-mark", "mark", "the question mark is left out", both=True, apply=_mark),
        Change("lower", "case", "all in small letters", both=True, apply=_cased(phrases.lower)),
        Change("capitals", "case", "all in capitals", both=True, apply=_cased(phrases.upper)),
        Change("please", "please", "a courteous opening", both=True, apply=_please, languages=_FRAMED),
        Change("thanks", "thanks", "thanks at the end", both=True, apply=_thanks, languages=_FRAMED),
        Change("topic", "topic", "a number or name that both write alike, repeated in front", both=True, apply=_topic),
        Change("name", "name", "names in English spelling added in brackets", both=True, apply=_name),
        Change(
            "native-digits", "digits", "numbers in the language's own digits", both=False, apply=_native,
            languages=frozenset(phrases.ZERO),
        ),
        Change("western-digits", "digits", "numbers in the digits 0 to 9", both=False, apply=_western),
        Change("word", "word", "a word replaced by the English one, after a lexicon", both=False, apply=_word),
        Change("distractor", "distractor", "a sentence of another passage put before", both=True, apply=_distractor),
    )
}  # fmt: skip
