"""Known data sets: a card for each, and reading one by its name, or any data set by its path."""

from __future__ import annotations

import difflib
import os
import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module, resources
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError
from panglot.data import ingest
from panglot.data.collection import Collection, cached, source_key
from panglot.data.files import files, objects, plain_name
from panglot.data.formats.detect import read_path, split_language
from panglot.data.language import canonical
from panglot.data.rows import Row, check_row
from panglot.datasets import hub, mteb_tasks

STARTER_PARTS = ("train", "dev", "test")
_PACKAGE = resources.files("panglot.datasets")


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


CARDS: dict[str, DatasetCard] = load_catalog(_PACKAGE.joinpath("catalog.toml").read_text("utf-8"))


def read(
    name_or_path: str | Path,
    *,
    data_dir: str | Path | None = None,
    candidates: str | None = None,
    context: bool = False,
    part: str | None = None,
    languages: Sequence[str] | None = None,
    language: str | None = None,
) -> Collection:
    """Return a data set as a collection.

    A known name (``xquad-r``, ``mlqa:test``, ``ntrex-128:test@passage``) is looked up under ``data_dir``, then under
    ``$PANGLOT_DATA``, then on the hub. ``hub:owner/name?question=COLUMN&passage=COLUMN&language=en`` reads columns of
    any data set on the hub, and ``mteb:TASK`` a retrieval task of mteb. Anything else is a path: a folder that
    :meth:`Collection.save` wrote, a BEIR or TREC folder, JSON lines, a JSON array, Parquet, or a SQuAD-like JSON file.
    ``PATH?language=en`` is the same as the argument ``language``, wherever a data set is named.

    Known sets and large files are parsed once, then memory-mapped from the cache. ``metadata["test_only"]`` is
    ``"yes"`` for sets that must not be trained on.

    Args:
        name_or_path: ``NAME[:PART][@CANDIDATES]`` or a path. Write ``./xquad-r`` for a folder of that name. The part
            and candidates in the name win over the arguments. A set of pairs with English is read one pair at a
            time: ``tatoeba-112:de``.
        data_dir: Folder that holds the folders of the known sets.
        candidates: ``sentence`` or ``paragraph``, if the set offers both.
        context: Append the paragraph to each sentence.
        part: The same as ``NAME:PART``.
        languages: Keep only these. For a single SQuAD-like file: its language.
        language: For a path, the language of the texts that do not name theirs, whatever the names of files say.
            Without it, a warning says what was guessed of a file's name or text.

    Raises:
        PanglotError: The name is unknown, the set is not found or lacks an option, or a file is broken.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, str) and is_known(text):
        spec, style = _parse(text, candidates, context, part, languages)
        collection = _read_known(spec, data_dir)
        if style:
            collection = replace(collection, name=f"{collection.name}@{style}")
    elif text.startswith("hub:"):
        collection = hub.read_name(text)
    elif text.startswith("mteb:"):
        collection = mteb_tasks.read_name(text, languages)
    else:
        path, stated = split_language(text)
        if not path.exists():
            raise _unknown(text)
        if part is not None:
            raise PanglotError(f"{text} has no parts, got part {part!r}", field="part", hint="leave it out")
        code = language or stated
        found = read_path(path, candidates=candidates, context=context, languages=languages, language=code)
        if guessed := found.metadata.get("language"):
            warnings.warn(f"{path.name}: {guessed}. Overrule it with `--language`", RuntimeWarning, stacklevel=2)
        return found
    # A reader of topics has already selected languages, and `select` needs passages.
    if not languages or collection.metadata.get("candidates") == "topics":
        return collection
    return collection.select([canonical(code) for code in languages])


def identity(
    name_or_path: str, *, data_dir: str | Path | None = None, languages: Sequence[str] | None = None
) -> str | None:
    """Return a digest of names, sizes and times of the files that :func:`read` would read, or None for remote data."""
    chosen = sorted(languages or ())
    if is_known(name_or_path):
        spec, _ = _parse(name_or_path, None, False, None, languages)
        return source_key(_sources(*_locate(spec, data_dir)), wish=spec.name, style=spec.candidates, chosen=chosen)
    path, code = split_language(name_or_path)
    if not path.exists():
        return None
    options = {"language": code} if code else {}
    return source_key(_files_below(path) if path.is_dir() else [path], chosen=chosen, **options)


def is_known(name: str) -> bool:
    """Return whether :func:`read` takes a name for a known set rather than for a path."""
    return set_name(name) in CARDS


def find(card: DatasetCard, data_dir: str | Path | None = None) -> Path | None:
    """Return the folder that holds a known set, or None if it is not available."""
    return next((place for place in _places(card, data_dir) if any(place.glob(card.files))), None)


def set_name(text: str) -> str:
    """Return the name of the set in ``NAME[:PART][@CANDIDATES]``."""
    return text.partition("@")[0].partition(":")[0]


def _parse(
    text: str, candidates: str | None, context: bool, part: str | None, languages: Sequence[str] | None
) -> tuple[DatasetSpec, str]:
    """Return what to read of a known set, and the candidates that its name asks for."""
    named, _, style = text.partition("@")
    head, colon, tail = named.partition(":")
    card = CARDS[head]
    chosen = _pair(card, tail or part, languages) if card.pairs else tail if colon else part
    return card.spec(part=chosen, candidates=style or candidates, context=context, languages=languages or ()), style


def _places(card: DatasetCard, data_dir: str | Path | None) -> list[Path]:
    if card.shipped:
        return [Path(str(_PACKAGE)) / card.shipped]
    roots = [data_dir, os.environ.get("PANGLOT_DATA")]
    return [Path(root).expanduser() / card.folder for root in roots if root]


def _pair(card: DatasetCard, part: str | None, languages: Sequence[str] | None) -> str:
    """Return the language whose pair with English to read."""
    chosen = {canonical(code) for code in ([part] if part else languages or ())} - {"en"}
    if len(chosen) == 1 and chosen < set(card.languages):
        return chosen.pop()
    many = f"{card.name} consists of {len(card.languages) - 1} pairs with English, each with its own pool"
    problem = many if len(chosen) != 1 else f"{card.name} has no pair of {chosen.pop()} and English"
    raise PanglotError(problem, field="part", hint=f"read one of its languages, such as {card.name}:de")


def _read_known(spec: DatasetSpec, data_dir: str | Path | None) -> Collection:
    spec, folder = _locate(spec, data_dir)
    if spec.card.shipped:
        return spec.read(folder)
    options = {"name": spec.name, "candidates": spec.candidates, "context": spec.context, "metadata": spec.metadata,
               "languages": spec.languages}  # fmt: skip
    return cached(source_key(_sources(spec, folder), **options), lambda: spec.read(folder))


def _locate(spec: DatasetSpec, data_dir: str | Path | None) -> tuple[DatasetSpec, Path]:
    folders = {name: _folder(CARDS[name], data_dir) for name in spec.card.requires}
    return replace(spec, folders=folders), _folder(spec.card, data_dir)


def _sources(spec: DatasetSpec, folder: Path) -> list[Path]:
    return [path for place in (folder, *spec.folders.values()) for path in _files_below(place)]


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _folder(card: DatasetCard, data_dir: str | Path | None) -> Path:
    folder = find(card, data_dir) or hub.fetch(card)
    if folder is None:
        looked = ", ".join(str(place / card.files) for place in _places(card, data_dir)) or "no data folder is set"
        raise PanglotError(
            f"the data set {card.name} was not found (looked for: {looked}{hub.why_not(card)})",
            hint=f"get it from {card.source}, put it into DATA/{card.folder} and add --data-dir DATA",
        )
    return folder


def _unknown(text: str) -> PanglotError:
    near = difflib.get_close_matches(text.partition(":")[0].lower(), CARDS, n=3, cutoff=0.5)
    looks_like_path = "/" in text or "." in Path(text).name
    problem = f"no such file or folder: {text}" if looks_like_path else f"unknown data set {text!r}"
    hint = f"did you mean {' or '.join(near)}?" if near else "see `panglot data list`, or give a path that exists"
    return PanglotError(problem, hint=hint)


def read_starter(folder: Path, spec: DatasetSpec) -> Collection:
    """Read one part of the starter collection, or ``all``: a file per language, each fact in one part.

    Lines are ``{"group", "subject", "split", "question", "passage"}``.
    """
    return ingest.collect(spec.name, _starter_rows(folder, spec.part), spec.metadata)


def _starter_rows(folder: Path, part: str) -> Iterator[tuple[Path, Row]]:
    for path in files(folder, "*.jsonl"):
        for line, values in objects(path, "group", "split", "question", "passage"):
            if values["split"] not in STARTER_PARTS:
                problem = f"`split` must be one of {', '.join(STARTER_PARTS)}, got {values['split']!r}"
                raise PanglotError(problem, file=path, line=line, field="split", hint="correct it")
            if part in ("all", values["split"]):
                yield path, check_row({**values, "language": plain_name(path)}, path, line)
