"""The training sets: read, checked, split, and turned into the token ids of batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from panglot._errors import PanglotError
from panglot._files import shareable
from panglot.augment import codeswitch, lexicons
from panglot.batching.policy import Batch
from panglot.batching.table import DISTILL, TrainingTable, is_english
from panglot.data.collection import Collection, Ints
from panglot.data.columns import Bools, Ints32, connect, number_groups, take, text_numbers, walk
from panglot.data.files import RowError
from panglot.data.language import canonical
from panglot.data.transform import concatenate, hold_out
from panglot.datasets import registry
from panglot.datasets.decontaminate import Overlap, decontaminate
from panglot.datasets.suite import read_suite
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
    hard_negatives: tuple[tuple[Ints32, Ints32], ...] = ()  # of each collection, if any are trained on
    switching: codeswitch.Switching | None = None  # how English rows are code-switched
    overlaps: tuple[Overlap, ...] = ()  # what was left out because a test set has it
    not_compared: Mapping[str, str] = field(default_factory=dict)  # why, by the name of the test set
    compared: tuple[str, ...] = ()  # the test sets that were compared
    rejected: Mapping[str, Sequence[RowError]] = field(default_factory=dict)  # unreadable lines, by training set
    absent: tuple[str, ...] = ()  # languages to train on that no training set has

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the owner of the data should know before training, one sentence each."""
        found = [warning for source in self.sources for warning in source.warnings]
        found += [f"no training set has text in {', '.join(self.absent)}"] if self.absent else []
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
                found.extend(codeswitch.reachable(found, self.switching.lexicon))
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
    present: set[str] = set()
    rejected: dict[str, Sequence[RowError]] = {}
    excluded = settings.exclude
    if settings.suite:
        suite = read_suite(settings.suite)
        suite.refuse_test_sets(settings.data_dir)
        excluded = (*excluded, str(suite.file))
    dev = None
    if settings.dev:
        dev = registry.read(settings.dev, data_dir=settings.data_dir)
        hint = "choose by another set, such as starter:dev, or set dev_share"
        registry.refuse_test_set(settings.dev, dev, "choosing weights by it", hint, "dev")
        # A run that an earlier version started keeps the rows that it had.
        if settings.dev not in excluded and (compared is None or shareable(settings.dev) in compared):
            excluded = (*excluded, settings.dev)
    for spec in settings.on:
        known = not registry.split_language(spec)[0].exists()
        if settings.on_error == "skip" and not known:
            collection, broken = _read_usable(spec, settings)
            if broken:
                rejected[spec] = broken
        else:
            collection = registry.read(spec, data_dir=settings.data_dir, languages=settings.languages or None)
        hint = "train on another set, such as mlqa or starter:train"
        registry.refuse_test_set(spec.partition("@")[0] if known else spec, collection, "training on it", hint, "on")
        present.update(collection.languages)
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
    absent = tuple(sorted({canonical(code) for code in settings.languages} - present))
    return TrainingData(tuple(train), sources, dev, negatives, switching, *left_out, rejected, absent)


def _switching(settings: Settings, sources: Sequence[TrainingTable]) -> codeswitch.Switching:
    """Return the code-switching that a recipe asks for, or refuse training sets without English rows."""
    if not any(map(codeswitch.has_english_rows, sources)):
        problem = f"no row of {', '.join(source.name for source in sources)} is English on both sides"
        hint = "add a set with English questions and passages, or leave code_switch at none"
        raise PanglotError(problem, field="code_switch", hint=hint)
    lexicon = lexicons.read(settings.lexicons, settings.code_switch_languages, settings.data_dir)
    return codeswitch.Switching(lexicon, settings.code_switch, settings.code_switch_share, settings.seed)


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
        sets = zip(data.collections, data.sources, data.hard_negatives, strict=True) if data.hard_negatives else ()
        self._answers = [_answers(collection, source, wrong) for collection, source, (_, wrong) in sets]
        self._switched: dict[tuple[int, Side, int], codeswitch.Switched] = {}

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
            # A hard negative of another question may answer this one, or be a version or a copy of a passage that does.
            own, answered = self._answers[batch.source]
            ignored = (own[batch.rows][:, None] == answered[passages]) & ~positive
            ignored[origin, len(batch.passages) + np.arange(len(extra))] = False
        if (switching := self._data.switching) is None:
            questions = self._tokens(batch.source, "question", batch.questions)
            return Example(questions, self._tokens(batch.source, "passage", passages), positive, ignored)
        english = codeswitch.english_rows(batch, self._data.sources[batch.source])
        questions = self._switched_tokens(switching, batch, "question", batch.questions, english)
        # A hard negative is switched if the question that it belongs to is.
        english = np.concatenate([english, english[origin]])
        switched = self._switched_tokens(switching, batch, "passage", passages, english)
        return Example(questions, switched, positive, ignored)

    def metrics(self) -> dict[str, Any]:
        """Return figures of the texts that were code-switched since the last call, for the log."""
        switched, self._switched = self._switched, {}
        return codeswitch.switching_metrics(switched.values()) if switched else {}

    def _switched_tokens(
        self, switching: codeswitch.Switching, batch: Batch, side: Side, rows: Ints, english: Bools
    ) -> list[Tokens]:
        if not english.any():
            return self._tokens(batch.source, side, rows)
        collection = self._data.collections[batch.source]
        table, language = side_of(collection, side)
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
        if not self._data.hard_negatives:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        questions, negatives = self._data.hard_negatives[batch.source]
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
            table, _ = side_of(self._data.collections[number], side)
            if len(self._cache) > _MOST_CACHED:
                self._cache.clear()
                missing = np.unique(rows).tolist()
            texts = take(table["text"], np.array(missing)).to_pylist()
            for row, tokens in zip(missing, self._encoder.tokenize(texts, side), strict=True):
                self._cache[number, side, row] = tokens
        return [self._cache[number, side, int(row)] for row in rows]


def _answers(collection: Collection, source: TrainingTable, wrong: Ints32) -> tuple[Ints32, Ints32]:
    """Return numbers of the rows and of the passages of a collection. A passage answers the rows that share its number.

    Passages are tied by their group and by equal text, as the relevant ones are for conflict groups. A passage answers
    a row if one that it is tied to is relevant to the conflict group of the row. −1 means that it answers none.
    ``wrong`` are the hard negatives.
    """
    of_question = np.full(collection.questions.num_rows, -1, np.int32)
    for questions in source.question.T:
        of_question[questions[questions >= 0]] = source.conflict_group[questions >= 0]
    asked, relevant = (np.concatenate(part) for part in zip(*collection.walk_pairs(), strict=True))
    version = number_groups(collection.passages["group"])
    # Only texts of groups that a batch can have are read.
    met = np.zeros(int(version.max()) + 1, bool)
    met[version[np.concatenate([relevant, wrong])]] = True
    text = text_numbers(collection.passages["text"], met[version])
    every, known = np.arange(len(version)), np.flatnonzero(text >= 0)
    tied = connect(len(version), [(every, version), (known, text[known])])
    # Passages that nobody judged can tie the answers of several conflict groups. These are then one.
    one = connect(int(source.conflict_group.max()) + 1, [(of_question[asked], tied[relevant])])
    found = np.full(int(tied.max()) + 1, -1, np.int32)
    found[tied[relevant]] = one[of_question[asked]]
    return one[source.conflict_group], found[tied]
