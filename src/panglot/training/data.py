"""The training sets: read, checked, split, and turned into token ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.augment import lexicons
from panglot.augment.codeswitch import (
    Switched,
    Switching,
    english_rows,
    has_english_rows,
    reachable,
    switching_metrics,
)
from panglot.batching.policy import DISTILL, Batch, Bools, is_english
from panglot.batching.table import TrainingTable
from panglot.data.collection import Collection, Ints
from panglot.data.columns import Ints32, number_values, take, walk
from panglot.data.files import RowError
from panglot.data.language import canonical
from panglot.data.transform import concatenate, hold_out
from panglot.datasets import registry
from panglot.datasets.decontaminate import Overlap, decontaminate
from panglot.encoders.protocol import Side
from panglot.training.settings import Settings

if TYPE_CHECKING:
    from panglot.training.model import Tokens, TrainableEncoder

# Pairs of texts that share less are not worth a note, and longer texts are cut in it.
_NEAR, _SHOWN = 0.2, 60
# Texts per set and side of which those that are cut are counted.
_COUNTED = 50_000
# Texts whose tokens are cached, at some 300 bytes each.
_MOST_CACHED = 1_000_000


@dataclass(frozen=True)
class TrainingData:
    """The data of a run."""

    collections: tuple[Collection, ...]  # the training sets
    sources: tuple[TrainingTable, ...]  # their rows, in the same order
    dev: Collection | None  # the collection that the model is measured on while training
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
            if cut := encoder.count_cut(take(_side(collection, side)[0]["text"], sample).to_pylist(), side):
                of = "a sample of " if len(sample) < len(used) else ""
                what = f"{cut:,} of {of}{len(sample):,} {side}s cut at {encoder.max_length:,} tokens"
                notes.append(f"{collection.name}: {what}. max_length says how many are kept")
        return notes

    def used_texts(self) -> dict[Side, list[str]]:
        """Return the texts of all rows, and the words that code-switching may add."""
        texts: dict[Side, list[str]] = {"question": [], "passage": []}
        for collection, side, used in self._used():
            texts[side].extend(take(_side(collection, side)[0]["text"], used).to_pylist())
        if self.switching:
            for found in texts.values():
                found.extend(reachable(found, self.switching.lexicon))
        return texts

    def _used(self) -> Iterator[tuple[Collection, Side, np.ndarray[Any, Any]]]:
        """Yield each collection and side with the rows of its texts that some training row has, rising."""
        for collection, table in zip(self.collections, self.sources, strict=True):
            sides: dict[Side, Ints | Ints32] = {"question": table.question, "passage": table.passage}
            for side, rows in sides.items():
                yield collection, side, np.unique(rows[rows >= 0])


def load(settings: Settings, compared: AbstractSet[str] | None = None) -> TrainingData:
    """Read the data of a run. With ``compared``, only these test sets are compared, not those downloaded since."""
    train: list[Collection] = []
    held: list[Collection] = []
    overlaps: list[Overlap] = []
    unread: dict[str, str] = {}
    tests: set[str] = set()
    rejected: dict[str, Sequence[RowError]] = {}
    excluded = settings.exclude
    if settings.suite:
        from panglot.datasets.suite import read_suite

        excluded = (*excluded, str(read_suite(settings.suite).file))
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
        if collection.metadata.get("test_only") == "yes":
            problem = f"{name} is a test set, and training on it would make its figures worthless"
            raise PanglotError(problem, field="on", hint="train on another set, such as mlqa or starter:train")
        # The name seeds the permutations: that of a saved collection is the same wherever it lies.
        collection = replace(collection, name=spec) if known else collection
        if excluded:
            clean = decontaminate(collection, excluded, data_dir=settings.data_dir, only=compared)
            collection = clean.collection
            overlaps.extend(clean.overlaps)
            unread |= clean.unread
            tests.update(clean.compared)
        if settings.dev_share and not settings.dev:
            collection, dev = hold_out(collection, settings.dev_share, settings.seed)
            held.append(dev)
        train.append(collection)
    dev = concatenate(held) if held else None
    if settings.dev:
        dev = registry.read(settings.dev, data_dir=settings.data_dir)
    sources = tuple(TrainingTable.from_collection(collection) for collection in train)
    switching = _switching(settings, sources) if settings.code_switch != "none" else None
    return TrainingData(tuple(train), sources, dev, switching, tuple(overlaps), unread, tuple(sorted(tests)), rejected)


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


@dataclass(frozen=True)
class Example:
    """One batch as token ids of B questions and P passages, of which hard negatives come last.

    ``positive`` marks which passages answer which questions, shape ``[B, P]``, and ``ignored`` those that are neither
    positive nor negative.
    """

    questions: list[Tokens]
    passages: list[Tokens]
    positive: np.ndarray
    ignored: np.ndarray | None


class Collator:
    """Makes token ids of batches. Those of a text are made when it is first used, and cached.

    If a question has more than ``hard_negatives`` of them, ``seed`` seeds the draw.
    """

    def __init__(self, data: TrainingData, encoder: TrainableEncoder, hard_negatives: int, seed: int) -> None:
        self._data, self._encoder = data, encoder
        self._seed, self._most = seed, hard_negatives
        self._cache: dict[tuple[int, Side, int], Tokens] = {}
        sets = list(zip(data.collections, data.sources, strict=True)) if hard_negatives else []
        self._negatives = [_negatives(collection) for collection, _ in sets]
        self._answers = [_answers(collection, source) for collection, source in sets]
        self._switched: dict[tuple[int, Side, int], Switched] = {}

    def __call__(self, batch: Batch) -> Example:
        """Return the token ids of a batch, and which passages answer which questions."""
        if batch.kind in DISTILL:
            # The "passages" of such a batch are the English texts of the same side.
            side: Side = "question" if batch.kind == DISTILL[0] else "passage"
            texts, english = (self._tokens(batch.source, side, rows) for rows in (batch.questions, batch.passages))
            return Example(texts, english, np.eye(len(batch.rows), dtype=bool), None)
        extra, origin = self._hard_negatives(batch)
        passages = np.concatenate([batch.passages, extra])
        positive = np.zeros((len(batch.questions), len(passages)), bool)
        if batch.positive is None:
            np.fill_diagonal(positive, val=True)
        else:
            positive[:, : batch.positive.shape[1]] = batch.positive
        ignored = None
        if len(extra):
            # A hard negative of another question may answer this one, or be a version of a passage that does.
            own = self._data.sources[batch.source].conflict_group[batch.rows]
            ignored = (own[:, None] == self._answers[batch.source][passages]) & ~positive
            ignored[origin, len(batch.passages) + np.arange(len(extra))] = False
        if (switching := self._data.switching) is None:
            questions = self._tokens(batch.source, "question", batch.questions)
            return Example(questions, self._tokens(batch.source, "passage", passages), positive, ignored)
        english = english_rows(batch, self._data.sources[batch.source])
        questions = self._switched_tokens(switching, batch, "question", batch.questions, english)
        # A hard negative is switched if the question that it belongs to is.
        english = np.concatenate([english, english[origin]])
        switched = self._switched_tokens(switching, batch, "passage", passages, english)
        return Example(questions, switched, positive, ignored)

    def metrics(self) -> dict[str, Any]:
        """Return figures of the texts that were code-switched since the last call, for the log."""
        switched, self._switched = self._switched, {}
        return switching_metrics(switched.values()) if switched else {}

    def _switched_tokens(
        self, switching: Switching, batch: Batch, side: Side, rows: Ints, english: Bools
    ) -> list[Tokens]:
        if not english.any():
            return self._tokens(batch.source, side, rows)
        collection = self._data.collections[batch.source]
        table, language = _side(collection, side)
        # A hard negative of an English question may be in another language.
        codes = np.array([is_english(code) for code in collection.languages])
        chosen = english & codes[language[rows]]
        texts: list[str] = []
        for row, text in zip(rows[chosen].tolist(), take(table["text"], rows[chosen]).to_pylist(), strict=True):
            switched = switching(text, batch.step, collection.name, side, row)
            self._switched[batch.source, side, row] = switched
            texts.append(switched.text)
        changed = iter(self._encoder.tokenize(texts, side))
        plain = iter(self._tokens(batch.source, side, rows[~chosen]))
        return [next(changed if replaced else plain) for replaced in chosen]

    def _hard_negatives(self, batch: Batch) -> tuple[Ints, Ints]:
        if not self._negatives:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        questions, negatives = self._negatives[batch.source]
        found: list[Ints32] = []
        for place, question in enumerate(batch.questions):
            # The judgements are sorted by question, so those of one question are a slice.
            choices = negatives[slice(*np.searchsorted(questions, (question, question + 1)))]
            if len(choices) > self._most:
                rng = np.random.default_rng((self._seed, batch.step, place))
                choices = rng.choice(choices, self._most, replace=False)
            found.append(choices)
        origin = np.repeat(np.arange(len(found)), [len(choices) for choices in found])
        return np.concatenate(found).astype(np.int64), origin

    def _tokens(self, number: int, side: Side, rows: Ints) -> list[Tokens]:
        missing = [int(row) for row in np.unique(rows) if (number, side, int(row)) not in self._cache]
        if missing:
            table, _ = _side(self._data.collections[number], side)
            if len(self._cache) > _MOST_CACHED:
                self._cache.clear()
                missing = np.unique(rows).tolist()
            texts = take(table["text"], np.array(missing)).to_pylist()
            for row, tokens in zip(missing, self._encoder.tokenize(texts, side), strict=True):
                self._cache[number, side, row] = tokens
        return [self._cache[number, side, int(row)] for row in rows]


def _side(collection: Collection, side: Side) -> tuple[pa.Table, Ints]:
    if side == "question":
        return collection.questions, collection.question_language
    return collection.passages, collection.passage_language


def _negatives(collection: Collection) -> tuple[Ints32, Ints32]:
    """Return sorted questions and, for each, a passage that was judged irrelevant to it."""
    asked, wrong = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for batch in walk(collection.qrels):
        judged = batch["relevance"].to_numpy() <= 0
        asked.append(batch["question"].to_numpy()[judged])
        wrong.append(batch["passage"].to_numpy()[judged])
    question, passage = np.concatenate(asked), np.concatenate(wrong)
    order = np.argsort(question, kind="stable")
    return question[order], passage[order]


def _answers(collection: Collection, source: TrainingTable) -> Ints32:
    """Return for each passage the conflict group of the rows that a version of it answers, −1 if there is none."""
    of_question = np.full(collection.questions.num_rows, -1, np.int32)
    for questions in source.question.T:
        of_question[questions[questions >= 0]] = source.conflict_group[questions >= 0]
    version = number_values(collection.passages["group"])
    found = np.full(int(version.max(initial=-1)) + 1, -1, np.int32)
    for question, passage in collection.walk_pairs():
        # Rows that share a version of a passage share a conflict group, so the last one speaks for all.
        found[version[passage]] = of_question[question]
    return found[version]
