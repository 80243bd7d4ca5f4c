"""Filters that leave out bad translations, by script, language, length, copies, numbers, names and repetition."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from panglot.data.language import canonical_or_none, identifier, mistaken_for, script_of
from panglot.data.letters import letters_in, members, script_of_letter, unspaced_letters

# Lengths are more variable below this many letters.
_SHORT = 30


@dataclass(frozen=True)
class Thresholds:
    """Limits of the filters, chosen to spare good translations rather than to catch all bad ones.

    Attributes:
        letters: Texts with fewer letters are not checked for their language.
        sure: Minimum probability of another language.
        script: Minimum share of letters in the target's script.
        longer: Factor by which a text of 30 letters or more may be longer or shorter. Shorter texts may differ by
            twice that.
        copied: Maximum share of runs of three words that the source has too, from four words on.
        numbers: Maximum share of the source's numbers that may be missing.
        names: Maximum share of the source's names that may be missing, from three on.
        repeated: How often a stretch may repeat itself, unless one of the source repeats as often.
    """

    letters: int = 20
    sure: float = 0.9
    script: float = 0.5
    longer: float = 2.5
    copied: float = 0.6
    numbers: float = 0.25
    names: float = 0.8
    repeated: int = 3


#: Limits that every text keeps.
NO_LIMITS = Thresholds(
    letters=2**31, sure=2.0, script=0.0, longer=float("inf"), copied=1.0, numbers=1.0, names=1.0, repeated=2**31
)


def filter_reasons(
    source: str, translation: str, source_language: str, target: str, thresholds: Thresholds
) -> list[str]:
    """Return why a translation should be left out. Empty means keep it.

    >>> filter_reasons("Who wrote the book in 1999?", "¿Quién escribió el libro en 1989?", "en", "es", Thresholds())
    ['numbers']
    """
    limits, again = thresholds, repetition(translation)
    factor = limits.longer * (1 if weight(source) >= _SHORT else 2)
    ratio = length_ratio(source, translation)
    # A source in another script than its language's, such as a list of names, may be translated into that script.
    same_script = wrong_script(source, source_language, limits.script)
    found = {
        "language": wrong_language(translation, target, letters=limits.letters, sure=limits.sure) is not None,
        "script": wrong_script(translation, target, limits.script) and not same_script,
        "length": not 1 / factor <= ratio <= factor,
        # One name or two are the same in many languages.
        "copied": len(source.split()) + weight(source) / 10 > 4 and copied_share(source, translation) > limits.copied,
        "numbers": numbers_lost(source, translation, target) > limits.numbers,
        "names": names_lost(source, translation, source_language) > limits.names,
        "repeated": again > limits.repeated and again > repetition(source),
    }
    return [name for name, wrong in found.items() if wrong]


_WORD = re.compile(r"\w+(?:\u200c\w+)*")
# How many letters of an alphabet a character is worth.
_WEIGHTS = {"Hani": 3.0, "Hang": 2.0, "Kana": 1.5, "Hira": 1.5, "Ethi": 1.7}
# Texts often leave out the marks of these scripts, so that marks say nothing about length.
_OPTIONAL_MARKS = {"", "Arab", "Hebr"}


def _words(text: str) -> list[str]:
    """Return the words in lower case. In scripts without blanks, each letter with its marks is a word.

    >>> _words("Who, me? 谁")
    ['who', 'me', '谁']
    """
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFC", text).casefold()):
        if not unspaced_letters().search(word):
            found.append(word)
            continue
        for letter in word:
            if found and unicodedata.category(letter).startswith("M"):
                found[-1] += letter
            else:
                found.append(letter)
    return found


def weight(text: str) -> float:
    """Return the length of a text in letters and digits of an alphabet. A Chinese character counts as three.

    Vowel signs count in scripts that always write them.

    >>> weight("Who?"), weight("谁")
    (3.0, 3.0)
    """
    return sum(_weight(letter) for letter in text)


@lru_cache(maxsize=65536)
def _weight(letter: str) -> float:
    if not letter.isalnum() and (unicodedata.category(letter)[0] != "M" or script_of_letter(letter) in _OPTIONAL_MARKS):
        return 0.0
    return _WEIGHTS.get(script_of_letter(letter), 1.0)


def length_ratio(source: str, translation: str) -> float:
    """Return the length of the translation divided by that of its source (:func:`weight`).

    A text without letters counts as one letter long.

    >>> length_ratio("Who are you?", "你是谁？")
    1.0
    """
    return max(weight(translation), 1.0) / max(weight(source), 1.0)


_RUN = 3


def copied_share(source: str, translation: str) -> float:
    """Return the share of the translation's runs of three words that the source has too.

    A translation of fewer than three words is compared as a whole. In scripts without blanks, a letter is a word.

    >>> copied_share("Who wrote this book?", "Who wrote this book?"), copied_share("Who is it?", "¿Quién es él?")
    (1.0, 0.0)
    """
    first, second = _words(source), _words(translation)
    if len(second) < _RUN:
        return float(first == second)
    runs = [tuple(second[place : place + _RUN]) for place in range(len(second) - _RUN + 1)]
    known = {tuple(first[place : place + _RUN]) for place in range(len(first) - _RUN + 1)}
    return sum(run in known for run in runs) / len(runs)


_NAME_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
# Letters of a name that translations usually keep, and the shortest name.
_START = 3
_FEWEST = 3
# Languages that capitalize common nouns.
_CAPITALIZING = {"de", "lb", "nds"}


def names(text: str, language: str) -> frozenset[str]:
    """Return words that are capitalized within a sentence, without accents and in lower case.

    There are none in German, and none if most words have capitals, as in titles.

    >>> sorted(names("Did Ólafur meet Ann in the old Paris? Yes.", "en"))
    ['ann', 'olafur', 'paris']
    """
    if language.split("-", 1)[0] in _CAPITALIZING:
        return frozenset()
    inside = [word for word in _NAME_WORD.finditer(text) if not _begins_sentence(text, word.start())]
    capitals = [word[0] for word in inside if word[0][:1].isupper() and len(word[0]) >= _START]
    if 2 * len(capitals) > max(len(inside), 1) and len(inside) > _FEWEST:
        return frozenset()
    return frozenset(_without_accents(word) for word in capitals)


def names_lost(source: str, translation: str, language: str) -> float:
    """Return the share of the source's names whose first three letters begin no word of the translation.

    Returns 0 for fewer than three names, and if the translation is in another script, which spells names its own way.

    >>> names_lost("Did Ann meet Bob and Carl there?", "¿Ana vio a Roberto allí?", "en")
    1.0
    """
    wanted = names(source, language)
    if len(wanted) < _FEWEST:
        return 0.0
    number = sum(map(str.isalpha, translation))
    first = next(letter for letter in source if letter.isalpha())
    if 2 * len(letters_in(translation, [script_of_letter(first)])) <= number:
        return 0.0
    starts = {_without_accents(word)[:_START] for word in _NAME_WORD.findall(translation)}
    return sum(name[:_START] not in starts for name in wanted) / len(wanted)


def _begins_sentence(text: str, place: int) -> bool:
    before = text[:place].rstrip(" \"'“”‘’«»([¿¡—–-")
    return not before or before[-1] in ".?!:;\n…"


def _without_accents(word: str) -> str:
    apart = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


_NUMBER = re.compile(r"\d+(?:[.,'’\u00a0\u202f\u066b\u066c ]\d{3}(?!\d)|[.,\u066b]\d+)*")
_ROMAN = re.compile(r"\bX{1,3}(?:IX|IV|V?I{0,3})\b")
# These languages count by ten thousands: 20,000 is 2万.
_MYRIADS = {"zh", "ja", "ko", "yue", "wuu"}
# The other way round, 2万 is 20,000 elsewhere and 10月 is October. Persian writes thousands as words.
_TIMES = re.compile(r"\s?(?:[百千万億兆萬亿十月]|[백천만억조월]|هزار|میلیون|میلیارد)")


def numbers(text: str) -> Counter[str]:
    """Return the numbers of two digits or more as ASCII digits, without separators.

    >>> sorted(numbers("1,000 of ٣٫١٤ in 1999, 3"))
    ['1000', '1999', '314']
    """
    found = ("".join(str(unicodedata.decimal(c)) for c in run if c.isdecimal()) for run in _NUMBER.findall(text))
    return Counter(number for number in found if len(number) > 1)


def numbers_lost(source: str, translation: str, target: str) -> float:
    """Return the share of the source's numbers that the translation lacks, 0 if there are none.

    A single digit may become a word, and a number up to 39 a Roman numeral, as centuries often do. Round numbers from
    ten thousand on are not expected in Chinese, Japanese and Korean. Numbers of thousands or months of those languages
    are not expected anywhere else.

    >>> numbers_lost("From 1914 to 1918", "De 1914 a 1981", "es"), numbers_lost("19th century", "siglo XIX", "es")
    (0.5, 0.0)
    """
    wanted = numbers(_NUMBER.sub(lambda found: "" if _TIMES.match(source, found.end()) else found[0], source))
    if target.split("-", 1)[0] in _MYRIADS:
        round_numbers = {number for number in wanted if len(number) > 4 and number.endswith("000")}
        wanted = Counter({number: count for number, count in wanted.items() if number not in round_numbers})
    there = numbers(translation) + Counter(str(_roman(word)) for word in _ROMAN.findall(translation))
    lost = wanted - there
    return lost.total() / wanted.total() if wanted else 0.0


def _roman(numeral: str) -> int:
    values = [{"X": 10, "V": 5, "I": 1}[letter] for letter in numeral]
    return sum(-a if a < b else a for a, b in pairwise([*values, 0]))


# The shortest stretch of up to forty letters, with a letter in it, that repeats itself.
_AGAIN = re.compile(r"(?=[^\W\d_])(.{1,40}?)\1+", re.DOTALL)


def repetition(text: str) -> int:
    """Return how often the most repeated stretch of up to forty letters follows itself. 1 means never.

    Single letters, digits and marks do not count.

    >>> repetition("the dog the dog the dog"), repetition("我是我是我是"), repetition("10000000 ...... aaaa")
    (3, 3, 1)
    """
    flat = " ".join(text.split()) + " "
    stretches = (found for found in _AGAIN.finditer(flat) if len(set(found[1])) > 1)
    return max((len(found[0]) // len(found[1]) for found in stretches), default=1)


#: Batches with fewer letters are not checked for their language.
_BATCH_LETTERS = 200
#: A text is in another language only if its own is less probable than this.
_UNLIKELY = 0.02


def wrong_script(text: str, target: str, share: float) -> bool:
    """Return whether less than ``share`` of a text is in a script of the language, False if its script is unknown.

    Shares are by :func:`weight`, because a few long Latin names outnumber the characters of a Chinese sentence.

    >>> wrong_script("How are you?", "ru", 0.5), wrong_script("Как дела?", "ru", 0.5)
    (True, False)
    """
    script = script_of(target)
    letters = "".join(letter for letter in text if letter.isalpha())
    return bool(script and letters) and weight("".join(letters_in(text, members(script)))) < share * weight(letters)


def wrong_language(text: str, target: str, *, letters: int, sure: float) -> str | None:
    """Return the language of a text that is surely in another one than ``target``, else None.

    Surely means that py3langid gives the other language at least ``sure``, and ``target`` with those that it mistakes
    for it less than .02. Returns None for texts shorter than ``letters`` and for languages that it does not know.
    """
    if weight(text) < letters:
        return None
    wanted = mistaken_for(target)
    ranked = [(code, float(share)) for label, share in identifier().rank(text) if (code := canonical_or_none(label))]
    if not wanted & {code for code, _ in ranked}:
        return None
    best, share = ranked[0]
    near = sum(part for code, part in ranked if code in wanted)
    return best if best not in wanted and share >= sure and near < _UNLIKELY else None


def language_of_answers(found: Sequence[str], sentences: Sequence[str], source: str, target: str) -> str | None:
    """Return the language of an engine's answers if, taken together, they are surely not in ``target``.

    Returns None for few letters, or if the sentences, taken together, do not look like their language either.
    """
    whole = " ".join(found)
    if weight(whole) < _BATCH_LETTERS or wrong_language(" ".join(sentences), source, letters=0, sure=0.5):
        return None
    return wrong_language(whole, target, letters=0, sure=0.9)
