"""Which rows meet in step k: a pure function of the seed and k."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from panglot._errors import PanglotError
from panglot.batching.batch import Batch
from panglot.batching.policy import DISTILL, Objective, Policy, Stream, english_of, streams
from panglot.batching.shuffle import (
    Epoch,
    Floats,
    batches_needed,
    permutation,
    same_language,
    shuffle_epoch,
    two_languages,
    uniforms,
)
from panglot.batching.table import TrainingTable
from panglot.data.collection import Ints
from panglot.data.keys import Ints32

__all__ = ["Description", "Plan", "describe"]

_BLOCK = 4096
_EPOCH_BYTES = 2**28  # Beyond that, the least recently used epoch is shuffled again when it is needed.


class Plan:
    """The batches of a training run: ``plan(k)`` is the batch of step k, for any k in any order.

    The kind of step k and its stream (source, and language or pair) are drawn by a generator that is keyed by the seed
    and k. The rows are those of the stream's next batch. Its place is found by counting how often the stream was drawn
    in earlier steps. Each epoch of a stream is shuffled anew, keyed by seed, epoch, source name and stream. So the
    batch depends neither on the steps that were asked for before, nor on the number of processes, nor on the order of
    the sources.

    Args:
        sources: The sources, each with its own name.
        policy: Which rows meet.
        objective: The kinds and languages of its batches, in place of the policy's.

    Raises:
        PanglotError: There is no source, two share a name, or none has rows for one of the policy's kinds.
    """

    def __init__(self, sources: Sequence[TrainingTable], policy: Policy, objective: Objective | None = None) -> None:
        names = [source.name for source in sources]
        if not names:
            raise PanglotError("at least one training set is required", field="on", hint="name a data set")
        if twice := {name for name in names if names.count(name) > 1}:
            raise PanglotError(
                f"two training sets are called {min(twice)!r}, and the name seeds the order of their rows",
                hint="give each its own name",
            )
        self.sources = tuple(sources)
        self.policy = policy
        kinds = objective.kinds if objective else policy.kinds
        of_kind = [streams(self.sources, policy, kind, objective) for kind, _ in kinds]
        self._key = ("step", objective.name) if objective else ("step",)
        self.streams: tuple[Stream, ...] = tuple(stream for group in of_kind for stream in group)
        self._first = np.cumsum([0, *(len(group) for group in of_kind)])
        self._kind_edges = _edges([share for _, share in kinds])
        self._stream_edges = [_edges([stream.probability for stream in group]) for group in of_kind]
        in_turn = policy.language_sampling == "round-robin"
        self._turns = [self._by_language(group) if in_turn and group[0].question >= 0 else None for group in of_kind]
        self._drawn: list[Ints] = []
        self._before: list[Ints] = [np.zeros(len(self.streams), np.int64)]
        self._conflict_groups = [_from_zero(source.conflict_group) for source in self.sources]
        self._batches: dict[int, int] = {}
        self._epochs: OrderedDict[tuple[int, int], Epoch] = OrderedDict()
        self._chances: dict[int, tuple[int, Floats]] = {}

    def __call__(self, k: int) -> Batch:
        """Return the batch of step ``k``, counted from 0."""
        index, turn = self.draw(k)
        epoch, turn = divmod(turn, self.batches_per_epoch(index))
        rows = self._epoch(index, epoch).batch(turn)
        stream = self.streams[index]
        if stream.kind == "whole-group":
            return self._groups(k, stream, rows)
        x, y = self._languages(index, epoch, rows)
        source = self.sources[stream.source]
        ends = {DISTILL[0]: (source.question,) * 2, DISTILL[1]: (source.passage,) * 2}
        asked, answered = ends.get(stream.kind, (source.question, source.passage))
        questions, passages = asked[rows, x].astype(np.int64), answered[rows, y].astype(np.int64)
        return Batch(k, stream.kind, stream.source, rows, questions, passages, None, x, y)

    def draw(self, k: int) -> tuple[int, int]:
        """Return which of :attr:`streams` step ``k`` takes from, and how many earlier steps did."""
        if k < 0:
            raise ValueError(f"there is no step {k}")
        block, place = divmod(k, _BLOCK)
        while len(self._drawn) <= block:
            drawn = self._draws(len(self._drawn))
            self._before.append(self._before[-1] + np.bincount(drawn, minlength=len(self.streams)))
            self._drawn.append(drawn)
        drawn = self._drawn[block]
        stream = int(drawn[place])
        return stream, int(self._before[block][stream] + np.count_nonzero(drawn[:place] == stream))

    def batches_per_epoch(self, stream: int) -> int:
        """Return how many batches a stream has per epoch, in which each of its rows occurs once."""
        if stream not in self._batches:
            self._epoch(stream, 0)
        return self._batches[stream]

    def _draws(self, block: int) -> Ints:
        chance = uniforms(2 * _BLOCK, *self._key, self.policy.seed, block).reshape(_BLOCK, 2)
        kind = np.searchsorted(self._kind_edges, chance[:, 0], side="right")
        stream = np.empty(_BLOCK, np.int64)
        for index, edges in enumerate(self._stream_edges):
            of_kind = kind == index
            if (turns := self._turns[index]) is None:
                stream[of_kind] = self._first[index] + np.searchsorted(edges, chance[of_kind, 1], side="right")
            else:
                before = int(self._before[-1][self._first[index] : self._first[index + 1]].sum())
                stream[of_kind] = self._first[index] + self._in_turn(turns, index, before, chance[of_kind, 1])
        return stream

    def _by_language(self, group: Sequence[Stream]) -> list[tuple[Ints, Floats]]:
        """Return, for each language (or pair) of a kind by code, its streams and the edges to draw one of them by."""
        of_source: dict[int, float] = {}
        for stream in group:
            of_source[stream.source] = of_source.get(stream.source, 0.0) + stream.probability
        found: dict[tuple[str, str], list[int]] = {}
        for place, stream in enumerate(group):
            codes = self.sources[stream.source].languages
            found.setdefault((codes[stream.question], codes[stream.passage]), []).append(place)
        return [
            (np.array(places), _edges((share := np.array([of_source[group[i].source] for i in places])) / share.sum()))
            for _, places in sorted(found.items())
        ]

    def _in_turn(self, turns: list[tuple[Ints, Floats]], kind: int, before: int, chance: Floats) -> Ints:
        """Return the streams of the next batches of a kind, of which there were ``before``: each language in turn."""
        found = np.empty(len(chance), np.int64)
        order, cycle = np.empty(0, np.int64), -1
        for place, draw in enumerate(chance):
            number, turn = divmod(before + place, len(turns))
            if number != cycle:
                order = permutation(len(turns), *self._key, self.policy.seed, "round-robin", kind, number)
                cycle = number
            streams, edges = turns[order[turn]]
            found[place] = streams[np.searchsorted(edges, draw, side="right")]
        return found

    def _epoch(self, index: int, number: int) -> Epoch:
        key = (index, number)
        if key not in self._epochs:
            stream = self.streams[index]
            source = self.sources[stream.source]
            rows = stream.rows(source)
            group = self._conflict_groups[stream.source][rows]
            whole = stream.kind == "whole-group"
            questions = int((source.question[rows] >= 0).sum()) if whole else len(rows)
            self._batches[index] = batches_needed(group, questions, self.policy.batch_size)
            self._epochs[key] = shuffle_epoch(rows, group, self._batches[index], *self._name(stream, number))
            while len(self._epochs) > 1 and sum(epoch.bytes for epoch in self._epochs.values()) > _EPOCH_BYTES:
                self._epochs.popitem(last=False)
        self._epochs.move_to_end(key)
        return self._epochs[key]

    def _name(self, stream: Stream, epoch: int) -> tuple[str | int, ...]:
        source = self.sources[stream.source]
        return self.policy.seed, epoch, source.name, stream.name(source)

    def _languages(self, index: int, epoch: int, rows: Ints) -> tuple[Ints, Ints]:
        """Return the language of each question and passage of a batch."""
        stream = self.streams[index]
        if stream.question >= 0:
            return np.full(len(rows), stream.question), np.full(len(rows), stream.passage)
        source = self.sources[stream.source]
        if self._chances.get(index, (-1,))[0] != epoch:
            drawn = uniforms(2 * source.rows, *self._name(stream, epoch), "languages")
            self._chances[index] = epoch, drawn.reshape(2, -1)
        chance = self._chances[index][1][:, rows]
        q, p = source.question[rows] >= 0, source.passage[rows] >= 0
        if stream.kind in DISTILL:
            others, english = (q if stream.kind == DISTILL[0] else p), english_of(source)
            others[:, english] = False
            return same_language(others, others, chance[0]), np.full(len(rows), english)
        if stream.kind == "mixed-mono":
            return (x := same_language(q, p, chance[0])), x
        x, y = two_languages(q, p, chance[0])
        if stream.kind == "hybrid-row":
            mono, pairs = (q & p).sum(1), q.sum(1) * p.sum(1)
            alone = (mono > 0) & ((chance[1] < self.policy.alpha) | (pairs == mono)) & source.mono
            own = same_language(q, p, chance[0])
            x, y = np.where(alone, own, x), np.where(alone, own, y)
        return x, y

    def _groups(self, step: int, stream: Stream, rows: Ints) -> Batch:
        """Return every version of the rows."""
        source = self.sources[stream.source]
        question, passage = source.question[rows].astype(np.int64), source.passage[rows].astype(np.int64)
        asked, x = np.nonzero(question >= 0)
        answered, y = np.nonzero(passage >= 0)
        positive = asked[:, None] == answered[None, :]
        questions, passages = question[asked, x], passage[answered, y]
        return Batch(step, stream.kind, stream.source, rows[asked], questions, passages, positive, x, y)


def _from_zero(group: Ints | Ints32) -> Ints | Ints32:
    """Number conflict groups from 0 without gaps, in their order."""
    # Those of TrainingTable.from_collection have such numbers already, and copies of millions of rows are saved.
    plain = group.min() >= 0 and group.max() < len(group) and bool(np.bincount(group).all())
    return group if plain else np.unique(group, return_inverse=True)[1]


def _edges(shares: Sequence[float] | Floats) -> Floats:
    """Return the upper edges of intervals of [0, 1) without the last one, so that rounding leaves no gap at 1."""
    return np.cumsum(shares)[:-1]


@dataclass(frozen=True)
class Description:
    """Counts over the first steps of a plan.

    Attributes:
        steps: Steps that were counted.
        questions: Questions in them.
        kinds: Steps of each kind.
        sources: Questions of each source.
        languages: Questions per pair of languages, by ``(question, passage)`` code. For ``whole-group``, which has no
            pairs, every question counts once for each passage of its group.
        epochs: How often each source's rows were seen on average, by source name.
        batch_size: Smallest and largest number of questions in a batch.
    """

    steps: int
    questions: int
    kinds: Mapping[str, int]
    sources: Mapping[str, int]
    languages: Mapping[tuple[str, str], int]
    epochs: Mapping[str, float]
    batch_size: tuple[int, int]


def describe(plan: Plan, steps: int) -> Description:
    """Count kinds, sources and languages over the first ``steps`` steps of a plan."""
    kinds: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    languages: Counter[tuple[str, str]] = Counter()
    sizes: list[int] = []
    for k in range(steps):
        batch = plan(k)
        source = plan.sources[batch.source]
        kinds[batch.kind] += 1
        sources[source.name] += len(batch.questions)
        rows[source.name] += len(np.unique(batch.rows))
        sizes.append(len(batch.questions))
        if batch.positive is None:
            x, y = batch.question_languages, batch.passage_languages
        else:
            asked, answered = np.nonzero(batch.positive)
            x, y = batch.question_languages[asked], batch.passage_languages[answered]
        pairs, counts = np.unique(np.stack([x, y]), axis=1, return_counts=True)
        for pair, count in zip(pairs.T, counts, strict=True):
            languages[source.languages[pair[0]], source.languages[pair[1]]] += int(count)
    size_of = {source.name: source.rows for source in plan.sources}
    return Description(
        steps=steps,
        questions=sum(sizes),
        kinds=dict(kinds.most_common()),
        sources=dict(sources.most_common()),
        languages=dict(languages.most_common()),
        epochs={name: count / size_of[name] for name, count in rows.items()},
        batch_size=(min(sizes, default=0), max(sizes, default=0)),
    )
