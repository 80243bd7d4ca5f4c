"""What is known of a data set: its card in the catalogue, and what to read of it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError
from panglot.data.collection import Collection
from panglot.data.language import canonical


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
