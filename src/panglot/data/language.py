"""Languages: one canonical BCP 47 code for all styles that data sets use, scripts, and language detection."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import langcodes
import numpy as np
from langcodes.data_dicts import LIKELY_SUBTAGS, MACROLANGUAGES

from panglot._errors import PanglotError, located
from panglot._files import atomic_folder, cache_folder, write_json
from panglot.data.letters import NO_SENTENCE_BLANKS, NO_SENTENCE_ENDS, members, scripts_of

# Codes that langcodes cannot read, or would misread.
_SPECIAL = {
    "spa-ref2": "es-x-ref2",  # NTREX: a second Spanish reference
    "gsw-be": "gsw-u-sd-chbe",  # NTREX: the dialects of Bern and Zürich, not of Belgium and "ZH"
    "gsw-zh": "gsw-u-sd-chzh",
}
# Scripts that are another name of the likely one. All Korean is Hangul, with or without Hanja.
_SAME_SCRIPT = {("ko", "Hang"), ("zh", "Hani"), ("ja", "Hrkt")}
_MODIFIERS = {"latin": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva", "arabic": "Arab"}  # of glibc: sr@latin
# Labels of the identifier and codes that mean the same language without being forms of one another.
_ALIKE: dict[str, tuple[str, ...]] = {
    "nb": ("no",), "no": ("nb",), "yue": ("zh",), "wuu": ("zh",), "bs": ("sr", "hr"), "hr": ("sr", "bs"),
}  # fmt: skip
# Scripts in which py3langid's training texts and those of users are, beside the usual one of a language.
_COMMON_FORMS = frozenset({"Arab", "Cyrl", "Hans", "Hant", "Latn"})
# A text is in none of the candidate languages if their probabilities sum to less than this.
_LEAST = 0.05
# Languages that py3langid mistakes for one another.
_MISTAKEN = (
    {"nb", "no", "nn", "da"}, {"bs", "hr", "sr", "sh", "cnr", "sl"}, {"id", "ms", "zsm", "jv"}, {"gl", "pt"},
    {"cs", "sk"}, {"hi", "mr", "ne"}, {"ca", "oc"}, {"es", "an", "ast"}, {"fr", "wa", "oc"}, {"af", "nl"},
    {"bg", "mk"}, {"xh", "zu"}, {"ur", "fa", "ps", "ug"}, {"kk", "ky"}, {"it", "sc", "co"}, {"zh", "yue", "wuu"},
)  # fmt: skip
NO_LANGUAGE = frozenset({"und", "mul", "mis", "zxx"})
"""BCP 47 codes for an unknown language, no language, or several."""


@lru_cache(maxsize=4096)
def canonical(code: str) -> str:
    """Return the canonical BCP 47 code of ``code``, whatever its style.

    Three-letter codes become two-letter ones. The main member of a macrolanguage becomes the macrolanguage (``swh`` is
    ``sw``), and outdated codes become their successors. A script is dropped if it is the likely one of the language,
    and never added. Regions and variants stay, because they distinguish columns of one data set. A Chinese region that
    only implies a script becomes that script.

    Raises:
        PanglotError: There is no such language.

    >>> [canonical(code) for code in ("eng_Latn", "zho_Hant", "zh_cn", "zh-TW", " ar", "sr@latin", "swh")]
    ['en', 'zh-Hant', 'zh', 'zh-Hant', 'ar', 'sr-Latn', 'sw']
    """
    plain = code.strip().replace("_", "-")
    if special := _SPECIAL.get(plain.lower()):
        return special
    base, _, modifier = plain.partition("@")
    if modifier:
        plain = f"{base}-{_MODIFIERS.get(modifier.lower(), modifier)}"
    try:
        # `standardize_tag` would drop a script that is usual for the language, but not in the region.
        tag = langcodes.Language.get(plain, normalize=True).prefer_macrolanguage()
    except ValueError:
        tag = None
    # A private code such as x-klingon has no name, script or family that a later stage could ask for.
    private = plain.lower().startswith("x-")
    if tag and tag.extlangs:
        # ar-arz is another way to write arz. In pt-all, `all` is another language and no form of Portuguese.
        if tag.language == "sgn" or MACROLANGUAGES.get(tag.extlangs[0]) == tag.language:
            return canonical(plain.partition("-")[2])
        tag = None
    if tag is None or private or not tag.is_valid() or not tag.language or tag.language in NO_LANGUAGE:
        hint = "write a BCP 47 or ISO 639 code, such as en, zh-Hant or swh, or one of qaa to qtz for private use"
        raise PanglotError(f"unknown language code {code!r}", hint=hint)
    if tag.language == "zh":
        tag = _chinese(tag)
    usual = (_likely_script(tag.language), _likely_script(tag.language, tag.territory))
    if tag.script and (usual == (tag.script, tag.script) or (tag.language, tag.script) in _SAME_SCRIPT):
        tag = _changed(tag, script=None, territory=tag.territory)
    return tag.to_tag()


def canonical_codes(languages: Iterable[str] | None) -> list[str]:
    """Return the canonical codes of languages. One text is a list with commas, as on the command line.

    >>> canonical_codes(["deu", "zh_TW"]), canonical_codes("deu, zh_TW"), canonical_codes(None)
    (['de', 'zh-Hant'], ['de', 'zh-Hant'], [])
    """
    if languages is None:
        return []
    with located(field="languages"):
        return [canonical(code) for code in (languages.split(",") if isinstance(languages, str) else languages)]


@lru_cache(maxsize=4096)
def canonical_or_none(code: str) -> str | None:
    """Return what :func:`canonical` returns, or None for an unknown language."""
    try:
        return canonical(code)
    except PanglotError:
        return None


def name(code: str) -> str:
    """Return the English name of a language, or ``code`` if names are not installed (``language_data``).

    >>> name("de") in ("German", "de")
    True
    """
    try:
        return langcodes.Language.get(code).display_name()
    except (ImportError, ValueError):
        return code


def _chinese(tag: langcodes.Language) -> langcodes.Language:
    likely = langcodes.Language.get(LIKELY_SUBTAGS.get(f"zh-{tag.territory}", "zh-Hans"))
    script = tag.script or likely.script
    usual = {"Hans": "CN", "Hant": "TW"}.get(script or "")
    return _changed(tag, script=script, territory=None if tag.territory == usual else tag.territory)


def _changed(tag: langcodes.Language, *, script: str | None, territory: str | None) -> langcodes.Language:
    return langcodes.Language.make(
        tag.language, tag.extlangs, script, territory, tag.variants, tag.extensions, tag.private
    )


def _likely_script(language: str | None, territory: str | None = None) -> str:
    # `maximize` would answer Latin for a language that CLDR does not know.
    likely = LIKELY_SUBTAGS.get(f"{language}-{territory}") or LIKELY_SUBTAGS.get(language or "")
    return (langcodes.Language.get(likely).script if likely else "") or ""


def near(language: str, languages: Iterable[str]) -> list[str]:
    """Return a language if it is among some, else its forms that are.

    >>> near("pt", ["de", "pt-BR"]), near("zh-Hant", ["zh", "zh-Hant"])
    (['pt-BR'], ['zh-Hant'])
    """
    known = sorted(languages)
    base = language.partition("-")[0]
    return [language] if language in known else [code for code in known if code.partition("-")[0] == base]


@lru_cache(maxsize=4096)
def script_of(code: str) -> str:
    """Return the script that a canonical code names, or else the likely one of its language and region, or else "".

    >>> script_of("zh"), script_of("bjn-Arab"), script_of("sr-ME"), script_of("alz")
    ('Hans', 'Arab', 'Latn', '')
    """
    try:
        tag = langcodes.Language.get(code)
    except ValueError:
        return ""
    return tag.script or _likely_script(tag.language, tag.territory)


def joins_sentences(code: str) -> bool:
    """Return whether a language is written without a blank between sentences.

    >>> [joins_sentences(code) for code in ("ja", "yue", "zh-Latn", "th")]
    [True, True, False, False]
    """
    return members(script_of(code))[0] in NO_SENTENCE_BLANKS


def has_sentence_ends(code: str) -> bool:
    """Return whether a sign ends each sentence.

    >>> [has_sentence_ends(code) for code in ("th", "shn", "zh", "en")]
    [False, False, True, True]
    """
    return members(script_of(code))[0] not in NO_SENTENCE_ENDS


_ARRAYS = ("nb_ptc", "nb_pc", "tk_nextmove", "tk_row", "tk_output")


@lru_cache(maxsize=1)
def identifier() -> Any:
    """Return py3langid's identifier for all its languages, which the first call unpacks into the cache folder.

    py3langid's module-level identifier is shared, and the user may have restricted it to some languages.
    """
    from py3langid import __version__
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    folder = cache_folder() / f"py3langid-{__version__}"
    with contextlib.suppress(OSError, ValueError, TypeError):
        return _mapped(folder)
    made = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    # Without a cache, it is unpacked the next time too. Another version may keep other things, and is then not cached.
    with contextlib.suppress(PanglotError, AttributeError, TypeError, ValueError), atomic_folder(folder) as part:
        for name in _ARRAYS:
            np.save(part / f"{name}.npy", np.asarray(getattr(made, name)), allow_pickle=False)
        write_json(part / "classes.json", list(made.nb_classes))
    return made


def _mapped(folder: Path) -> Any:
    """Return the identifier that was saved. Its arrays are mapped into memory, and read where a text leads to."""
    from py3langid.langid import LanguageIdentifier

    classes = json.loads((folder / "classes.json").read_text("utf-8"))
    table, prior, moves, rows, output = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
    # A view gives Python's numbers, as the arrays of py3langid do, and does so faster than numpy.
    return LanguageIdentifier(
        table, np.asarray(prior), classes, memoryview(moves), output.tolist(), norm_probs=True, tk_row=rows.tolist()
    )


# The language of a query is looked for twice, among those of the documents and among all.
@lru_cache(maxsize=4)
def _probabilities(text: str) -> list[tuple[str, float]]:
    return identifier().rank(text)


class Detection(NamedTuple):
    """A language, and its probability from 0 to 1 according to py3langid."""

    language: str
    confidence: float


class Detector:
    """Detect which of some ``languages`` (canonical codes) a text is in, with py3langid (Lui & Baldwin 2012).

    Languages that py3langid does not know are never detected. Of several forms of a language, the one in the script of
    the text is detected: ``zh-Hant`` beside ``zh``, or ``sr-Latn`` beside ``sr``. Regions cannot be distinguished, and
    the first form by its code is detected. Without ``languages``, all that py3langid knows are candidates.
    """

    def __init__(self, languages: tuple[str, ...] = ()) -> None:
        self._identifier = identifier()
        self._forms: dict[str, tuple[str, ...]] = {}  # of each label
        codes = {label: canonical_or_none(label) for label in self._identifier.labels}
        for label, code in codes.items():
            if code and (forms := _forms_among(code, languages) if languages else _written_forms(code)):
                self._forms[label] = forms
        self._written: dict[frozenset[str], dict[str, tuple[str, ...]]] = {}

    @property
    def known(self) -> frozenset[str]:
        """The languages that can be detected."""
        return frozenset(code for forms in self._forms.values() for code in forms)

    def rank(self, text: str) -> list[Detection]:
        """Return the candidates that the letters of a text allow, the most probable first.

        Probabilities of all languages sum to 1, and those of the candidates to less. If the script leaves several forms
        of a language possible, as a few Chinese characters do, each has its part of the language's probability.

        >>> [each.language for each in Detector(("sr", "sr-Latn", "en")).rank("Kako da odštampam dokument?")][0]
        'sr-Latn'
        """
        written = scripts_of(text)
        if written not in self._written:
            self._written[written] = {label: _in_script(forms, written) for label, forms in self._forms.items()}
        possible = self._written[written]
        found: dict[str, float] = {}
        for label, probability in _probabilities(text) if written else ():
            for code in (fitting := possible.get(label, ())):
                found[code] = found.get(code, 0.0) + float(probability) / len(fitting)
        return sorted((Detection(*item) for item in found.items()), key=lambda each: (-each.confidence, each.language))

    def detect(self, text: str) -> str | None:
        """Return the most probable candidate, or None if the candidates' probabilities sum to less than .05."""
        ranked = self.rank(text)
        return ranked[0].language if ranked and sum(each.confidence for each in ranked) >= _LEAST else None


