"""Which rows meet in step k: a pure function of the seed and k."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from panglot._errors import PanglotError
from panglot.batching.policy import (
    Batch,
    Draws,
    Floats,
    Objective,
    Policy,
    Stream,
    permutation,
    random_bits,
    stable_order,
    streams,
    uniforms,
)
from panglot.batching.table import DISTILL, TrainingTable, english_of
from panglot.data.collection import Ints
from panglot.data.columns import Bools, Ints32

_BLOCK = 4096
_NEARLY_FULL = 0.8  # The mean batch with fewer of `batch_size` questions is warned of.
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
            problem = f"two training sets are called {min(twice)!r}, and the name seeds the order of their rows"
            raise PanglotError(problem, hint="give each its own name")
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
        self._draws = Draws(len(self.streams), _BLOCK, self._draw_block)
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
        return self._draws(k)[0]

    def batches_per_epoch(self, stream: int) -> int:
        """Return how many batches a stream has per epoch, in which each of its rows occurs once."""
        if stream not in self._batches:
            self._epoch(stream, 0)
        return self._batches[stream]

    def _draw_block(self, block: int, taken: Ints) -> Ints:
        chance = uniforms(2 * _BLOCK, *self._key, self.policy.seed, block).reshape(_BLOCK, 2)
        kind = np.searchsorted(self._kind_edges, chance[:, 0], side="right")
        stream = np.empty(_BLOCK, np.int64)
        for index, edges in enumerate(self._stream_edges):
            of_kind = kind == index
            if (turns := self._turns[index]) is None:
                places = np.searchsorted(edges, chance[of_kind, 1], side="right")
            else:
                before = int(taken[self._first[index] : self._first[index + 1]].sum())
                places = self._in_turn(turns, index, before, chance[of_kind, 1])
            stream[of_kind] = self._first[index] + places
        return stream[:, None]

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
            rows, group, _, batches = self._rows(stream)
            self._batches[index] = batches
            if int(np.bincount(group).max()) > batches:
                source = self.sources[stream.source]
                stays = _carry_over(group, batches, number, self.policy.seed, source.name, stream.name(source))
                rows, group = rows[stays], group[stays]
            self._epochs[key] = _shuffle_epoch(rows, group, batches, *self._name(stream, number))
            while (
                len(self._epochs) > 1
                and sum(array.nbytes for epoch in self._epochs.values() for array in epoch) > _EPOCH_BYTES
            ):
                self._epochs.popitem(last=False)
        self._epochs.move_to_end(key)
        return self._epochs[key]

    def _rows(self, stream: Stream) -> tuple[Ints, Ints | Ints32, int, int]:
        """Return a stream's rows, their conflict groups, the number of their questions, and of batches per epoch."""
        source = self.sources[stream.source]
        rows = stream.rows(source)
        group = self._conflict_groups[stream.source][rows]
        questions = int((source.question[rows] >= 0).sum()) if stream.kind == "whole-group" else len(rows)
        return rows, group, questions, _batches_needed(group, questions, self.policy.batch_size)

    def _full(self, stream: Stream) -> tuple[float, int]:
        """Return the mean number of questions of a stream's batches, and the rows that an epoch carries over."""
        rows, group, questions, batches = self._rows(stream)
        met = int(np.minimum(np.bincount(group), batches).sum())
        return questions * met / len(rows) / batches, len(rows) - met

    @property
    def carried_over(self) -> tuple[str, ...]:
        """The names of the sources of which some stream carries rows over to its next epoch."""
        found = {self.sources[each.source].name for each in self.streams if self._full(each)[1]}
        return tuple(sorted(found))

    @property
    def warnings(self) -> dict[str, str]:
        """What is said of batches that are not nearly full, a sentence by the name of the source."""
        worst: dict[int, tuple[float, int]] = {}
        for stream in self.streams:
            worst[stream.source] = min(worst.get(stream.source, (np.inf, 0)), self._full(stream))
        return {
            (name := self.sources[place].name): f"{name}: its batches have {mean:.0f} questions on average, and not"
            f" {self.policy.batch_size}"
            + (f": {carried:,} rows that share a passage, a text or a group wait for a later epoch" if carried else "")
            for place, (mean, carried) in worst.items()
            if mean < _NEARLY_FULL * self.policy.batch_size
        }

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
            return _same_language(others, others, chance[0]), np.full(len(rows), english)
        if stream.kind == "mixed-mono":
            return (x := _same_language(q, p, chance[0])), x
        x, y = _two_languages(q, p, chance[0])
        if stream.kind == "hybrid-row":
            mono, pairs = (q & p).sum(1), q.sum(1) * p.sum(1)
            alone = (mono > 0) & ((chance[1] < self.policy.alpha) | (pairs == mono)) & source.mono
            own = _same_language(q, p, chance[0])
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


class Epoch(NamedTuple):
    """All batches of one epoch of a stream: its rows, and the order in which batches are taken."""

    order: Ints32  # 32 bits per row, because a plan keeps many epochs.
    batches: Ints

    def batch(self, turn: int) -> Ints:
        """Return the rows of the batch that is taken after ``turn`` others."""
        return self.order[self.batches[turn] :: len(self.batches)].astype(np.int64)


