"""Lexicons: what an English word is in other languages."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from panglot._errors import PanglotError
from panglot._files import digest
from panglot.augment import dictionaries, lexicon_files
from panglot.augment.lexicon_files import Entry
from panglot.augment.words import is_entry, key, stems, words
from panglot.data.language import canonical

_BRACKETS = re.compile(r"\s*[(\[（][^)\]）]*[)\]）]\s*")
_ALTERNATIVES = re.compile(r"\s+or\s+|[,،、，/;؛]")
_ENDS = ' \t.?!¿¡:"“”„«»。？！'
# Digits, markup, sentences, brackets that have no other half, gaps for arguments.
_NO_WORD = re.compile(r"[\d{}<>|=*+@#$%^_~\\\"“”„«»&:?¿!¡.…()\[\]（）]")
_VOCALISED = re.compile("[\u064b-\u0652\u0670\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]")
# Their plain text has no vowel marks.
_PLAIN = {"aeb", "apc", "apd", "ar", "arz", "ayl", "fa", "he", "ur"}
_MORE_WORDS = 3


def cleaned(english: str, target: str, language: str) -> str | None:
    """Return the translation in a cell, or None where there is none that could stand in a text.

    Glosses in brackets go. Of alternatives (commas, slashes, "or") for one English word the first is taken; for
    several words a comma is part of a phrase, and such cells are left out. Latin transliterations beside another
    script go, as do the vowel marks of Arabic, Persian, Urdu and Hebrew. Cells with digits, markup, affixes, a
    gap (…) between words, or four words more than the English are left out.

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
    if any(_has_letter(word) and not any(_has_latin(letter) for letter in word) for word in words):
        # A word in capitals is an abbreviation, such as DVD.
        words = [word for word in words if not is_latin(word) or word.isupper() or not _has_letter(word)]
    text = " ".join(words)
    if language.partition("-")[0] in _PLAIN:
        text = _VOCALISED.sub("", text)
    if not _has_letter(text) or _NO_WORD.search(text) or text[0] in "-–—" or text[-1] in "-–—":
        return None
    return text if len(words) <= len(re.split(r"[\s-]", english)) + _MORE_WORDS else None


def is_latin(text: str) -> bool:
    """Whether all letters are Latin ones.

    >>> is_latin("nɔ̱ŋ ’a"), is_latin("X射线"), is_latin("...")
    (True, False, True)
    """
    return all(_latin(letter) for letter in text)


@cache
def _latin(letter: str) -> bool:
    return not letter.isalpha() or unicodedata.name(letter, "").startswith(("LATIN", "MODIFIER LETTER"))


def _has_latin(letter: str) -> bool:
    return letter.isalpha() and _latin(letter)


