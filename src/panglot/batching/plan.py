"""Which rows meet in step k: a pure function of the seed and k."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from panglot._errors import PanglotError
from panglot.batching._random import Floats, uniforms
from panglot.batching.batch import Batch
from panglot.batching.deal import Epoch, Rows, deal
from panglot.batching.languages import different, same
from panglot.batching.policy import Policy
from panglot.batching.sources import Source
from panglot.batching.streams import Stream, streams
from panglot.corpus.collection import Ints

__all__ = ["Batch", "Plan", "Policy"]

_BLOCK = 4096
_EPOCHS_KEPT = 2**29  # bytes


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

    Raises:
        PanglotError: There is no source, two share a name, or none can serve one of the policy's kinds.
    """

    def __init__(self, sources: Sequence[Source], policy: Policy) -> None:
        names = [source.name for source in sources]
        if not names:
            raise PanglotError("there is nothing to train on", field="on", cure="name a data set")
        if twice := {name for name in names if names.count(name) > 1}:
            raise PanglotError(
                f"two sources are called {min(twice)!r}: they would be dealt alike",
                cure="give each its own name",
            )
        self.sources = tuple(sources)
        self.policy = policy
        of_kind = [streams(self.sources, policy, kind) for kind, _ in policy.kinds]
        self.streams: tuple[Stream, ...] = tuple(stream for group in of_kind for stream in group)
        self._first = np.cumsum([0, *(len(group) for group in of_kind)])
        self._kind_edges = _edges([share for _, share in policy.kinds])
        self._stream_edges = [_edges([stream.probability for stream in group]) for group in of_kind]
        self._drawn: list[Ints] = []
        self._before: list[Ints] = [np.zeros(len(self.streams), np.int64)]
        self._rows: dict[int, Rows] = {}
        self._epochs: OrderedDict[tuple[int, int], tuple[Epoch, Floats]] = OrderedDict()

    def __call__(self, k: int) -> Batch:
        """Return the batch of step ``k``, counted from 0."""
        stream, turn = self.draw(k)
        rows = self._rows_of(stream)
        epoch, chances = self._epoch(stream, turn // rows.batches)
        at = epoch.batch(turn % rows.batches)
        return self._batch(k, self.streams[stream], rows.rows[at], chances[:, at])

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
        return self._rows_of(stream).batches

    def _draws(self, block: int) -> Ints:
        chance = uniforms(2 * _BLOCK, "step", self.policy.seed, block).reshape(_BLOCK, 2)
        kind = np.searchsorted(self._kind_edges, chance[:, 0], side="right")
        stream = np.empty(_BLOCK, np.int64)
        for index, edges in enumerate(self._stream_edges):
            mine = kind == index
            stream[mine] = self._first[index] + np.searchsorted(edges, chance[mine, 1], side="right")
        return stream

    def _rows_of(self, index: int) -> Rows:
        if index not in self._rows:
            stream = self.streams[index]
            source = self.sources[stream.source]
            rows = stream.rows(source)
            versions = (source.question[rows] >= 0).sum(1) if stream.kind == "whole-group" else None
            self._rows[index] = Rows.of(rows, source.block[rows], versions, self.policy.batch_size)
        return self._rows[index]

    def _epoch(self, index: int, number: int) -> tuple[Epoch, Floats]:
        """Return an epoch of a stream, and two random numbers for each of its rows, shape ``[2, rows]``."""
        key = (index, number)
        if key not in self._epochs:
            stream, rows = self.streams[index], self._rows_of(index)
            source = self.sources[stream.source]
            name = (self.policy.seed, number, source.name, stream.name(source))
            mixed = stream.kind in {"mixed-mono", "cross", "hybrid-row"}
            chances = (
                uniforms(2 * len(rows.rows), *name, "languages") if mixed else np.empty(2 * len(rows.rows))
            )
            self._epochs[key] = deal(rows, *name), chances.reshape(2, -1)
            while len(self._epochs) > 1 and sum(map(_size, self._epochs.values())) > _EPOCHS_KEPT:
                self._epochs.popitem(last=False)
        self._epochs.move_to_end(key)
        return self._epochs[key]

    def _batch(self, step: int, stream: Stream, rows: Ints, chances: Floats) -> Batch:
        source = self.sources[stream.source]
        question, passage = source.question[rows], source.passage[rows]
        q, p = question >= 0, passage >= 0
        if stream.kind == "whole-group":
            asked, x = np.nonzero(q)
            answered, y = np.nonzero(p)
            positive = asked[:, None] == answered[None, :]
            questions, passages = question[asked, x], passage[answered, y]
            return Batch(step, stream.kind, stream.source, rows[asked], questions, passages, positive, x, y)
        if stream.question >= 0:
            x, y = np.full(len(rows), stream.question), np.full(len(rows), stream.passage)
        elif stream.kind == "mixed-mono":
            x = y = same(q, p, chances[0])
        else:
            x, y = different(q, p, chances[0])
            if stream.kind == "hybrid-row":
                mono, pairs = (q & p).sum(1), q.sum(1) * p.sum(1)
                alone = (mono > 0) & ((chances[1] < self.policy.alpha) | (pairs == mono))
                own = same(q, p, chances[0])
                x, y = np.where(alone, own, x), np.where(alone, own, y)
        at = np.arange(len(rows))
        return Batch(step, stream.kind, stream.source, rows, question[at, x], passage[at, y], None, x, y)


def _edges(shares: Sequence[float]) -> Floats:
    """Return the upper edges of intervals of [0, 1) but the last, so that no rounding leaves a gap at 1."""
    return np.cumsum(shares)[:-1]


def _size(kept: tuple[Epoch, Floats]) -> int:
    epoch, chances = kept
    return epoch.order.nbytes + epoch.hands.nbytes + chances.nbytes
