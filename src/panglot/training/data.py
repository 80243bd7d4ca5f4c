"""The training sets: read, checked, split, and turned into token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot.augment.codeswitch import Switched, reachable
from panglot.batching.batch import Batch, Bools
from panglot.batching.policy import DISTILL, is_english
from panglot.batching.table import TrainingTable
from panglot.data.arrow import take, walk
from panglot.data.collection import Collection, Ints
from panglot.data.formats.detect import selected
from panglot.data.keys import Ints32
from panglot.data.language import canonical
from panglot.data.overlap import Overlap
from panglot.data.rows import RowError
from panglot.data.transform import hold_out, joined
from panglot.datasets import registry
from panglot.datasets.check import read_usable
from panglot.datasets.decontaminate import guard
from panglot.encoders.protocol import Side
from panglot.training.switching import Switching, english_rows, told

if TYPE_CHECKING:
    from panglot.training.encoder import Tokens, TrainableEncoder
    from panglot.training.settings import Settings

_TOLD, _SHOWN = 0.2, 60
# Texts whose tokens are kept, some 300 bytes each.
_MOST_KEPT = 1_000_000


@dataclass(frozen=True)
class TrainingData:
    """What a run trains and is watched on.

    Attributes:
        collections: The training sets.
        sources: Their rows, in the same order.
        dev: What it is measured on while training, or None.
        switching: How English rows are code-switched, or None.
        shared: What was left out because a test set has it.
        unread: Why a test set at hand could not be compared, by name.
        compared: The test sets that could.
        broken: Lines that were left out because they cannot be read, by training set.
    """

    collections: tuple[Collection, ...]
    sources: tuple[TrainingTable, ...]
    dev: Collection | None
    switching: Switching | None = None
    shared: tuple[Overlap, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    compared: tuple[str, ...] = ()
    broken: Mapping[str, Sequence[RowError]] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the owner of the data should know before training, a sentence each."""
        found = [warning for source in self.sources for warning in source.warnings]
        found += [
            f"{each.training}: {each.groups:,} groups left out, {each.test} shares text with them"
            for each in self.shared
            if each.groups
        ]
        found += [f"{each.training}: nearest to {each.test} of what stays, {nearest}"
                  for each in self.shared if (nearest := told_nearest(each))]  # fmt: skip
        found += [f"not compared with {name}: {why}" for name, why in self.unread.items()]
        found += [f"{name}: {len(lines):,} broken lines left out" for name, lines in self.broken.items()]
        if self.switching:
            found += [*self.switching.warnings, self.switching.told_coverage(self.collections)]
        return tuple(found)

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each collection by name; ``dev`` under its name with the prefix ``dev:``; of the lexicons."""
        found = {collection.name: collection.digest for collection in self.collections}
        if self.switching:
            found["lexicons"] = self.switching.lexicon.digest
        return found | ({f"dev:{self.dev.name}": self.dev.digest} if self.dev else {})

    @property
    def left_out(self) -> list[dict[str, Any]]:
        """What each training set shares with each test set that it was compared with."""
        return [
            {
                "training": each.training,
                "test": each.test,
                "equal": each.equal,
                "near": each.near,
                "groups": each.groups,
                "nearest": round(each.highest, 3),
                "nearest_texts": list(each.nearest) if told_nearest(each) and each.nearest else None,
            }
            for each in self.shared
        ]

    def used_texts(self) -> dict[Side, list[str]]:
        """Return the texts that rows use, and the words that code-switching may bring in."""
        texts: dict[Side, list[str]] = {"question": [], "passage": []}
        for collection, rows in zip(self.collections, self.sources, strict=True):
            for found, table, used in (
                (texts["question"], collection.questions, rows.question),
                (texts["passage"], collection.passages, rows.passage),
            ):
                found.extend(take(table["text"], np.unique(used[used >= 0])).to_pylist())
        if self.switching:
            for found in texts.values():
                found.extend(reachable(found, self.switching.lexicon))
        return texts


def load(settings: Settings, compared: AbstractSet[str] | None = None) -> TrainingData:
    """Read what ``settings`` names; with ``compared``, test sets that came to hand since are not looked at.

    Raises:
        PanglotError: A set is not at hand, is broken, is for tests only, or has no rows to train on.
    """
    train: list[Collection] = []
    held: list[Collection] = []
    shared: list[Overlap] = []
    unread: dict[str, str] = {}
    tests: set[str] = set()
    broken: dict[str, Sequence[RowError]] = {}
    for wish in settings.on:
        known = not Path(wish).exists()
        name, _, candidates = wish.partition("@") if known else (wish, "", "")
        if settings.on_error == "skip" and not known:
            collection, broken[name] = _sieved(name, settings)
        else:
            collection = registry.read(
                name,
                data_dir=settings.data_dir,
                candidates=candidates or None,
                languages=settings.languages or None,
            )
        if collection.about.get("test_only") == "yes":
            raise PanglotError(
                f"{name} is a test set, and training on it would make its figures worthless",
                field="on",
                hint="train on another set, such as mlqa or starter:train",
            )
        # The name seeds the permutations: that of a saved collection is the same wherever it lies.
        collection = replace(collection, name=wish) if known else collection
        if settings.exclude:
            guarded = guard(collection, settings.exclude, data_dir=settings.data_dir, only=compared)
            collection = guarded.collection
            shared.extend(guarded.overlaps)
            unread |= guarded.unread
            tests.update(guarded.compared)
        if settings.dev_share and not settings.dev:
            collection, dev = hold_out(collection, settings.dev_share, settings.seed)
            held.append(dev)
        train.append(collection)
    dev = registry.read(settings.dev, data_dir=settings.data_dir) if settings.dev else joined(held)
    sources = tuple(TrainingTable.from_collection(collection) for collection in train)
    kept_aside = {name: lines for name, lines in broken.items() if lines}
    return TrainingData(tuple(train), sources, dev, Switching.of(settings, sources), tuple(shared), unread,
                        tuple(sorted(tests)), kept_aside)  # fmt: skip


def told_nearest(overlap: Overlap) -> str:
    """Return in words the pair that shares most below the threshold, or "" where it shares less than a fifth."""
    if overlap.nearest is None or overlap.highest < _TOLD:
        return ""
    mine, theirs = (" ".join(text.split())[:_SHOWN] for text in overlap.nearest)
    return f"{overlap.highest:.0%} of n-grams: {mine!r} and {theirs!r}"


def _sieved(path: str, settings: Settings) -> tuple[Collection, Sequence[RowError]]:
    """Return what can be read of a file, and the lines that cannot."""
    collection, broken = read_usable(path)
    if collection is None:
        first = broken[0]
        raise PanglotError(
            f"nothing is left without the broken lines; the first one: {first.problem}",
            file=path, line=first.line, field=first.field or None, hint=first.hint,
        )  # fmt: skip
    languages = [canonical(code) for code in settings.languages]
    return (selected(collection, languages) if languages else collection), broken


@dataclass(frozen=True)
class Example:
    """One batch as the model meets it.

    Attributes:
        questions: Token ids of each question, ``B`` of them.
        passages: Token ids of each passage: those of the batch, then hard negatives.
        positive: Which passages answer which questions, shape ``[B, P]``.
        ignored: Which passages are neither positive nor negative for a question, shape ``[B, P]``, or None.
    """

    questions: list[Tokens]
    passages: list[Tokens]
    positive: np.ndarray
    ignored: np.ndarray | None


class Collator:
    """The training texts as token ids, made when first used and kept.

    Args:
        data: The training sets.
        trainee: Tokenizes.
        hard_negatives: The most that one question brings.
        seed: Draws them where there are more.
    """

    def __init__(self, data: TrainingData, trainee: TrainableEncoder, hard_negatives: int, seed: int) -> None:
        self._data, self._trainee = data, trainee
        self._seed, self._most = seed, hard_negatives
        self._kept: dict[tuple[int, Side, int], Tokens] = {}
        self._judged = [_negatives(c) for c in data.collections] if hard_negatives else []
        self._switched: dict[tuple[int, Side, int], Switched] = {}

    def example(self, batch: Batch) -> Example:
        """Return the texts of a batch, and what answers what."""
        if batch.kind in DISTILL:
            side: Side = "question" if batch.kind == DISTILL[0] else "passage"
            texts, english = (self._tokens(batch.source, side, rows) for rows in (batch.questions, batch.passages))
            return Example(texts, english, np.eye(len(batch.rows), dtype=bool), None)
        extra, origin = self._hard(batch)
        passages = np.concatenate([batch.passages, extra])
        positive = np.zeros((len(batch.questions), len(passages)), bool)
        if batch.positive is None:
            np.fill_diagonal(positive, val=True)
        else:
            positive[:, : batch.positive.shape[1]] = batch.positive
        ignored = None
        if len(extra):
            # Another question's hard negative may be a passage of this row's own group.
            own = self._data.sources[batch.source].passage[batch.rows]
            ignored = (own[:, :, None] == passages[None, None]).any(1) & ~positive
            ignored[origin, len(batch.passages) + np.arange(len(extra))] = False
        english = english_rows(batch, self._data.sources[batch.source])
        return Example(
            self._met(batch, "question", batch.questions, english),
            self._met(batch, "passage", passages, np.concatenate([english, english[origin]])),
            positive,
            ignored,
        )

    def told(self) -> dict[str, Any]:
        """Return what the log says of the texts that were code-switched since the last call."""
        switched, self._switched = self._switched, {}
        return told(switched.values())

    def _met(self, batch: Batch, side: Side, rows: Ints, english: Bools) -> list[Tokens]:
        """Return the texts of one side, those of English rows code-switched where that is wanted."""
        switching = self._data.switching
        if switching is None or not english.any():
            return self._tokens(batch.source, side, rows)
        collection = self._data.collections[batch.source]
        # A hard negative of an English question may be in another language.
        language = collection.question_language if side == "question" else collection.passage_language
        codes = np.array([is_english(code) for code in collection.languages])
        chosen = english & codes[language[rows]]
        table = collection.questions if side == "question" else collection.passages
        texts: list[str] = []
        for row, text in zip(rows[chosen].tolist(), take(table["text"], rows[chosen]).to_pylist(), strict=True):
            met = switching(text, batch.step, collection.name, side, row)
            self._switched[batch.source, side, row] = met
            texts.append(met.text)
        changed = iter(self._trainee.tokenize(texts, side))
        plain = iter(self._tokens(batch.source, side, rows[~chosen]))
        return [next(changed if replaced else plain) for replaced in chosen]

    def _hard(self, batch: Batch) -> tuple[Ints, Ints]:
        if not self._judged:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        asked, wrong = self._judged[batch.source]
        found: list[int] = []
        origin: list[int] = []
        for place, question in enumerate(batch.questions):
            choices = wrong[slice(*np.searchsorted(asked, (question, question + 1)))]
            if len(choices) > self._most:
                rng = np.random.default_rng((self._seed, batch.step, place))
                choices = rng.choice(choices, self._most, replace=False)
            found.extend(int(c) for c in choices)
            origin.extend(place for _ in choices)
        return np.asarray(found, np.int64), np.asarray(origin, np.int64)

    def _tokens(self, number: int, side: Side, rows: Ints) -> list[Tokens]:
        missing = [int(row) for row in np.unique(rows) if (number, side, int(row)) not in self._kept]
        if missing:
            collection = self._data.collections[number]
            table = collection.questions if side == "question" else collection.passages
            if len(self._kept) > _MOST_KEPT:
                self._kept.clear()
                missing = np.unique(rows).tolist()
            texts = take(table["text"], np.array(missing)).to_pylist()
            for row, tokens in zip(missing, self._trainee.tokenize(texts, side), strict=True):
                self._kept[number, side, row] = tokens
        return [self._kept[number, side, int(row)] for row in rows]


def _negatives(collection: Collection) -> tuple[Ints32, Ints32]:
    """Return the questions that have passages of grade 0 or less, in order, and beside each such a passage."""
    asked, wrong = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for batch in walk(collection.relevance):
        judged = batch["grade"].to_numpy() <= 0
        asked.append(batch["question"].to_numpy()[judged])
        wrong.append(batch["passage"].to_numpy()[judged])
    question, passage = np.concatenate(asked), np.concatenate(wrong)
    order = np.argsort(question, kind="stable")
    return question[order], passage[order]
