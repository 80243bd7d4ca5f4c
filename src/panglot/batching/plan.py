"""Which rows meet in step k: a pure function of the seed and k."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from panglot._errors import PanglotError
from panglot.batching.batch import Batch
from panglot.batching.epoch import Epoch, batches_needed, deal, different, same
from panglot.batching.policy import Policy
from panglot.batching.random import Floats, permutation, uniforms
from panglot.batching.streams import DISTILL, Objective, Stream, english_of, streams
from panglot.batching.table import TrainingTable
from panglot.data.collection import Ints
from panglot.data.keys import Ints32

__all__ = ["Batch", "Plan", "Policy"]

_BLOCK = 4096
_EPOCHS_KEPT = 2**28  # bytes; beyond it, the epoch that was used longest ago is dealt again when needed


class Plan:
    """The batches of a training run: ``plan(k)`` is the batch of step k, for any k in any order.

    The kind of step k, and its stream (source, and language or pair), are drawn by a generator that is keyed
    by the seed and k. The rows are those of the next batch of that stream, whose place is found by counting
    its draws in the steps before; each epoch of a stream is dealt anew, keyed by seed, epoch, source name
    and stream. So the batch depends neither on the steps that were asked for before, nor on the number of
    processes, nor on the order of the sources.

    Args:
        sources: The sources, each with its own name.
        policy: Which rows meet.
        objective: The kinds and languages of its batches, in place of the policy's.

    Raises:
        PanglotError: There is no source, two share a name, or none can serve one of the policy's kinds.
    """

    def __init__(self, sources: Sequence[TrainingTable], policy: Policy, objective: Objective | None = None) -> None:
        names = [source.name for source in sources]
        if not names:
            raise PanglotError("there is nothing to train on", field="on", hint="name a data set")
        if twice := {name for name in names if names.count(name) > 1}:
            raise PanglotError(
                f"two sources are called {min(twice)!r}: they would be dealt alike",
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
        self._block = [_from_zero(source.block) for source in self.sources]
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
        """Return after how many of its batches a stream has seen each of its rows once."""
        if stream not in self._batches:
            self._epoch(stream, 0)
        return self._batches[stream]

    def _draws(self, block: int) -> Ints:
        chance = uniforms(2 * _BLOCK, *self._key, self.policy.seed, block).reshape(_BLOCK, 2)
        kind = np.searchsorted(self._kind_edges, chance[:, 0], side="right")
        stream = np.empty(_BLOCK, np.int64)
        for index, edges in enumerate(self._stream_edges):
            mine = kind == index
            if (turns := self._turns[index]) is None:
                stream[mine] = self._first[index] + np.searchsorted(edges, chance[mine, 1], side="right")
            else:
                before = int(self._before[-1][self._first[index] : self._first[index + 1]].sum())
                stream[mine] = self._first[index] + self._in_turn(turns, index, before, chance[mine, 1])
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
            block = self._block[stream.source][rows]
            whole = stream.kind == "whole-group"
            questions = int((source.question[rows] >= 0).sum()) if whole else len(rows)
            self._batches[index] = batches_needed(block, questions, self.policy.batch_size)
            self._epochs[key] = deal(rows, block, self._batches[index], *self._name(stream, number))
            while len(self._epochs) > 1 and sum(epoch.bytes for epoch in self._epochs.values()) > _EPOCHS_KEPT:
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
            return same(others, others, chance[0]), np.full(len(rows), english)
        if stream.kind == "mixed-mono":
            return (x := same(q, p, chance[0])), x
        x, y = different(q, p, chance[0])
        if stream.kind == "hybrid-row":
            mono, pairs = (q & p).sum(1), q.sum(1) * p.sum(1)
            alone = (mono > 0) & ((chance[1] < self.policy.alpha) | (pairs == mono)) & source.mono
            own = same(q, p, chance[0])
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


def _from_zero(block: Ints | Ints32) -> Ints | Ints32:
    """Number blocks from 0 without gaps, in their order; those of :func:`panglot.batching.source` are already."""
    plain = block.min() >= 0 and block.max() < len(block) and bool(np.bincount(block).all())
    return block if plain else np.unique(block, return_inverse=True)[1]


def _edges(shares: Sequence[float] | Floats) -> Floats:
    """Return the upper edges of intervals of [0, 1) but the last, so that no rounding leaves a gap at 1."""
    return np.cumsum(shares)[:-1]
