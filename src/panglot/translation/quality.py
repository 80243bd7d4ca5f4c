"""What the filters count: letters, words, scripts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from panglot.data.language import code as code_of
from panglot.data.language import identifier
from panglot.data.scripts import letters_in, members, script_of, script_of_letter, unspaced_letters

_WORD = re.compile(r"\w+(?:\u200c\w+)*")
# How many letters of an alphabet a character is worth.
_WEIGHTS = {"Hani": 3.0, "Hang": 2.0, "Kana": 1.5, "Hira": 1.5, "Ethi": 1.7}

# Their marks are often not written.
_OPTIONAL_MARKS = {"", "Arab", "Hebr"}


def words(text: str) -> list[str]:
    """Return the words in lower case; of scripts without blanks, each letter with its marks is one.

    >>> words("Who, me? 谁")
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
    """Return the length of a text in letters and digits of an alphabet: a Chinese character counts as three.

    Signs of vowels count where a script cannot do without them.

    >>> weight("Who?"), weight("谁")
    (3.0, 3.0)
    """
    return sum(_weight(letter) for letter in text)


@lru_cache(maxsize=65536)
def _weight(letter: str) -> float:
    if not letter.isalnum() and (unicodedata.category(letter)[0] != "M" or script_of_letter(letter) in _OPTIONAL_MARKS):
        return 0.0
    return _WEIGHTS.get(script_of_letter(letter), 1.0)


_LONG = 3


def copied_share(source: str, translation: str) -> float:
    """Return the share of the translation's runs of three words that the source has as well.

    A translation of fewer than three words is compared as a whole. In scripts without blanks, a letter is a word.

    >>> copied_share("Who wrote this book?", "Who wrote this book?"), copied_share("Who is it?", "¿Quién es él?")
    (1.0, 0.0)
    """
    first, second = words(source), words(translation)
    if len(second) < _LONG:
        return float(first == second)
    runs = [tuple(second[place : place + _LONG]) for place in range(len(second) - _LONG + 1)]
    known = {tuple(first[place : place + _LONG]) for place in range(len(first) - _LONG + 1)}
    return sum(run in known for run in runs) / len(runs)


def length_ratio(source: str, translation: str) -> float:
    """Return the length of the translation by that of its source, in letters of an alphabet (:func:`weight`).

    A text without letters counts as one letter long.

    >>> length_ratio("Who are you?", "你是谁？")
    1.0
    """
    return max(weight(translation), 1.0) / max(weight(source), 1.0)


_NAME_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_START = 3
_FEWEST = 3
# Common nouns have capitals there.
_CAPITALS = {"de", "lb", "nds"}


def names(text: str, language: str) -> frozenset[str]:
    """Return words that are capitalised within a sentence of a cased script, plain and in lower case.

    None in German, and none where most words have capitals, as in titles.

    >>> sorted(names("Did Ólafur meet Ann in the old Paris? Yes.", "en"))
    ['ann', 'olafur', 'paris']
    """
    if language.split("-", 1)[0] in _CAPITALS:
        return frozenset()
    found = list(_NAME_WORD.finditer(text))
    inside = [word for word in found if not _begins(text, word.start())]
    capitals = [word[0] for word in inside if word[0][:1].isupper() and len(word[0]) > _START - 1]
    if 2 * len(capitals) > max(len(inside), 1) and len(inside) > _FEWEST:
        return frozenset()
    return frozenset(_plain(word) for word in capitals)


def names_lost(source: str, translation: str, language: str) -> float:
    """Return the share of the source's names of which no word of the translation has the first three letters.

    0 with fewer than three names, and where the translation is in another script, which writes names its own way.

    >>> names_lost("Did Ann meet Bob and Carl there?", "¿Ana vio a Roberto allí?", "en")
    1.0
    """
    wanted = names(source, language)
    if len(wanted) < _FEWEST:
        return 0.0
    letters = [letter for letter in translation if letter.isalpha()]
    first = next(letter for letter in source if letter.isalpha())
    same = bool(letters) and len(letters_in(translation, [script_of_letter(first)])) > len(letters) / 2
    if not same:
        return 0.0
    starts = {_plain(word)[:_START] for word in _NAME_WORD.findall(translation)}
    return sum(name[:_START] not in starts for name in wanted) / len(wanted)


def _begins(text: str, place: int) -> bool:
    before = text[:place].rstrip(" \"'“”‘’«»([¿¡—–-")
    return not before or before[-1] in ".?!:;\n…"


