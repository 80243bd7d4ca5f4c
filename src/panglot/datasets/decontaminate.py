"""Training sets kept clear of test sets, told or not which: found once, remembered by content.

Matching is exact: every n-gram of the test sets is held, 16 bytes each, and those of the training set pass by in
pieces, so that memory does not grow with the training set. What is left of a large set is written to the cache once
and memory-mapped; where nothing is shared it is the set itself.

MinHash would do worse here. It estimates the Jaccard index of two texts, and what a training set shares with a test
set is mostly a sentence or question inside a paragraph, whose Jaccard index is small however surely it is contained:
of the 24 pairs of texts that MLQA dev or TyDi QA train nearly share with XQuAD-R, TyDi QA dev, XOR-TyDi dev and MIRACL
dev, it is above one half in 6. Nor would it save memory: the n-grams of those test sets take 13 MB, signatures of 128
numbers for their texts 32 MB.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from panglot._errors import PanglotError
from panglot._files import cache_folder, digest, write_json
from panglot.data import overlap
from panglot.data.collection import Collection
from panglot.data.overlap import Overlap, Shared, shared
from panglot.datasets import registry
from panglot.datasets.card import CARDS, DatasetCard

AUTO = "auto"
# Goes up whenever the same texts would be found to share something else.
_VERSION = 2


@dataclass(frozen=True)
class Test:
    """A test set, not read yet.

    Attributes:
        name: As :func:`panglot.read` takes it.
        languages: The languages to read; empty: all.
        asked: Whether the user named it: then it must be readable.
    """

    name: str
    languages: tuple[str, ...] = ()
    asked: bool = True


@dataclass(frozen=True)
class Guarded:
    """A training set without what test sets have.

    Attributes:
        collection: What is left.
        overlaps: What was shared with each test set, in the order of their names.
        unread: Why a test set could not be compared, by name.
        compared: The names of those that were, as :func:`panglot.read` takes them.
    """

    collection: Collection
    overlaps: tuple[Overlap, ...]
    unread: dict[str, str]
    compared: tuple[str, ...]


def guard(
    training: Collection,
    wishes: Sequence[str],
    *,
    data_dir: str | Path | None = None,
    only: AbstractSet[str] | None = None,
) -> Guarded:
    """Return a training set without the texts that it shares with test sets (:func:`panglot.data.overlap.leave_out`).

    Args:
        training: What would be trained on.
        wishes: Test sets, as for :func:`panglot.read`; ``auto`` are all that :func:`at_hand` finds.
        data_dir: The folder that holds the folders of the known sets.
        only: Of the sets that ``auto`` finds, these alone: what a run was begun with, whatever came since.

    Raises:
        PanglotError: A set that was named cannot be read, or nothing is left.
    """
    named = tuple(Test(name) for name in wishes if name != AUTO)
    known = tuple(at_hand(training.languages, data_dir=data_dir)) if AUTO in wishes else ()
    known = tuple(test for test in known if only is None or test.name in only)
    found: list[Shared | None] = []
    keys: list[str | None] = []
    names: list[str] = []
    unread: dict[str, str] = {}
    missing: list[tuple[int, tuple[str, overlap.Texts]]] = []
    for test in (*known, *named):
        try:
            same = registry.identity(test.name, data_dir=data_dir, languages=test.languages)
            key = digest(str(_VERSION), training.digest, test.name, same) if same is not None else None
            known_before = _remembered(key) if key else None
            if known_before is None:
                read = registry.read(test.name, data_dir=data_dir, languages=test.languages or None)
                missing.append((len(found), overlap.prepare(read)))
        except PanglotError as error:
            if test.asked:
                raise
            unread[test.name] = str(error)
            continue
        found.append(known_before)
        keys.append(key)
        names.append(test.name)
    # One pass over the training texts for all that was not known.
    for (at, _), each in zip(missing, shared(training, [test for _, test in missing]), strict=True):
        found[at] = each
        _remember(keys[at], each)
    left, overlaps = overlap.without(training, [each for each in found if each is not None])
    if not _answers(left) and _answers(training):
        most = max(overlaps, key=lambda each: each.groups)
        raise PanglotError(
            f"nothing of {training.name} is left: it shares {most.groups:,} groups with the test set {most.test}",
            field="exclude",
            hint="train on another set, or name the test sets that you will measure on, as in `--exclude xquad-r`",
        )
    return Guarded(left, overlaps, unread, tuple(names))


def at_hand(languages: Sequence[str], *, data_dir: str | Path | None = None) -> Iterator[Test]:
    """Yield the known sets and parts that must not be trained on, where they are at hand, in these languages.

    Nothing is fetched. Of sets whose passages are millions the questions are compared. Sets whose added passages come
    out of other sets (``tydiqa-goldp-large``) are compared only by name.
    """
    for card in CARDS.values():
        if not card.test_only or card.requires or (card.folder and registry.find(card, data_dir) is None):
            continue
        common = tuple(code for code in card.languages if code in languages)
        if card.pairs:
            yield from (Test(f"{card.name}:{code}", asked=False) for code in common if code != "en")
        elif common:
            style = "@topics" if "topics" in card.candidates else ""
            for part in _parts(card):
                yield Test(card.name + (f":{part}" if part else "") + style, common, asked=False)


def _parts(card: DatasetCard) -> tuple[str, ...]:
    return (card.parts or ("",)) if "*" in card.test_only else card.test_only


def _answers(collection: Collection) -> bool:
    return any(len(question) for question, _ in collection.walk_pairs())


def _place(key: str) -> Path:
    return cache_folder() / "overlaps" / f"{key}.json"


def _remembered(key: str) -> Shared | None:
    try:
        values: dict[str, Any] = json.loads(_place(key).read_text("utf-8"))
        rows = np.frombuffer(zlib.decompress(b64decode(values["taken"])), "<i4").astype(np.int32)
        return Shared(
            values["test"],
            rows,
            values["equal"],
            values["near"],
            values["highest"],
            tuple((mine, theirs) for mine, theirs in values["examples"]),
            (values["nearest"][0], values["nearest"][1]) if values["nearest"] else None,
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError, zlib.error):
        return None


def _remember(key: str | None, shared: Shared) -> None:
    if key is not None:
        try:
            rows = b64encode(zlib.compress(shared.taken.astype("<i4").tobytes())).decode()
            write_json(_place(key), {**vars(shared), "taken": rows})
        except PanglotError:
            return  # a cache that cannot be written: found again next time
