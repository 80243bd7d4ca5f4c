"""Reading a data set by its name or its path."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data import cache
from panglot.data.collection import Collection
from panglot.data.formats.detect import read_path
from panglot.data.language import canonical
from panglot.datasets import hub
from panglot.datasets.card import CARDS, DatasetCard, DatasetSpec

__all__ = ["find", "identity", "is_known", "read"]


def read(
    name_or_path: str | Path,
    *,
    data_dir: str | Path | None = None,
    candidates: str | None = None,
    context: bool = False,
    part: str | None = None,
    languages: Sequence[str] | None = None,
) -> Collection:
    """Return a data set as a collection.

    A known name (``xquad-r``, ``mlqa:test``, ``ntrex-128:test@passage``) is looked up under ``data_dir``, then under
    ``$PANGLOT_DATA``, then on the hub. ``hub:owner/name?question=COLUMN&passage=COLUMN&language=en`` reads columns of
    any data set on the hub. Anything else is a path: a folder that :meth:`Collection.save` wrote, a BEIR or TREC
    folder, JSON lines, Parquet, or a SQuAD-like JSON file.

    Known sets and large files are parsed once, then memory-mapped from the cache. ``about["test_only"]`` is ``"yes"``
    for sets that must not be trained on.

    Args:
        name_or_path: ``NAME[:PART][@CANDIDATES]`` or a path. Write ``./xquad-r`` for a folder of that name. The part
            and candidates in the name win over the arguments. A set of pairs with English is read one pair at a
            time: ``tatoeba-112:de``.
        data_dir: Folder that holds the folders of the known sets.
        candidates: ``sentence`` or ``paragraph``, if the set offers both.
        context: Append the paragraph to each sentence.
        part: The same as ``NAME:PART``.
        languages: Keep only these. For a single SQuAD-like file: its language.

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
    elif Path(text).exists():
        if part is not None:
            raise PanglotError(f"{text} has no parts, got part {part!r}", field="part", hint="leave it out")
        return read_path(Path(text), candidates=candidates, context=context, languages=languages)
    else:
        raise _unknown(text)
    # A reader of topics has already selected languages, and `select` needs passages.
    if not languages or collection.about.get("candidates") == "topics":
        return collection
    return collection.select([canonical(code) for code in languages])


def identity(
    name_or_path: str, *, data_dir: str | Path | None = None, languages: Sequence[str] | None = None
) -> str | None:
    """Return a digest of names, sizes and times of the files that :func:`read` would read.

    Nothing is read. Returns None for columns of the hub, whose files are unknown before they are read.

    Raises:
        PanglotError: As :func:`read`, for a name that is unknown or not available.
    """
    chosen = sorted(languages or ())
    if is_known(name_or_path):
        spec, _ = _parse(name_or_path, None, False, None, languages)
        files = _sources(*_locate(spec, data_dir))
        return cache.source_key(files, wish=spec.name, style=spec.candidates, chosen=chosen)
    path = Path(name_or_path)
    if not path.exists():
        return None
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return cache.source_key(files, chosen=chosen)


def is_known(name: str) -> bool:
    """Return whether :func:`read` takes a name for a known set rather than for a path."""
    return _head(name) in CARDS


def find(card: DatasetCard, data_dir: str | Path | None = None) -> Path | None:
    """Return the folder that holds a known set, or None if it is not available."""
    return next((place for place in _places(card, data_dir) if any(place.glob(card.files))), None)


def _head(text: str) -> str:
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
        return [Path(str(resources.files("panglot.datasets"))) / card.shipped]
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
    options = {"name": spec.name, "candidates": spec.candidates, "context": spec.context, "about": spec.about,
               "languages": spec.languages}  # fmt: skip
    return cache.cached(cache.source_key(_sources(spec, folder), **options), lambda: spec.read(folder))


def _locate(spec: DatasetSpec, data_dir: str | Path | None) -> tuple[DatasetSpec, Path]:
    folders = {name: _folder(CARDS[name], data_dir) for name in spec.card.requires}
    return replace(spec, folders=folders), _folder(spec.card, data_dir)


def _sources(spec: DatasetSpec, folder: Path) -> list[Path]:
    return [path for place in (folder, *spec.folders.values()) for path in place.rglob("*") if path.is_file()]


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