def _has_letter(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


_READERS: dict[str, Callable[[Path, Collection[str]], Iterator[Entry]]] = {
    "parquet": lexicon_files.parquet_entries, "tei": dictionaries.tei_entries, "xml": dictionaries.tei_entries,
    **dict.fromkeys(("txt", "tsv", "tab", "csv"), lexicon_files.table_entries),
}  # fmt: skip
OPENING_KNOWN = (
    "a table .tsv, .csv or .txt called after its languages (en-sw.tsv) or headed by them, MUSE's en-xx.txt, FreeDict's "
    ".tei, a folder of PanLex's dump, or Parquet with the columns lang, en, target"
)


def entries(path: Path, wanted: Collection[str] = ()) -> Iterator[Entry]:
    """Yield what a lexicon's file or folder says, in its order.

    Args:
        path: A file of a kind in :data:`KNOWN`.
        wanted: Canonical codes of the languages to keep; empty: all.

    Raises:
        PanglotError: A file of no known kind, or a broken one.
    """
    if path.is_dir():
        yield from dictionaries.panlex_entries(path, wanted)
        return
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if ending not in _READERS:
        raise PanglotError("a lexicon of no known kind", file=path, field="lexicons", hint=f"give {OPENING_KNOWN}")
    yield from _READERS[ending](path, wanted)


def looks_like(path: Path) -> bool:
    """Tell whether a path is a lexicon rather than a data set; a Parquet file is one by its columns."""
    if path.is_dir():
        return (path / dictionaries.FILES[2]).is_file()
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if ending == "parquet":
        return _has_columns(path)
    return ending in _READERS and path.is_file()


def _has_columns(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return {"lang", "en", "target"} <= set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return False


#: The known lexicons and their licences, the best first: people's translations, mined ones, names of emoji.
KNOWN: Mapping[str, str] = {"gatitos": "CC BY 4.0", "wiktionary": "CC BY-SA 3.0", "cldr-emoji": "Unicode-3.0"}
_FOLDER = "lexicons"
_OTHER_SCRIPT = 0.9


@dataclass(frozen=True)
class Lexicon:
    """Translations of English words, those of several lexicons merged.

    Attributes:
        entries: English words (as :func:`panglot.augment.words.key` spells them) → language → translation.
        languages: Canonical codes of the languages that have entries, sorted.
        names: The lexicons that were merged; where two have a word in a language, the first is followed.
        missing: Languages that were asked for and have no entry.
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
        for language in sorted(translations):
            for english, target in translations[language].items():
                found.setdefault(english, {})[language] = target
        return cls(found, tuple(language for language in sorted(translations) if translations[language]))

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The number of entries of each language."""
        counts = Counter(language for targets in self.entries.values() for language in targets)
        return {language: counts[language] for language in self.languages}

    @cached_property
    def beginnings(self) -> frozenset[str]:
        """The first words of entries of several words, in lower case."""
        spans = ((english, words(english)) for english in self.entries)
        return frozenset(english[: found[0][1]].lower() for english, found in spans if len(found) > 1)

    def keys(self, written: str) -> tuple[str, ...]:
        """Return the entries that English text may stand for, likeliest first.

        As it is written, in lower case, capitalised, and for one word those that it may be a form of.

        >>> Lexicon.of({"de": {"Cancer": "Krebs", "cancer": "Krebs", "lake": "See", "bed": "Bett"}}).keys("Cancer")
        ('Cancer', 'cancer')
        """
        single = written.isalpha() or "'" in written
        if single and written in self._met:
            return self._met[written]
        plain = written.lower()
        forms = (written, plain, plain[:1].upper() + plain[1:], *(stems(plain) if single else ()))
        found = tuple(form for form in dict.fromkeys(forms) if form in self.entries)
        if single:
            self._met[written] = found
        return found

    @cached_property
    def _met(self) -> dict[str, tuple[str, ...]]:
        return {}

    @cached_property
    def digest(self) -> str:
        """A digest of all entries."""
        return digest(*(f"{word}\t{x}\t{self.entries[word][x]}" for word in sorted(self.entries)
                        for x in sorted(self.entries[word])))  # fmt: skip


def find(name: str, data_dir: str | Path | None = None) -> Path | None:
    """Return the file of a known lexicon, or None where it is not at hand."""
    return next((place for place in _places(name, data_dir) if place.is_file()), None)


def read(names: Sequence[str] = (), languages: Sequence[str] = (), data_dir: str | Path | None = None) -> Lexicon:
    """Read lexicons and merge them.

    Left out are cells that :func:`panglot.augment.lexicons.cleaned` cannot use, entries of more than three English
    words, translations that equal the English (a replacement that replaces nothing would count as one; the
    lexicons after it may not fill the gap), and, where a language has another script, lower-case Latin ones.

    Args:
        names: Known names, or paths of files that :func:`panglot.augment.lexicons.entries` reads; the first
            that has a word in a language is followed. Empty: those of :data:`KNOWN` that are at hand, in that order.
        languages: Keep these; empty: all.
        data_dir: The folder that holds the folder ``lexicons``; else ``$PANGLOT_DATA``.

    Raises:
        PanglotError: A lexicon is not at hand or broken, or none has an entry in one of the languages.
    """
    chosen = list(names) or [name for name in KNOWN if find(name, data_dir)]
    if not chosen:
        raise _nowhere("no lexicon is at hand", "gatitos", data_dir)
    wanted = {canonical(language) for language in languages}
    merged: dict[str, dict[str, str | None]] = {}
    for name in chosen:
        for language, cells in _cells(path_of(name, data_dir), wanted).items():
            there = merged.setdefault(language, {})
            for english, target in cells.items():
                there.setdefault(english, target)
    lexicon = Lexicon.of(_without_same(merged))
    missing = tuple(sorted(wanted - set(lexicon.languages)))
    if not lexicon.languages:
        raise PanglotError(
            f"{' and '.join(chosen)} {'has' if len(chosen) == 1 else 'have'} no entry"
            + (f" in {', '.join(missing)}" if missing else ""),
            field="code_switch_languages" if missing else "lexicons",
            hint="choose other languages or lexicons",
        )
    return Lexicon(lexicon.entries, lexicon.languages, tuple(chosen), missing)


def translations(
    name: str, languages: Iterable[str] = (), data_dir: str | Path | None = None
) -> dict[str, dict[str, str]]:
    """Return language → English → translation of one lexicon, as :func:`read` would use it; it may be empty.

    Raises:
        PanglotError: The lexicon is not at hand or broken.
    """
    return _without_same(_cells(path_of(name, data_dir), {canonical(language) for language in languages}))


def _without_same(cells: Mapping[str, Mapping[str, str | None]]) -> dict[str, dict[str, str]]:
    kept = {x: {w: t for w, t in found.items() if t is not None} for x, found in cells.items()}
    return {language: found for language, found in kept.items() if found}


def _cells(path: Path, wanted: Collection[str]) -> dict[str, dict[str, str | None]]:
    """Return language → English → translation, None where it is the English itself."""
    found: dict[str, dict[str, str | None]] = {}
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
    """Leave transliterations out of a language that is written in another script than Latin."""
    latin = {word for word, target in cells.items() if target is not None and is_latin(target)}
    if len(latin) > (1 - _OTHER_SCRIPT) * len(cells):
        return cells
    return {word: target for word, target in cells.items() if word not in latin or (target or "").isupper()}


def path_of(name: str, data_dir: str | Path | None = None) -> Path:
    """Return the file or folder of a lexicon, by its known name or its path.

    Raises:
        PanglotError: It is not there.
    """
    if name in KNOWN:
        path = find(name, data_dir)
        if path is None:
            raise _nowhere(f"the lexicon {name} is not at hand", name, data_dir)
        return path
    path = Path(name).expanduser()
    if not path.exists():
        raise PanglotError(
            f"unknown lexicon {name!r}",
            field="lexicons",
            hint=f"choose among {', '.join(KNOWN)}, or give {OPENING_KNOWN}",
        )
    return path


def _places(name: str, data_dir: str | Path | None) -> list[Path]:
    roots = [data_dir, os.environ.get("PANGLOT_DATA")]
    return [Path(root).expanduser() / _FOLDER / f"{name}.parquet" for root in roots if root]


def _nowhere(problem: str, name: str, data_dir: str | Path | None) -> PanglotError:
    looked = ", ".join(str(place) for place in _places(name, data_dir)) or "no data folder is set"
    return PanglotError(
        f"{problem} (looked for: {looked})",
        field="lexicons",
        hint=f"put it into DATA/{_FOLDER} and give data_dir, or name a file of your own",
    )