def _batches_needed(conflict_group: Ints | Ints32, questions: int, batch_size: int) -> int:
    """Return the number of batches per epoch: enough for ``batch_size``.

    Rows of one conflict group never share a batch. Of a group with more rows than there are batches, an epoch holds as
    many rows as batches, and :func:`_carry_over` leaves the others to the next epochs. Splitting an epoch into as many
    batches as the group has rows would make all of its batches small.

    ``conflict_group`` is numbered from 0. ``questions`` are those in its rows.

    >>> _batches_needed(np.array([0, 1, 2, 3, 4]), 5, 2), _batches_needed(np.array([0, 0, 0, 0, 1]), 5, 2)
    (3, 2)
    >>> _batches_needed(np.array([0, 1, 2, 3]), 40, 5)
    2
    """
    sizes = np.bincount(conflict_group)
    rows, batches = len(conflict_group), len(conflict_group)
    while True:
        needed = -(-questions * rows // (len(conflict_group) * batch_size))
        if questions > len(conflict_group):
            # If rows have several questions, two rows share a batch of any size, or there would be no negatives.
            needed = max(1, min(needed, rows // 2))
        if needed >= batches or sizes.max() <= needed:
            return min(needed, batches)
        batches = needed
        rows = int(np.minimum(sizes, batches).sum())


def _carry_over(conflict_group: Ints | Ints32, batches: int, epoch: int, *name: str | int) -> Bools:
    """Mark the rows of an epoch: all of most conflict groups, and ``batches`` rows of each larger one.

    A larger group is dealt in one order for all epochs, and each epoch goes on where the one before it ended.

    >>> group = np.array([0, 0, 0, 1])
    >>> sum(_carry_over(group, 2, epoch, "an example") for epoch in range(3)).tolist()
    [2, 2, 2, 3]
    """
    sizes = np.bincount(conflict_group)
    order = np.lexsort((random_bits(len(conflict_group), *name, "carried"), conflict_group))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    size = sizes[conflict_group]
    return (size <= batches) | ((place - epoch * batches) % size < batches)


def _shuffle_epoch(rows: Ints, conflict_group: Ints | Ints32, batches: int, *name: str | int) -> Epoch:
    """Shuffle rows into the batches of the epoch called ``name``.

    Conflict groups, numbered from 0, are put in random order, and so are the rows within each group. Rows are then
    dealt to the batches in turn. A group must not have more rows than there are batches, so its rows all fall into
    different ones. Every row occurs once, and the sizes of batches differ by at most one.

    >>> group = np.array([0, 0, 0, 1, 1, 2])
    >>> epoch = _shuffle_epoch(np.arange(6), group, 3, "an example")
    >>> sorted(sorted(group[epoch.batch(turn)].tolist()) for turn in range(3))
    [[0, 1], [0, 1], [0, 2]]
    """
    # The words "blocks", "rows" and "hands" seed the draws. Another word would give every run other batches.
    # One key, with the group's place in its upper half and chance in the lower, sorts several times faster than two.
    key = permutation(int(conflict_group.max()) + 1, *name, "blocks")[conflict_group].astype(np.uint64)
    key <<= np.uint64(32)
    chance = random_bits(len(rows), *name, "rows")
    chance >>= np.uint64(32)
    key |= chance
    del chance
    order = rows[stable_order(key)].astype(np.int32)
    # Without this, the rows of a conflict group would follow each other in time.
    return Epoch(order, permutation(batches, *name, "hands"))


def _same_language(q: Bools, p: Bools, chance: Floats) -> Ints:
    """Return for each row a language that both sides have, all equally likely. It is arbitrary if they share none.

    ``q`` and ``p`` mark the languages of questions and passages, shape ``[rows, languages]``. ``chance`` is a random
    number in [0, 1) per row.
    """
    both = q & p
    return _column_of((chance * both.sum(1)).astype(np.int64), both.astype(np.int64))[0]


def _two_languages(q: Bools, p: Bools, chance: Floats) -> tuple[Ints, Ints]:
    """Return for each row a question's and a passage's language, x ≠ y, as :func:`_same_language` returns one.

    >>> q, p = np.array([[True, False, True]]), np.array([[False, True, True]])
    >>> [tuple(int(side[0]) for side in _two_languages(q, p, np.array([u]))) for u in (0.1, 0.5, 0.9)]
    [(0, 1), (0, 2), (2, 1)]
    """
    # A question in x has one pair for each passage but the one in x.
    partners = q * (p.sum(1, keepdims=True) - p)
    x, left = _column_of((chance * partners.sum(1)).astype(np.int64), partners)
    others = p.copy()
    others[np.arange(len(p)), x] = False
    return x, _column_of(left, others.astype(np.int64))[0]


def _column_of(number: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Return the column in which item ``number`` of a row lies, and how many of that column precede it."""
    ends = counts.cumsum(1)
    column = (ends > number[:, None]).argmax(1)
    rows = np.arange(len(counts))
    return column, number - (ends[rows, column] - counts[rows, column])
