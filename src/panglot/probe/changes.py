"""Change a question and its English version in the same way, without changing what answers them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import dropwhile
from pathlib import Path

import pyarrow as pa

from panglot._errors import PanglotError, first_line
from panglot.data.language import canonical_or_none, joins_sentences
from panglot.data.letters import letters_in, lower, unspaced_letters, upper

#: Polite openings. The question follows unchanged.
PLEASE = {
    "en": "Please tell me: ", "ar": "من فضلك أخبرني: ", "bn": "দয়া করে আমাকে বলুন: ", "de": "Bitte sag mir: ",
    "el": "Παρακαλώ πες μου: ", "es": "Por favor, dime: ", "fi": "Ole hyvä ja kerro minulle: ",
    "fr": "S'il te plaît, dis-moi : ", "hi": "कृपया मुझे बताएं: ", "id": "Tolong beri tahu saya: ",
    "it": "Per favore, dimmi: ", "ja": "教えてください：", "ko": "알려 주세요: ", "nl": "Vertel me alsjeblieft: ",
    "pl": "Proszę, powiedz mi: ", "pt": "Por favor, diga-me: ", "ru": "Пожалуйста, скажи мне: ",
    "sv": "Snälla, säg mig: ", "sw": "Tafadhali niambie: ", "te": "దయచేసి నాకు చెప్పండి: ",
    "th": "โปรดบอกฉันว่า: ", "tr": "Lütfen bana söyle: ", "vi": "Xin hãy cho tôi biết: ", "zh": "请告诉我：",
    "zh-Hant": "請告訴我：",
}  # fmt: skip

#: Polite endings, each a sentence of its own.
THANKS = {
    "en": "Thank you.", "ar": "شكرًا.", "bn": "ধন্যবাদ।", "de": "Danke.", "el": "Ευχαριστώ.", "es": "Gracias.",
    "fi": "Kiitos.", "fr": "Merci.", "hi": "धन्यवाद।", "id": "Terima kasih.", "it": "Grazie.",
    "ja": "ありがとうございます。", "ko": "감사합니다.", "nl": "Dank je wel.", "pl": "Dziękuję.", "pt": "Obrigado.",
    "ru": "Спасибо.", "sv": "Tack.", "sw": "Asante.", "te": "ధన్యవాదాలు.", "th": "ขอบคุณ", "tr": "Teşekkürler.",
    "vi": "Cảm ơn.", "zh": "谢谢。", "zh-Hant": "謝謝。",
}  # fmt: skip

#: Code point of the zero of each language's own digits. The other nine digits follow it.
ZERO = {
    "ar": 0x0660, "as": 0x09E6, "bn": 0x09E6, "bo": 0x0F20, "ckb": 0x0660, "fa": 0x06F0, "gu": 0x0AE6, "hi": 0x0966,
    "km": 0x17E0, "kn": 0x0CE6, "lo": 0x0ED0, "ml": 0x0D66, "mr": 0x0966, "my": 0x1040, "ne": 0x0966, "or": 0x0B66,
    "pa": 0x0A66, "ps": 0x06F0, "sa": 0x0966, "ta": 0x0BE6, "te": 0x0C66, "th": 0x0E50, "ur": 0x06F0,
}  # fmt: skip

#: Question marks. In other languages, those of _OWN_MARKS mean something else.
_MARKS = "?\uff1f\u061f\u2047\u203d"
_OWN_MARKS = {"el": ";\u037e", "hy": "\u055e"}


def _blank(language: str) -> str:
    """Return the separator between two sentences."""
    return "" if joins_sentences(language) else " "


# No change reorders words inside a clause or replaces a name by its English spelling: without a parser and a word
# alignment, neither is sure to keep the meaning.
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"\b[A-Z][\w'’-]*(?:\s+(?:of\s+the\s+|of\s+|de\s+|von\s+|van\s+)?[A-Z0-9][\w'’-]*)*")
#: Words that begin a question with a capital and are not names.
_OPENING = (
    "A According After An Along Approximately Are As At Be Before Besides By Can Could Did Do Does During Each For "
    "From Give Had Has Have How I If In Is It List Most Name Of On One Other Prior Since The There This To Under Was "
    "Were What When Where Which Who Whom Whose Why With Would"
)
_OPENERS = frozenset(_OPENING.split())


def ascii_digits(text: str) -> str:
    """Return ``text`` with the digits of every script as 0 to 9.

    >>> ascii_digits("في ١٩٨١")
    'في 1981'
    """
    return "".join(str(unicodedata.digit(mark)) if mark.isdecimal() else mark for mark in text)


def names(english: str) -> list[str]:
    """Return the capitalised phrases of an English question without its first words: nearly always names.

    >>> names("What did Queen Elizabeth II open in Newcastle?")
    ['Queen Elizabeth II', 'Newcastle']
    """
    found = (" ".join(dropwhile(_OPENERS.__contains__, match[0].split())) for match in _NAME.finditer(english))
    # A single letter is rarely a name.
    return [name for name in dict.fromkeys(found) if len(name) > 1]


def _shared(english: str, other: str) -> list[str]:
    """Return the numbers and then the names that both versions write alike, longer names first."""
    folded = other.casefold()
    both = [name for name in names(english) if name.casefold() in folded]
    rest = _NUMBER.findall(other)
    years = [number for number in _NUMBER.findall(english) if number in rest]
    return [*dict.fromkeys(years), *sorted(both, key=lambda name: (-len(name), name))]


@dataclass(frozen=True)
class Versions:
    """One question in English and in another language."""

    language: str
    english: str
    other: str


@dataclass(frozen=True)
class Material:
    """What the changes of one question need: the question itself, sentences of other passages, and a lexicon.

    Sentences are in English and in the other language, and English words have translations in the other language.
    """

    original: Versions
    distractors: tuple[tuple[str, str], ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


#: English words with their translations, by language.
Lexicons = dict[str, dict[str, tuple[str, ...]]]
# Words without a meaning of their own: switching them shows nothing about content.
_FUNCTION_WORDS = (
    "a about after all also an and any are as at be been before but by can could did do does for from had has have he "
    "her his how i if in into is it its many more most much no not of on one or other our out over she should so some "
    "such than that the their them then there these they this those to under up us was we were what when where which "
    "who whom whose why will with would you your"
)
_FUNCTION_WORD_SET = frozenset(_FUNCTION_WORDS.split())


def read_lexicons(data_dir: str | Path | None, languages: Sequence[str]) -> Lexicons:
    """Return the entries for some languages of the Parquet files ``lexicons/*.parquet``, with columns lang, en, target.

    Entries are single English words with a meaning of their own, and translations of one word and at least two
    letters. The folder is under ``data_dir``, or else ``$PANGLOT_DATA``. Without it, there are no entries.
    """
    import pyarrow.parquet as pq

    root = data_dir or os.environ.get("PANGLOT_DATA")
    found: Lexicons = {}
    for path in sorted(Path(root).expanduser().glob("lexicons/*.parquet")) if root else []:
        try:
            codes: list[str] = pq.read_table(path, columns=["lang"])["lang"].unique().to_pylist()
            # A lexicon may have languages without a code.
            names = {code: name for code in codes if (name := canonical_or_none(code)) and name in languages}
            if not names:
                continue
            rows = pq.read_table(path, columns=["lang", "en", "target"], filters=[("lang", "in", list(names))])
        except (pa.ArrowException, KeyError, OSError) as error:
            raise PanglotError(f"not a lexicon: {first_line(error)}", file=path,
                               hint="write the columns lang, en, target") from error  # fmt: skip
        for row in rows.to_pylist():
            words = found.setdefault(names[row["lang"]], {})
            english, target = str(row["en"] or "").strip().lower(), str(row["target"] or "").strip()
            if _usable(english, target) and target not in words.get(english, ()):
                words[english] = (*words.get(english, ()), target)
    return found


def _usable(english: str, target: str) -> bool:
    one_word = not any(mark.isspace() or mark.isdigit() or mark in ".…()/,;-" for mark in target)
    # The vowel signs of Hindi and Thai are marks, not letters, so the target need not be alphabetic.
    return english not in _FUNCTION_WORD_SET and len(english) > 2 and english.isalpha() and len(target) > 1 and one_word


#: Largest number of code-switched versions of one question per level.
_WORDS = 2

Apply = Callable[[Versions, Material], Iterable[Versions]]


@dataclass(frozen=True)
class Change:
    """A change that keeps which passages are relevant.

    Attributes:
        family: A question gets at most one change of each family.
        both: Whether the English version changes in the same way. If not, it stays as it is, and only the spelling of
            the other version changes.
        apply: Returns the changed versions, or nothing if the change does not apply.
        languages: Languages that have the change, or None for all.
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
    ends = _MARKS + _OWN_MARKS.get(language, "")
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
    lead = PLEASE.get(now.language)
    return [replace(now, english=PLEASE["en"] + now.english, other=lead + now.other)] if lead else []


def _thanks(now: Versions, _: Material) -> Iterable[Versions]:
    end = THANKS.get(now.language)
    return _behind(now, THANKS["en"], end) if end else []


def _behind(now: Versions, english: str, other: str) -> list[Versions]:
    """Return the versions with a sentence or a bracket behind each."""
    return [replace(now, english=f"{now.english} {english}", other=now.other + _blank(now.language) + other)]


def _topic(now: Versions, material: Material) -> Iterable[Versions]:
    both = _shared(material.original.english, material.original.other)
    colon = "：" if joins_sentences(now.language) else ": "
    return [replace(now, english=f"{first}: {now.english}", other=first + colon + now.other) for first in both[:1]]


def _name(now: Versions, material: Material) -> Iterable[Versions]:
    folded = material.original.other.casefold()
    absent = [name for name in names(material.original.english) if name.casefold() not in folded]
    names_in_brackets = f"({', '.join(absent[:2])})"
    return _behind(now, names_in_brackets, names_in_brackets) if absent else []


def _native(now: Versions, _: Material) -> Iterable[Versions]:
    zero = ZERO.get(now.language, ord("0"))
    return _respelled(now, now.other.translate({ord("0") + digit: zero + digit for digit in range(10)}))


def _western(now: Versions, _: Material) -> Iterable[Versions]:
    return _respelled(now, ascii_digits(now.other))


def _respelled(now: Versions, *others: str) -> list[Versions]:
    """Return the versions with other spellings of the question in the other language."""
    return [replace(now, other=other) for other in dict.fromkeys(others) if other != now.other]


def _word(now: Versions, material: Material) -> Iterable[Versions]:
    # The longest come first, because long words carry meaning and are rarely part of others.
    asked = {word.lower() for word in re.findall(r"[A-Za-z]+", material.original.english)}
    entries = [
        (target, word)
        for word, targets in material.words.items()
        if word.lower() in asked
        for target in targets
        if target.lower() != word.lower() and target in material.original.other
    ]
    entries.sort(key=lambda entry: (-len(entry[0]), entry))
    return _respelled(now, *(_replaced(now.other, target, word) for target, word in entries))[:_WORDS]


def _replaced(text: str, target: str, word: str) -> str:
    """Return ``text`` with an English word for ``target``, which must be a whole word in scripts with spaces.

    In scripts without spaces, short words are left alone, because they may be part of another word.
    """
    if unspaced_letters().search(target):
        least = 2 if letters_in(target, ["Hani"]) else 4
        return text.replace(target, word) if len(target) >= least else text
    return re.sub(rf"(?<!\w){re.escape(target)}(?!\w)", lambda _: word, text)


def _distractor(now: Versions, material: Material) -> Iterable[Versions]:
    space = _blank(now.language)
    return [
        replace(now, english=f"{english} {now.english}", other=other + space + now.other)
        for english, other in material.distractors
    ]


_FRAMED = frozenset(PLEASE) - {"en"}

#: Every change by its name.
CHANGES: dict[str, Change] = {
    change.name: change
    for change in (
        Change("no-mark", "mark", "no question mark", both=True, apply=_mark),
        Change("lower", "case", "all in lower case", both=True, apply=_cased(lower)),
        Change("capitals", "case", "all in upper case", both=True, apply=_cased(upper)),
        Change("please", "please", "a polite opening", both=True, apply=_please, languages=_FRAMED),
        Change("thanks", "thanks", "thanks at the end", both=True, apply=_thanks, languages=_FRAMED),
        Change("topic", "topic", "a number or name that both write alike, repeated in front", both=True, apply=_topic),
        Change("name", "name", "names in English spelling added in brackets", both=True, apply=_name),
        Change("native-digits", "digits", "numbers in the language's own digits", both=False, apply=_native,
               languages=frozenset(ZERO)),
        Change("western-digits", "digits", "numbers in the digits 0 to 9", both=False, apply=_western),
        Change("word", "word", "a word replaced by its English translation from a lexicon", both=False, apply=_word),
        Change("distractor", "distractor", "a sentence of another passage in front", both=True, apply=_distractor),
    )
}  # fmt: skip