def _plain(word: str) -> str:
    apart = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


_NUMBER = re.compile(r"\d+(?:[.,'’\u00a0\u202f\u066b\u066c ]\d{3}(?!\d)|[.,\u066b]\d+)*")
_ROMAN = re.compile(r"\bX{1,3}(?:IX|IV|V?I{0,3})\b")
# 20,000 is 2万 there.
_MYRIADS = {"zh", "ja", "ko", "yue", "wuu"}
# And 2万 is 20,000 elsewhere, 10月 is October; the same with thousands in Persian.
_TIMES = re.compile(r"\s?(?:[百千万億兆萬亿十月]|[백천만억조월]|هزار|میلیون|میلیارد)")


def numbers(text: str) -> Counter[str]:
    """Return the numbers of two digits or more as ASCII digits, without separators.

    >>> sorted(numbers("1,000 of ٣٫١٤ in 1999, 3"))
    ['1000', '1999', '314']
    """
    found = ("".join(str(unicodedata.decimal(c)) for c in run if c.isdecimal()) for run in _NUMBER.findall(text))
    return Counter(number for number in found if len(number) > 1)


def _plain_number(text: str) -> str:
    """Return the text without the numbers that another language writes otherwise."""
    return _NUMBER.sub(lambda found: "" if _TIMES.match(text, found.end()) else found[0], text)


def numbers_lost(source: str, translation: str, target: str) -> float:
    """Return the share of the source's numbers that the translation has not; 0 where there are none.

    A single digit may be written as a word, and a number up to 39 in Roman, as centuries often are. In Chinese,
    Japanese and Korean, round numbers from ten thousand on are not looked for, nor anywhere what is written as a
    number of thousands, or of a month, there.

    >>> numbers_lost("From 1914 to 1918", "De 1914 a 1981", "es"), numbers_lost("19th century", "siglo XIX", "es")
    (0.5, 0.0)
    """
    wanted = numbers(_plain_number(source))
    if target.split("-", 1)[0] in _MYRIADS:
        wanted = Counter({number: count for number, count in wanted.items() if not _round(number)})
    there = numbers(translation) + Counter(str(_roman(word)) for word in _ROMAN.findall(translation))
    lost = wanted - there
    return lost.total() / wanted.total() if wanted else 0.0


def _roman(numeral: str) -> int:
    values = [{"X": 10, "V": 5, "I": 1}[letter] for letter in numeral]
    return sum(-a if a < b else a for a, b in pairwise([*values, 0]))


def _round(number: str) -> bool:
    return len(number) > 4 and number.endswith("000")


# The shortest stretch of up to forty letters, with a letter in it, that follows on itself.
_AGAIN = re.compile(r"(?=[^\W\d_])(.{1,40}?)\1+", re.DOTALL)


