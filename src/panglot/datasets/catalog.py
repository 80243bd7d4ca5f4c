"""What is known of data sets, by their cards in ``catalog.toml``, and of languages: names, script, family, sets."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import langcodes

from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.data.language import canonical, name, script_of
from panglot.data.letters import commonest_script, is_right_to_left, members


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """One known data set: an entry of ``catalog.toml``, with its fields.

    Attributes:
        name: What the user calls it.
        title: One line about it.
        reader: ``module:function``. The function takes a folder and a :class:`DatasetSpec`.
        task: What its questions and passages are.
        languages: Canonical codes, sorted.
        parallel: What ties its translations, or "no".
        size: Its size in words.
        licence: Its licence.
        source: Where to get it.
        folder: Name of its folder under the data folder.
        shipped: Name of its folder in the package, if it comes with panglot.
        files: Glob pattern below that folder. The set is available if a file matches.
        parts: Values of ``NAME:PART``, the default first. Empty if the set has no parts.
        candidates: Values of ``candidates``, the default first.
        test_only: Parts that must never be trained on; "*" means all.
        requires: Names of other sets from which it takes passages.
        selects_languages: Whether the reader skips languages that were not asked for. Such sets have so many
            languages that all pairs of translations would not fit into memory.
        pairs: Whether each language forms a pair of its own with English, read as ``NAME:XX``.
        hub: Repository on the hub that holds it, or "".
        hub_files: Patterns of the files to download from that repository.
        hub_pattern: Regular expression that matches ``path#id`` of the rows to keep.
        hub_path: Name of the publisher's file for such a row, filled from the named groups of ``hub_pattern``.
    """

    name: str
    title: str
    reader: str
    task: str
    languages: tuple[str, ...]
    parallel: str
    size: str
    licence: str
    source: str
    folder: str = ""
    shipped: str = ""
    files: str = "*.json*"
    parts: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ("paragraph",)
    test_only: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    selects_languages: bool = False
    pairs: bool = False
    hub: str = ""
    hub_files: tuple[str, ...] = ()
    hub_pattern: str = ""
    hub_path: str = ""

    def is_test_only(self, part: str) -> bool:
        """Return whether ``part`` ("" for a set without parts) must never be trained on."""
        return "*" in self.test_only or part in self.test_only

    def spec(
        self,
        *,
        part: str | None = None,
        candidates: str | None = None,
        context: bool = False,
        languages: Sequence[str] = (),
        folders: Mapping[str, Path] | None = None,
    ) -> DatasetSpec:
        """Return what to read, with defaults filled in, after checking that the set has it."""
        if part and part not in self.parts and not self.pairs:
            known = f"choose one of {', '.join(self.parts)}" if self.parts else "leave it out, the set has no parts"
            raise PanglotError(f"{self.name} has no part {part!r}", field="part", hint=known)
        # Whoever wants whole paragraphs may say so of any set, also of one that calls them passages.
        if candidates == "paragraph" and "passage" in self.candidates:
            candidates = "passage"
        chosen = candidates or self.candidates[0]
        if chosen not in self.candidates:
            hint = f"choose one of {', '.join(self.candidates)}"
            raise PanglotError(f"{self.name} has no candidates {chosen!r}", field="candidates", hint=hint)
        if context and chosen != "sentence":
            problem = f"`context` needs sentences as candidates, got {chosen!r}"
            raise PanglotError(problem, field="context", hint='add `candidates="sentence"`')
        codes = tuple(sorted(canonical(code) for code in languages)) if self.selects_languages else ()
        return DatasetSpec(self, part or next(iter(self.parts), ""), chosen, context, codes, folders or {})

    def read(self, folder: Path, **options: Any) -> Collection:
        """Read the set from its publisher's files in ``folder``, with ``options`` as :meth:`spec` takes them."""
        return self.spec(**options).read(folder)


@dataclass(frozen=True)
class DatasetSpec:
    """What to read of a known data set.

    Attributes:
        card: The data set.
        part: One of ``card.parts``; the language for a set of pairs; "" if there are no parts.
        candidates: What the passages are, one of ``card.candidates``.
        context: Whether the paragraph follows each sentence.
        languages: Canonical codes of the languages to read, for sets that select them. Empty means all.
        folders: The folders of the sets in ``card.requires``.
    """

    card: DatasetCard
    part: str
    candidates: str
    context: bool = False
    languages: tuple[str, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict[str, Path])

    @property
    def name(self) -> str:
        """What tables call it. The default part is not named."""
        return self.card.name if self.part in ("", *self.card.parts[:1]) else f"{self.card.name}:{self.part}"

    @property
    def metadata(self) -> dict[str, str]:
        """What to keep with the collection: facts of the card, part and candidates."""
        card = self.card
        test_only = "yes" if card.is_test_only(self.part) else "no"
        return {"title": card.title, "licence": card.licence, "source": card.source, "part": self.part,
                "test_only": test_only, "candidates": self.candidates}  # fmt: skip

    def wants(self, language: str) -> bool:
        """Return whether a language is to be read."""
        return not self.languages or language in self.languages

    def read(self, folder: Path) -> Collection:
        """Read the set from its publisher's files in ``folder``."""
        module, _, function = self.card.reader.partition(":")
        # Looked up on each call: a catalogue of thirty sets must not import thirty readers.
        return getattr(import_module(module), function)(folder, self)


def load_catalog(text: str) -> dict[str, DatasetCard]:
    r"""Return the cards of a catalogue in TOML, by name.

    >>> catalog = '[news]\ntitle = "News"\nreader = "my_package.news:read_news"\ntask = "question to passage"\n'
    >>> catalog += 'languages = "en de"\nparallel = "no"\nsize = "9"\nlicence = "MIT"\nsource = "example.org"\n'
    >>> load_catalog(catalog)["news"].languages
    ('de', 'en')
    """
    return {
        name: DatasetCard(name=name, languages=tuple(sorted(entry.pop("languages").split())), **_tuples(entry))
        for name, entry in tomllib.loads(text).items()
    }


def _tuples(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


CARDS: dict[str, DatasetCard] = load_catalog(
    resources.files("panglot.datasets").joinpath("catalog.toml").read_text("utf-8")
)

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
