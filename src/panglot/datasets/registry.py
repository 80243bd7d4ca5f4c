"""One door for every data set: by name, or by path."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data import cache
from panglot.data.collection import Collection
from panglot.data.formats.detect import read_path
from panglot.data.language import canonical
from panglot.datasets import hub
from panglot.datasets.card import CARDS, DatasetCard
from panglot.datasets.readers import READERS as _READERS
from panglot.datasets.readers import SELECTING, DatasetSpec

__all__ = ["CARDS", "DatasetCard", "find", "identity", "read"]


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

    A known name (``xquad-r``, ``mlqa:test``, ``ntrex-128:test@passage``; see :data:`CARDS`) is looked for under
    ``data_dir``, then under ``$PANGLOT_DATA``, then on the hub where one can be reached. Anything else is a path: a
    folder that :meth:`Collection.save` wrote, a BEIR or TREC folder, JSON lines, Parquet, or a SQuAD-like JSON file;
    ``hub:owner/name?question=COLUMN&passage=COLUMN&language=en`` reads the columns of a hub data set. Known
    sets and large files are parsed once and memory-mapped from the cache afterwards. ``about["test_only"]`` is
    ``"yes"`` for sets that must not be trained on.

    Args:
        name_or_path: ``NAME[:PART][@CANDIDATES]`` or a path; write ``./xquad-r`` for a folder of that name. What
            stands in the name wins over ``part`` and ``candidates``. A set of pairs with English is read a pair at a
            time: ``tatoeba-112:de``.
        data_dir: The folder that holds the folders of the known sets.
        candidates: ``sentence`` or ``paragraph`` where the set knows both.
        context: With sentences as candidates, put their paragraph behind each.
        part: The same as ``NAME:PART``.
        languages: Keep these; for one SQuAD-like file, its language.

    Raises:
        PanglotError: Unknown name, set not found, an option that the set does not have, or a broken file.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, str) and _head(text) in CARDS:
        wish, style = _named(text, candidates, context, part, languages)
        collection = _read_known(wish, data_dir)
        if style:
            collection = replace(collection, name=f"{collection.name}@{style}")
    elif text.startswith("hub:"):
        from panglot.datasets import hub

        collection = hub.read_name(text)
    elif Path(text).exists():
        if part is not None:
            raise PanglotError(f"{text} has no parts", field="part", hint="leave it out")
        return read_path(Path(text), candidates=candidates, context=context, languages=languages)
    else:
        raise _unknown(text)
    # Questions alone were selected by their reader; `select` asks for passages too.
    if not languages or collection.about.get("candidates") == "topics":
        return collection
    return collection.select([canonical(code) for code in languages])


def identity(
    name_or_path: str, *, data_dir: str | Path | None = None, languages: Sequence[str] | None = None
) -> str | None:
    """Return what changes when :func:`read` would give other texts: a digest of the files' names, sizes and times.

    Nothing is read. None where that cannot be told without reading: columns of the hub.

    Raises:
        PanglotError: As :func:`read`, of a name that is unknown or not at hand.
    """
    chosen = sorted(languages or ())
    if _head(name_or_path) in CARDS:
        wish, _ = _named(name_or_path, None, False, None, languages)
        if not wish.card.folder:
            from panglot.datasets import starter

            return cache.source_key(starter.folder().glob("*.jsonl"), part=wish.part, chosen=chosen)
        files = _sources(*_located(wish, data_dir))
        return cache.source_key(files, wish=wish.name, style=wish.candidates, chosen=chosen)
    path = Path(name_or_path)
    if not path.exists():
        return None
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return cache.source_key(files, chosen=chosen)


def is_known(name: str) -> bool:
    """Tell whether :func:`read` takes a name for that of a known set, and not for a path."""
    return name.partition("@")[0].partition(":")[0] in CARDS


def find(card: DatasetCard, data_dir: str | Path | None = None) -> Path | None:
    """Return the folder in which a known set lies, or None where it is not at hand."""
    return next((place for place in _places(card, data_dir) if any(place.glob(card.files))), None)


def _head(text: str) -> str:
    return text.partition("@")[0].partition(":")[0]


def _named(
    text: str, candidates: str | None, context: bool, part: str | None, languages: Sequence[str] | None
) -> tuple[DatasetSpec, str]:
    """Return what is wanted of a known set, and the kind of passages that its name says."""
    named, _, style = text.partition("@")
    head, colon, tail = named.partition(":")
    chosen = _pair(CARDS[head], tail or part, languages) if CARDS[head].pairs else tail if colon else part
    wish = _wish(CARDS[head], chosen, style or candidates, context)
    if head in SELECTING:
        wish = replace(wish, languages=tuple(sorted(canonical(code) for code in languages or ())))
    return wish, style


def _places(card: DatasetCard, data_dir: str | Path | None) -> list[Path]:
    roots = [data_dir, os.environ.get("PANGLOT_DATA")]
    return [Path(root).expanduser() / card.folder for root in roots if root]


def _pair(card: DatasetCard, part: str | None, languages: Sequence[str] | None) -> str:
    """Return the code of the language whose pair with English is wanted."""
    wanted = {canonical(code) for code in ([part] if part else languages or ())} - {"en"}
    if len(wanted) == 1 and wanted < set(card.languages):
        return wanted.pop()
    many = f"{card.name} is {len(card.languages) - 1} pairs with English, each with a pool of its own"
    problem = many if len(wanted) != 1 else f"{card.name} has no pair of {wanted.pop()} and English"
    raise PanglotError(problem, field="part", hint=f"read one of its languages, such as {card.name}:de")


def _wish(card: DatasetCard, part: str | None, candidates: str | None, context: bool) -> DatasetSpec:
    if part and part not in card.parts and not card.pairs:
        known = f"choose among {', '.join(card.parts)}" if card.parts else "it has no parts"
        raise PanglotError(f"{card.name} has no part {part!r}", field="part", hint=known)
    if candidates == "paragraph" and "passage" in card.candidates:
        candidates = "passage"
    chosen = candidates or card.candidates[0]
    if chosen not in card.candidates:
        raise PanglotError(
            f"{card.name} has no candidates {chosen!r}",
            field="candidates",
            hint=f"choose among {', '.join(card.candidates)}",
        )
    if context and chosen != "sentence":
        raise PanglotError(
            f"context goes with sentences, not with a {chosen}",
            field="context",
            hint="ask for candidates `sentence`",
        )
    return DatasetSpec(card, part or (card.parts[0] if card.parts else ""), chosen, context)


def _read_known(wish: DatasetSpec, data_dir: str | Path | None) -> Collection:
    card = wish.card
    if not card.folder:
        from panglot.datasets import starter

        return starter.read_starter(part=wish.part, name=wish.name, about=wish.about)
    wish, folder = _located(wish, data_dir)
    options = {"name": wish.name, "candidates": wish.candidates, "context": wish.context, "about": wish.about,
               "languages": wish.languages}  # fmt: skip
    sources = _sources(wish, folder)
    return cache.built_once(cache.source_key(sources, **options), lambda: _READERS[card.name](folder, wish))


def _located(wish: DatasetSpec, data_dir: str | Path | None) -> tuple[DatasetSpec, Path]:
    others = {name: _place(CARDS[name], data_dir) for name in wish.card.requires}
    return replace(wish, others=others), _place(wish.card, data_dir)


def _sources(wish: DatasetSpec, folder: Path) -> list[Path]:
    return [path for place in (folder, *wish.others.values()) for path in place.rglob("*") if path.is_file()]


def _place(card: DatasetCard, data_dir: str | Path | None) -> Path:
    folder = find(card, data_dir) or hub.fetch(card)
    if folder is None:
        looked = ", ".join(str(place / card.files) for place in _places(card, data_dir)) or "no data folder is set"
        raise PanglotError(
            f"the data set {card.name} is not at hand (looked for: {looked}{hub.why_not(card)})",
            hint=f"get it from {card.source}, put it into DATA/{card.folder} and give --data-dir DATA",
        )
    return folder


def _unknown(text: str) -> PanglotError:
    near = difflib.get_close_matches(text.partition(":")[0].lower(), CARDS, n=3, cutoff=0.5)
    looks_like_path = "/" in text or "." in Path(text).name
    problem = f"no such file or folder: {text}" if looks_like_path else f"unknown data set {text!r}"
    hint = f"did you mean {' or '.join(near)}?" if near else "see `panglot data list`, or give a path that exists"
    return PanglotError(problem, hint=hint)