def repetition(text: str) -> int:
    """Return how often the most repeated stretch of up to forty letters follows on itself; 1: never.

    Words and letters of scripts without blanks count alike; a letter by itself is none, nor are digits and marks.

    >>> repetition("the dog the dog the dog"), repetition("我是我是我是"), repetition("10000000 ...... aaaa")
    (3, 3, 1)
    """
    flat = " ".join(text.split()) + " "
    best = 1
    for found in _AGAIN.finditer(flat):
        stretch = found[1]
        if len(set(stretch)) > 1:
            best = max(best, len(found[0]) // len(stretch))
    return best


#: Languages that py3langid takes for one another.
_ALIKE = (
    {"nb", "no", "nn", "da"}, {"bs", "hr", "sr", "sh", "cnr", "sl"}, {"id", "ms", "zsm", "jv"}, {"gl", "pt"},
    {"cs", "sk"}, {"hi", "mr", "ne"}, {"ca", "oc"}, {"es", "an", "ast"}, {"fr", "wa", "oc"}, {"af", "nl"},
    {"bg", "mk"}, {"xh", "zu"}, {"ur", "fa", "ps", "ug"}, {"kk", "ky"}, {"it", "sc", "co"},
)  # fmt: skip
#: Letters of the answers of a batch, below which nothing is said about its language.
BATCH_LETTERS = 200
#: Where the language itself is this unlikely, the text is not in it.
UNLIKELY = 0.02


def wrong_script(text: str, target: str, share: float) -> bool:
    """Whether less than ``share`` of the text is of a script of the language; never where that is unknown.

    Shares are by :func:`weight`: a few long Latin names outnumber the characters of a Chinese sentence.

    >>> wrong_script("How are you?", "ru", 0.5), wrong_script("Как дела?", "ru", 0.5)
    (True, False)
    """
    wanted = script_of(target)
    letters = "".join(letter for letter in text if letter.isalpha())
    if not wanted or not letters:
        return False
    return weight("".join(letters_in(text, members(wanted)))) < share * weight(letters)


def wrong_language(text: str, target: str, *, letters: int, sure: float) -> str | None:
    """Return the language that a text is in where it is surely another than ``target``.

    Surely: py3langid gives the other at least ``sure`` and ``target``, with those that it takes for it, less than
    .02. Nothing is said of texts shorter than ``letters`` and of languages that it does not know.
    """
    if weight(text) < letters:
        return None
    wanted = {target.split("-", 1)[0]}
    wanted |= {code for alike in _ALIKE if alike & wanted for code in alike}
    ranked = _rank(text)
    if not wanted & {code for code, _ in ranked}:
        return None
    best, share = ranked[0]
    near = sum(part for code, part in ranked if code in wanted)
    return best if best not in wanted and share >= sure and near < UNLIKELY else None


def answers_in(found: Sequence[str], given: Sequence[str], source: str, target: str) -> str | None:
    """Return the language of an engine's answers where they, together, are surely in another than ``target``.

    Nothing is said of few letters, or where the sources, together, do not look like their language either.
    """
    whole = " ".join(found)
    if weight(whole) < BATCH_LETTERS:
        return None
    if wrong_language(" ".join(given), source, letters=0, sure=0.5):
        return None
    return wrong_language(whole, target, letters=0, sure=0.9)


def _rank(text: str) -> list[tuple[str, float]]:
    return [(code, float(share)) for label, share in identifier().rank(text) if (code := code_of(label))]


#: The reasons that :func:`judge` gives, and the one that an encoder may add.
REASONS = ("not translated", "language", "script", "length", "copied", "numbers", "names", "repeated", "similarity")
_SHORT = 30


@dataclass(frozen=True)
class Thresholds:
    """From where on a row is dropped; chosen to spare good translations rather than to catch all bad ones.

    Attributes:
        letters: A text with fewer is not asked for its language.
        sure: How sure the identification of another language must be.
        script: The least share of letters in the target's script.
        longer: The most that a text of 30 letters or more may be longer or shorter, as a factor; twice that for
            shorter ones.
        copied: The largest share of runs of three words that the source has as well, from four words on.
        numbers: The largest share of the source's numbers that may be missing.
        names: The largest share of the source's names that may be missing, from three on.
        repeated: How often a stretch may follow on itself, if that of the source does not.
    """

    letters: int = 20
    sure: float = 0.9
    script: float = 0.5
    longer: float = 2.5
    copied: float = 0.6
    numbers: float = 0.25
    names: float = 0.8
    repeated: int = 3


#: Limits that no text exceeds.
LAX = Thresholds(
    letters=2**31, sure=2.0, script=0.0, longer=float("inf"), copied=1.0, numbers=1.0, names=1.0, repeated=2**31
)


def judge(source: str, translation: str, spoken: str, target: str, thresholds: Thresholds) -> list[str]:
    """Return the reasons for which a translation should be left out, of :data:`REASONS`; none: keep it.

    Args:
        source: The text.
        translation: What the engine made of it.
        spoken: The source's language.
        target: The language asked for.
        thresholds: The limits.

    >>> judge("Who wrote the book in 1999?", "¿Quién escribió el libro en 1989?", "en", "es", Thresholds())
    ['numbers']
    """
    limits = thresholds
    factor = limits.longer * (1 if weight(source) >= _SHORT else 2)
    ratio = length_ratio(source, translation)
    again = repetition(translation)
    found = {
        "language": wrong_language(translation, target, letters=limits.letters, sure=limits.sure) is not None,
        "script": wrong_script(translation, target, limits.script) and not wrong_script(source, spoken, limits.script),
        "length": not 1 / factor <= ratio <= factor,
        # One name or two are the same in many languages.
        "copied": len(source.split()) + weight(source) / 10 > 4 and copied_share(source, translation) > limits.copied,
        "numbers": numbers_lost(source, translation, target) > limits.numbers,
        "names": names_lost(source, translation, spoken) > limits.names,
        "repeated": again > limits.repeated and again > repetition(source),
    }
    return [name for name, wrong in found.items() if wrong]
