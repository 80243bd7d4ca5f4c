"""Lexicons: English words and what they may be forms of, and their translations, cleaned and merged."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.augment.lexicon_files import KINDS, entries
from panglot.data.language import canonical
from panglot.data.letters import script_of_letter

#: Maximum number of words in an entry.
LONGEST = 3

_LETTER = r"(?:[^\W\d_]|[\u0300-\u036f])"
# A run of letters, with apostrophes inside. A run next to a digit or an underscore is part of a code.
_WORD = re.compile(rf"(?<!\w){_LETTER}+(?:['’]{_LETTER}+)*(?!\w)")
# Shorter stems match too much: "as" is not the plural of "a".
_SHORTEST_STEM = 3
_BRACKETS = re.compile(r"\s*[(\[（][^)\]）]*[)\]）]\s*")
_ALTERNATIVES = re.compile(r"\s+or\s+|[,،、，/;؛]")
_ENDS = ' \t.?!¿¡:"“”„«»。？！'
# Signs of digits, markup, sentences, single brackets and gaps for arguments.
_NO_WORD = re.compile(r"[\d{}<>|=*+@#$%^_~\\\"“”„«»&:?¿!¡.…()\[\]（）]")
_VOCALISED = re.compile("[\u064b-\u0652\u0670\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]")
# Languages whose plain text has no vowel marks.
_UNVOCALISED = {"aeb", "apc", "apd", "ar", "arz", "ayl", "fa", "he", "ur"}
# A translation with more words than that is an explanation.
_MORE_WORDS = 3


def words(text: str) -> list[tuple[int, int]]:
    """Return the start and end of each word.

    >>> [text[a:b] for text in ["It's the 3rd well-known B2B_x, isn’t it?"] for a, b in words(text)]
    ["It's", 'the', 'well', 'known', 'isn’t', 'it']
    """
    return [match.span() for match in _WORD.finditer(text)]


def key(text: str) -> str:
    """Return words with one spelling of apostrophes and composed letters.

    >>> key("isn’t")
    "isn't"
    """
    return unicodedata.normalize("NFC", text).replace("’", "'")


def is_entry(english: str) -> bool:
    """Return whether text of a lexicon is up to three words, with one blank or hyphen between two.

    >>> [is_entry(text) for text in ("of course", "forty-two", "Ga", "Are you still there?", "as much as possible")]
    [True, True, True, False, False]
    """
    spans = words(english)
    return (
        0 < len(spans) <= LONGEST
        and (spans[0][0], spans[-1][1]) == (0, len(english))
        and all(joined(english, a, b) for a, b in pairwise(spans))
    )


def joined(text: str, first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Return whether neighbouring words can be part of one entry: only a blank or a hyphen is between them."""
    return text[first[1] : second[0]] in {" ", "-"}


def stems(word: str) -> Iterator[str]:
    """Yield the words whose genitive, plural or verb form a lower-case word may be, the likeliest first.

    >>> [list(stems(word)) for word in ("city's", "cities", "used", "stopped", "making", "this")]
    [['city'], ['city', 'citie', 'citi'], ['use'], ['stoppe', 'stopp', 'stop'], ['make', 'mak'], ['thi']]
    """
    found: tuple[str, ...] = ()
    if word.endswith("'s"):
        found = (word[:-2],)
    elif word.endswith("s") and not word.endswith("ss"):
        found = (*([word[:-3] + "y"] if word.endswith("ies") else []), word[:-1])
        found += (word[:-2],) if word.endswith("es") else ()
    elif word.endswith("ied"):
        found = (word[:-3] + "y",)
    elif word.endswith(("ed", "ing")):
        root = word[: -2 if word.endswith("ed") else -3]
        # With the e first, because rating is more often from rate than rat, and used from use than us.
        found = (root + "e", root, *([root[:-1]] if root[-1:] == root[-2:-1] else []))
    yield from (stem for stem in found if len(stem) >= _SHORTEST_STEM)


