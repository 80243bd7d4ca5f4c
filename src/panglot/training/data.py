"""The training sets: read, checked, split, and turned into token ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import shareable
from panglot.augment import lexicons
from panglot.augment.codeswitch import (
    Switching,
    has_english_rows,
    reachable,
)
from panglot.batching.table import TrainingTable
from panglot.data.collection import Collection, Ints
from panglot.data.columns import Ints32, take, walk
from panglot.data.files import RowError
from panglot.data.language import canonical
from panglot.data.transform import concatenate, hold_out
from panglot.datasets import registry
from panglot.datasets.decontaminate import Overlap, decontaminate
from panglot.encoders.protocol import Side
from panglot.training.settings import Settings

if TYPE_CHECKING:
    from panglot.training.model import TrainableEncoder

# Pairs of texts that share less are not worth a note, and longer texts are cut in it.
_NEAR, _SHOWN = 0.2, 60
# Texts per set and side of which those that are cut are counted.
_COUNTED = 50_000


@dataclass(frozen=True)
class TrainingData:
    """The data of a run."""

    collections: tuple[Collection, ...]  # the training sets
    sources: tuple[TrainingTable, ...]  # their rows, in the same order
    dev: Collection | None  # the collection that the model is measured on while training
    hard_negatives: tuple[tuple[Ints32, Ints32], ...] = ()  # of each collection, if any are trained on
    switching: Switching | None = None  # how English rows are code-switched
    overlaps: tuple[Overlap, ...] = ()  # what was left out because a test set has it
    not_compared: Mapping[str, str] = field(default_factory=dict)  # why, by the name of the test set
    compared: tuple[str, ...] = ()  # the test sets that were compared
    rejected: Mapping[str, Sequence[RowError]] = field(default_factory=dict)  # unreadable lines, by training set

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the owner of the data should know before training, one sentence each."""
        found = [warning for source in self.sources for warning in source.warnings]
        found += [f"{each.training}: {each.groups:,} groups left out because {each.test} shares text with them"
                  for each in self.overlaps if each.groups]  # fmt: skip
        found += [f"{each.training}: what is left shares most with {each.test} in {nearest}"
                  for each in self.overlaps if (nearest := describe_nearest(each))]  # fmt: skip
        found += [f"not compared with {name}: {why}" for name, why in self.not_compared.items()]
        found += [f"{name}: {len(lines):,} broken lines left out" for name, lines in self.rejected.items()]
        if self.switching:
            found += [*self.switching.warnings, self.switching.coverage_note(self.collections)]
        return tuple(found)

    @property
    def digests(self) -> dict[str, str]:
        """The digests of the collections by name, of the dev set as ``dev:NAME``, and of the lexicons."""
        found = {collection.name: collection.digest for collection in self.collections}
        if self.switching:
            found["lexicons"] = self.switching.lexicon.digest
        return found | ({f"dev:{self.dev.name}": self.dev.digest} if self.dev else {})

    @property
    def left_out(self) -> list[dict[str, Any]]:
        """What each training set shares with each test set that it was compared with."""
        return [
            {name: getattr(each, name) for name in ("training", "test", "equal", "near", "groups")}
            | {"nearest": round(each.highest, 3)}
            | {"nearest_texts": list(each.nearest) if describe_nearest(each) and each.nearest else None}
            for each in self.overlaps
        ]

    def cut_notes(self, encoder: TrainableEncoder) -> list[str]:
        """Return how many of the used texts of each set the encoder cuts. Of many texts, a sample is counted."""
        notes: list[str] = []
        for collection, side, used in self._used():
            sample = used[:: max(1, len(used) // _COUNTED)]
            if cut := encoder.count_cut(take(side_of(collection, side)[0]["text"], sample).to_pylist(), side):
                of = "a sample of " if len(sample) < len(used) else ""
                what = f"{cut:,} of {of}{len(sample):,} {side}s cut at {encoder.max_length:,} tokens"
                notes.append(f"{collection.name}: {what}. max_length says how many are kept")
        return notes

    def used_texts(self) -> dict[Side, list[str]]:
        """Return the texts of all rows and their hard negatives, and the words that code-switching may add."""
        texts: dict[Side, list[str]] = {"question": [], "passage": []}
        for collection, side, used in self._used():
            texts[side].extend(take(side_of(collection, side)[0]["text"], used).to_pylist())
        if self.switching:
            for found in texts.values():
                found.extend(reachable(found, self.switching.lexicon))
        return texts

    def _used(self) -> Iterator[tuple[Collection, Side, np.ndarray[Any, Any]]]:
        """Yield each collection and side with the rows of its texts that a batch can have, rising."""
        none = np.empty(0, np.int32)
        negatives = self.hard_negatives or [(none, none)] * len(self.sources)
        for collection, table, (asked, wrong) in zip(self.collections, self.sources, negatives, strict=True):
            questions = np.unique(table.question[table.question >= 0])
            yield collection, "question", questions
            passages = table.passage[table.passage >= 0]
            yield collection, "passage", np.unique(np.concatenate([passages, wrong[np.isin(asked, questions)]]))


def load(settings: Settings, compared: AbstractSet[str] | None = None) -> TrainingData:
    """Read the data of a run. With ``compared``, only these test sets are compared, not those downloaded since.

    Rows that share text with the dev set are left out as those of test sets are.
    """
    train: list[Collection] = []
    held: list[Collection] = []
    overlaps: list[Overlap] = []
    unread: dict[str, str] = {}
    tests: set[str] = set()
    rejected: dict[str, Sequence[RowError]] = {}
    excluded = settings.exclude
    if settings.suite:
        from panglot.datasets.suite import read_suite

        suite = read_suite(settings.suite)
        suite.refuse_test_sets(settings.data_dir)
        excluded = (*excluded, str(suite.file))
    dev = registry.read(settings.dev, data_dir=settings.data_dir) if settings.dev else None
    if settings.dev and dev is not None:
        hint = "choose by another set, such as starter:dev, or set dev_share"
        registry.refuse_test_set(settings.dev, dev, "choosing weights by it", hint, "dev")
        # A run that an earlier version started keeps the rows that it had.
        if settings.dev not in excluded and (compared is None or shareable(settings.dev) in compared):
            excluded = (*excluded, settings.dev)
    for spec in settings.on:
        known = not registry.split_language(spec)[0].exists()
        name, _, candidates = spec.partition("@") if known else (spec, "", "")
        if settings.on_error == "skip" and not known:
            collection, broken = _read_usable(name, settings)
            if broken:
                rejected[name] = broken
        else:
            languages, pool = settings.languages or None, candidates or None
            collection = registry.read(name, data_dir=settings.data_dir, candidates=pool, languages=languages)
        hint = "train on another set, such as mlqa or starter:train"
        registry.refuse_test_set(name, collection, "training on it", hint, "on")
        # The name seeds the permutations: that of a saved collection is the same wherever it lies.
        collection = replace(collection, name=spec) if known else collection
        if excluded:
            clean = decontaminate(collection, excluded, data_dir=settings.data_dir, only=compared)
            collection = clean.collection
            overlaps.extend(clean.overlaps)
            unread |= clean.unread
            tests.update(clean.compared)
        if settings.dev_share and not settings.dev:
            collection, part = hold_out(collection, settings.dev_share, settings.seed)
            held.append(part)
        train.append(collection)
    dev = concatenate(held) if held else dev
    sources = tuple(TrainingTable.from_collection(collection) for collection in train)
    switching = _switching(settings, sources) if settings.code_switch != "none" else None
    negatives = tuple(map(hard_negatives_of, train)) if settings.hard_negatives else ()
    left_out = tuple(overlaps), unread, tuple(sorted(tests))
    return TrainingData(tuple(train), sources, dev, negatives, switching, *left_out, rejected)


def _switching(settings: Settings, sources: Sequence[TrainingTable]) -> Switching:
    """Return the code-switching that a recipe asks for, or refuse training sets without English rows."""
    if not any(map(has_english_rows, sources)):
        problem = f"no row of {', '.join(source.name for source in sources)} is English on both sides"
        hint = "add a set with English questions and passages, or leave code_switch at none"
        raise PanglotError(problem, field="code_switch", hint=hint)
    lexicon = lexicons.read(settings.lexicons, settings.code_switch_languages, settings.data_dir)
    return Switching(lexicon, settings.code_switch, settings.code_switch_share, settings.seed)


def describe_nearest(overlap: Overlap) -> str:
    """Return in words the pair that shares most below the threshold, or "" if it shares less than a fifth."""
    if overlap.nearest is None or overlap.highest < _NEAR:
        return ""
    training, test = (" ".join(text.split())[:_SHOWN] for text in overlap.nearest)
    return f"{overlap.highest:.0%} of n-grams: {training!r} and {test!r}"


def _read_usable(path: str, settings: Settings) -> tuple[Collection, Sequence[RowError]]:
    """Return the collection of a file without its broken lines, and those lines."""
    collection, broken = registry.read_usable(path)
    if collection is None:
        first = broken[0]
        problem = f"every line is broken; the first one: {first.problem}"
        raise PanglotError(problem, file=path, line=first.line, field=first.field or None, hint=first.hint)
    languages = [canonical(code) for code in settings.languages]
    return (collection.select(languages) if languages else collection), broken


def side_of(collection: Collection, side: Side) -> tuple[pa.Table, Ints]:
    """Return the texts of a side and their languages, shape ``[texts]``."""
    if side == "question":
        return collection.questions, collection.question_language
    return collection.passages, collection.passage_language


def hard_negatives_of(collection: Collection) -> tuple[Ints32, Ints32]:
    """Return sorted questions and, for each, a passage that was judged irrelevant to it."""
    asked, wrong = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for batch in walk(collection.qrels):
        judged = batch["relevance"].to_numpy() <= 0
        asked.append(batch["question"].to_numpy()[judged])
        wrong.append(batch["passage"].to_numpy()[judged])
    question, passage = np.concatenate(asked), np.concatenate(wrong)
    order = np.argsort(question, kind="stable")
    return question[order], passage[order]