@lru_cache(maxsize=1)
def _anything() -> Detector:
    return Detector()


def identify(text: str) -> Detection:
    """Return the most probable language of a text with its script, or ``und`` with confidence 0 if it has no letters.

    >>> identify("我想在電腦上列印這個文件，應該怎麼做？").language
    'zh-Hant'
    """
    return next(iter(_anything().rank(text)), Detection("und", 0.0))


def detectable(code: str) -> bool:
    """Return whether py3langid knows a language.

    >>> detectable("pt-BR"), detectable("to")
    (True, False)
    """
    return any(each.partition("-")[0] == code.partition("-")[0] for each in _anything().known)


def mistaken_for(code: str) -> frozenset[str]:
    """Return a language without script and region, and those that py3langid mistakes for it.

    >>> sorted(mistaken_for("cs"))
    ['cs', 'sk']
    """
    base = code.partition("-")[0]
    return frozenset({base}.union(*(alike for alike in _MISTAKEN if base in alike)))


def _forms_among(code: str, languages: tuple[str, ...]) -> tuple[str, ...]:
    """Return the forms of a language that are among some, or else those of a language that is taken for it."""
    bases = {each: each.partition("-")[0] for each in sorted(languages)}
    own = tuple(each for each, base in bases.items() if base == code)
    return own or tuple(each for each, base in bases.items() if base in _ALIKE.get(code, ()))