def cleaned(english: str, target: str, language: str) -> str | None:
    """Return the translation in a cell, or None if it has none that could be part of a text.

    Glosses in brackets, Latin transliterations beside another script, and the vowel marks of Arabic, Persian, Urdu and
    Hebrew are removed. Of alternatives (commas, slashes, "or") for one English word, the first is taken. For several
    words, a comma may belong to the phrase, so such cells are rejected. Cells with digits, markup, affixes, a gap (…)
    between words, or four words more than the English are rejected too.

    >>> [cleaned("area", cell, "lt") for cell in ("šaka (mokslo)", "plotas, sritis", "zona.", "-a-", "{NS}", "?")]
    ['šaka', 'plotas', 'zona', None, None, None]
    >>> cleaned("comparison", "مقایسه moqâyese/", "fa"), cleaned("sky", "السَّمَاء", "ar")
    ('مقایسه', 'السماء')
    """
    text = _BRACKETS.sub(" ", unicodedata.normalize("NFC", target)).strip(_ENDS)
    single = not re.search(r"[\s-]", english)
    if len(parts := _ALTERNATIVES.split(text)) > 1:
        if not single:
            return None
        text = next((part for part in parts if part.strip(_ENDS)), "").strip(_ENDS)
    words = text.split()
    if any(_has_letter(word) and not any(map(_is_latin, filter(str.isalpha, word))) for word in words):
        # A word in capitals is an abbreviation, such as DVD.
        words = [word for word in words if not is_latin(word) or word.isupper() or not _has_letter(word)]
    text = " ".join(words)
    if language.partition("-")[0] in _UNVOCALISED:
        text = _VOCALISED.sub("", text)
    if not _has_letter(text) or _NO_WORD.search(text) or text[0] in "-–—" or text[-1] in "-–—":
        return None
    return text if len(words) <= len(re.split(r"[\s-]", english)) + _MORE_WORDS else None


def is_latin(text: str) -> bool:
    """Return whether all letters are Latin.

    >>> is_latin("nɔ̱ŋ ’a"), is_latin("X射线"), is_latin("...")
    (True, False, True)
    """
    return all(map(_is_latin, filter(str.isalpha, text)))


def _is_latin(letter: str) -> bool:
    # Modifier letters, such as an ejective's apostrophe, belong to no script. Neither does Arabic's tatweel.
    return script_of_letter(letter) == "Latn" or unicodedata.name(letter, "").startswith("MODIFIER LETTER")


def _has_letter(text: str) -> bool:
    return any(map(str.isalpha, text))


#: The known lexicons and their licences, the best first: translations by people, mined ones, names of emoji.
KNOWN: Mapping[str, str] = {"gatitos": "CC BY 4.0", "wiktionary": "CC BY-SA 3.0", "cldr-emoji": "Unicode-3.0"}
_FOLDER = "lexicons"
# A lexicon of a language in another script than Latin still has abbreviations and names in it.
_OTHER_SCRIPT = 0.9