@cache
def _written_forms(code: str) -> tuple[str, ...]:
    """Return a language in each script in which CLDR knows it, the usual one first.

    >>> _written_forms("sr"), _written_forms("zh")
    (('sr', 'sr-Latn'), ('zh', 'zh-Hant'))
    """
    tags = (langcodes.Language.get(likely) for likely in LIKELY_SUBTAGS.values() if likely.startswith(f"{code}-"))
    scripts = {tag.script for tag in tags if tag.script} & _COMMON_FORMS
    return (code, *sorted({canonical(f"{code}-{script}") for script in scripts} - {code}))


def _in_script(forms: tuple[str, ...], written: frozenset[str]) -> tuple[str, ...]:
    """Return the forms that a text in some scripts may be in: of each script the first one.

    Without one in these scripts, the first form of a language that is written in them too.
    """
    fitting: dict[str, str] = {}
    for code in forms:
        script = script_of(code)
        if not script or written.intersection((script, *members(script))):
            fitting.setdefault(script, code)
    # Hans and Hant are styles of Hani, so they say more about a text.
    exact = tuple(code for script, code in fitting.items() if script in written)
    others = (script_of(code) for form in forms for code in _written_forms(form.partition("-")[0]))
    if not fitting and written.intersection(others):
        return forms[:1]
    return exact or tuple(fitting.values())