@dataclass(frozen=True)
class Lexicon:
    """Translations of English words, those of several lexicons merged.

    Attributes:
        entries: English words (as :func:`key` spells them) → language → translation.
        languages: Canonical codes of the languages with entries, sorted.
        names: The lexicons that were merged. If two have a word in a language, the first wins.
        missing: Requested languages without an entry.
    """

    entries: Mapping[str, Mapping[str, str]] = field(repr=False)
    languages: tuple[str, ...]
    names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @classmethod
    def of(cls, translations: Mapping[str, Mapping[str, str]]) -> Lexicon:
        """Return the lexicon of ``{language: {english: translation}}``.

        >>> Lexicon.of({"fi": {"lake": "järvi"}, "de": {"lake": "See"}}).entries["lake"]
        {'de': 'See', 'fi': 'järvi'}
        """
        found: dict[str, dict[str, str]] = {}
        for language, cells in sorted(translations.items()):
            for english, target in cells.items():
                found.setdefault(english, {})[language] = target
        return cls(found, tuple(language for language in sorted(translations) if translations[language]))

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Number of entries per language."""
        counts = Counter(language for targets in self.entries.values() for language in targets)
        return {language: counts[language] for language in self.languages}

    @cached_property
    def beginnings(self) -> frozenset[str]:
        """First words of entries of several words, in lower case."""
        spans = ((english, words(english)) for english in self.entries)
        return frozenset(english[: found[0][1]].lower() for english, found in spans if len(found) > 1)

    def keys(self, written: str) -> tuple[str, ...]:
        """Return the entries that match English text, the likeliest first.

        The text is looked up as it is written, in lower case and capitalized. A single word is also looked up by the
        words that it may be a form of.

        >>> Lexicon.of({"de": {"Cancer": "Krebs", "cancer": "Krebs", "lake": "See", "bed": "Bett"}}).keys("Cancer")
        ('Cancer', 'cancer')
        """
        single = written.isalpha() or "'" in written
        if single and written in self._known_keys:
            return self._known_keys[written]
        plain = written.lower()
        forms = (written, plain, plain[:1].upper() + plain[1:], *(stems(plain) if single else ()))
        found = tuple(form for form in dict.fromkeys(forms) if form in self.entries)
        if single:
            self._known_keys[written] = found
        return found

    @cached_property
    def _known_keys(self) -> dict[str, tuple[str, ...]]:
        return {}

    @cached_property
    def digest(self) -> str:
        """Digest of all entries."""
        return digest(*(f"{word}\t{x}\t{self.entries[word][x]}" for word in sorted(self.entries)
                        for x in sorted(self.entries[word])))  # fmt: skip


def find(name: str, data_dir: str | Path | None = None) -> Path | None:
    """Return the file of a known lexicon, or None if it is not available."""
    return next((place for place in _places(name, data_dir) if place.is_file()), None)


def read(names: Sequence[str] = (), languages: Sequence[str] = (), data_dir: str | Path | None = None) -> Lexicon:
    """Read lexicons and merge them.

    These are left out: cells that :func:`cleaned` rejects, entries of more than three English words, translations that
    equal the English, and lower-case Latin translations in a language of another script. If the first lexicon's
    translation equals the English, the later ones do not fill the gap.

    Args:
        names: Known names, or paths of files that :func:`panglot.augment.lexicon_files.entries` reads. The first that
            has a word in a language wins. Empty means the available ones of :data:`KNOWN`, in that order.
        languages: Keep only these. Empty means all.
        data_dir: Folder that holds the folder ``lexicons``; else ``$PANGLOT_DATA``.

    Raises:
        PanglotError: A lexicon is not available or broken, or has no entry in any of the languages.
    """
    chosen = list(names) or [name for name in KNOWN if find(name, data_dir)]
    if not chosen:
        raise _not_found("no lexicon is available", "gatitos", data_dir)
    wanted = {canonical(language) for language in languages}
    merged: dict[str, dict[str, str | None]] = {}
    for name in chosen:
        for language, cells in _cells(_path_of(name, data_dir), wanted).items():
            there = merged.setdefault(language, {})
            for english, target in cells.items():
                there.setdefault(english, target)
    lexicon = Lexicon.of(_without_same(merged))
    missing = tuple(sorted(wanted - set(lexicon.languages)))
    if not lexicon.languages:
        problem = f"{' and '.join(chosen)} {'has' if len(chosen) == 1 else 'have'} no entry"
        problem += f" in {', '.join(missing)}" if missing else ""
        field_name = "code_switch_languages" if missing else "lexicons"
        raise PanglotError(problem, field=field_name, hint="choose other languages or lexicons")
    return Lexicon(lexicon.entries, lexicon.languages, tuple(chosen), missing)


def translations(
    name: str, languages: Iterable[str] = (), data_dir: str | Path | None = None
) -> dict[str, dict[str, str]]:
    """Return language → English → translation of one lexicon, as :func:`read` would use it. It may be empty."""
    return _without_same(_cells(_path_of(name, data_dir), {canonical(language) for language in languages}))


def _without_same(cells: Mapping[str, Mapping[str, str | None]]) -> dict[str, dict[str, str]]:
    kept = {x: {w: t for w, t in found.items() if t is not None} for x, found in cells.items()}
    return {language: found for language, found in kept.items() if found}


def _cells(path: Path, wanted: Collection[str]) -> dict[str, dict[str, str | None]]:
    """Return language → English → translation, None if it equals the English."""
    found: dict[str, dict[str, str | None]] = {}
    # The same English word occurs once per language, and checking it costs more than reading it.
    usable: dict[str, bool] = {}
    for entry in entries(path, wanted):
        word = key(entry.english.strip())
        if word not in usable:
            usable[word] = is_entry(word)
        translation = cleaned(word, entry.target, entry.language) if usable[word] else None
        if translation is not None:
            same = translation.casefold() == word.casefold()
            found.setdefault(entry.language, {}).setdefault(word, None if same else translation)
    return {language: _in_script(cells) for language, cells in found.items()}


def _in_script(cells: dict[str, str | None]) -> dict[str, str | None]:
    """Remove transliterations from a language that is not written in Latin script."""
    latin = {word for word, target in cells.items() if target is not None and is_latin(target)}
    if len(latin) > (1 - _OTHER_SCRIPT) * len(cells):
        return cells
    return {word: target for word, target in cells.items() if word not in latin or (target or "").isupper()}


def _path_of(name: str, data_dir: str | Path | None = None) -> Path:
    """Return the file or folder of a lexicon, by its known name or its path."""
    if name in KNOWN:
        path = find(name, data_dir)
        if path is None:
            raise _not_found(f"the lexicon {name} was not found", name, data_dir)
        return path
    path = Path(name).expanduser()
    if not path.exists():
        hint = f"choose one of {', '.join(KNOWN)}, or give {KINDS}"
        raise PanglotError(f"unknown lexicon {name!r}", field="lexicons", hint=hint)
    return path


def _places(name: str, data_dir: str | Path | None) -> list[Path]:
    roots = [data_dir, os.environ.get("PANGLOT_DATA")]
    return [Path(root).expanduser() / _FOLDER / f"{name}.parquet" for root in roots if root]


def _not_found(problem: str, name: str, data_dir: str | Path | None) -> PanglotError:
    looked = ", ".join(str(place) for place in _places(name, data_dir)) or "no data folder is set"
    hint = f"put it into DATA/{_FOLDER} and set `data_dir`, or name a file of your own"
    return PanglotError(f"{problem} (looked for: {looked})", field="lexicons", hint=hint)
