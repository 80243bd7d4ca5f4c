"""The first steps of a plan: with their texts, in sentence-transformers' trainer, or counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from panglot._environment import require
from panglot._errors import PanglotError
from panglot.batching.plan import Plan
from panglot.batching.policy import Batch, Policy
from panglot.batching.table import TrainingTable
from panglot.data.collection import Collection, Ints
from panglot.data.columns import take

if TYPE_CHECKING:
    from datasets import Dataset

_COLUMNS = ("question", "passage")


class Step(NamedTuple):
    """One batch and its texts."""

    batch: Batch
    questions: list[str]
    passages: list[str]


class Steps(Sequence[Step]):
    """The first steps of a plan, each with its texts, which are read when the step is asked for.

    ``steps[k]`` depends only on the settings and k. So the numbers can be divided among workers in any way, and no row
    comes twice. ``torch.utils.data.DataLoader(steps, batch_size=None, num_workers=4)`` returns all steps in order, each
    made by one of four processes. ``steps[rank::world]`` are the steps of one process. A worker gets the folders of
    memory-mapped collections, not their texts.

    Args:
        collections: Training sets, each with its own name.
        policy: Which rows meet.
        steps: Number of steps.
        rank: Number of this process.
        world: Number of processes that share each batch; each gets its shard.

    Raises:
        PanglotError: ``rank`` is not below ``world``, or, for the first step, as :class:`panglot.batching.Plan`.
    """

    def __init__(
        self, collections: Sequence[Collection], policy: Policy, steps: int, *, rank: int = 0, world: int = 1
    ) -> None:
        if not 0 <= rank < world:
            raise PanglotError(f"must be between 0 and {world - 1}, got {rank}", field="rank", hint="count from 0")
        self._collections, self._policy, self._shard = tuple(collections), policy, (rank, world)
        self._numbers = range(steps)

    @cached_property
    def plan(self) -> Plan:
        """The plan. Each process makes it when it first needs it."""
        return _plan(self._collections, self._policy)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        """Return a step, or for a slice those steps."""
        if isinstance(index, slice):
            part = Steps(self._collections, self._policy, 0, rank=self._shard[0], world=self._shard[1])
            part._numbers = self._numbers[index]
            if "plan" in self.__dict__:
                part.__dict__["plan"] = self.plan
            return part
        batch = self.plan(self._numbers[index]).shard(*self._shard)
        collection = self._collections[batch.source]
        questions, passages = collection.questions, collection.passages
        if batch.kind == "distill-questions":
            passages = questions
        elif batch.kind == "distill-passages":
            questions = passages
        texts = (take(side["text"], rows).to_pylist() for side, rows in
                 ((questions, batch.questions), (passages, batch.passages)))  # fmt: skip
        return Step(batch, *texts)

    def __getstate__(self) -> dict[str, Any]:
        # A plan holds permutations of all rows. Making it again is faster than sending it.
        return {name: value for name, value in self.__dict__.items() if name != "plan"}


def _plan(collections: Sequence[Collection], policy: Policy) -> Plan:
    return Plan([TrainingTable.from_collection(collection) for collection in collections], policy)


def make_batch_sampler(collections: Sequence[Collection], policy: Policy, steps: int) -> tuple[Dataset, PlannedBatches]:
    """Return the data set and the ``batch_sampler`` with which ``SentenceTransformerTrainer`` follows a plan.

    Train for one epoch (``num_train_epochs=1``). It has all steps, over as many epochs of the collections as they take.
    ``per_device_train_batch_size`` has no effect, because the policy's ``batch_size`` is that of all processes
    together. A resumed training continues with the step at which it stopped.

    Several processes share the batch of a step, whereas the trainer's own samplers give each process another batch.
    With ``gather_across_devices`` in the loss, the batch over all processes is the plan's.

    Args:
        collections: Training sets, each with its own name.
        policy: Which rows meet. ``whole-group`` is refused, because there a question has several passages.
        steps: Number of batches to plan. They take 16 bytes per pair. Texts are looked up when they are needed.

    Returns:
        A data set with the columns ``question`` and ``passage``, and the batch sampler.

    Raises:
        PanglotError: As :class:`panglot.batching.Plan`, or the policy is ``whole-group``, or the package ``datasets``
            is missing.
    """
    if policy.batches == "whole-group":
        problem = "sentence-transformers' ranking losses take one passage per question, and whole-group has several"
        raise PanglotError(problem, field="batches", hint="choose other batches, or train with panglot.train")
    if steps < 1:
        raise PanglotError(f"must be at least 1, got {steps}", field="steps", hint="choose 1 or more")
    require("sentence-transformers' trainer", "datasets", extra="hub")
    from datasets import Dataset

    plan = _plan(collections, policy)
    sides = ([c.questions["text"] for c in collections], [c.passages["text"] for c in collections])
    offsets = [np.cumsum([0, *map(len, columns)]) for columns in sides]
    batches = [plan(k) for k in range(steps)]
    rows = [
        np.concatenate([batch.questions + offsets[0][batch.source] for batch in batches]),
        np.concatenate([batch.passages + offsets[1][batch.source] for batch in batches]),
    ]
    pairs = Dataset(pa.table(dict(zip(_COLUMNS, rows, strict=True))))
    pairs.set_transform(partial(_with_texts, sides, offsets))
    return pairs, PlannedBatches(np.cumsum([len(batch.questions) for batch in batches]))


def _with_texts(
    sides: Sequence[Sequence[pa.ChunkedArray]], offsets: Sequence[Ints], rows: Mapping[str, Sequence[int]]
) -> dict[str, list[Any]]:
    """Return fetched rows with texts in place of row numbers."""
    texts: dict[str, list[Any]] = {name: list(column) for name, column in rows.items()}
    for name, columns, starts in zip(_COLUMNS, sides, offsets, strict=True):
        if name in rows:
            sources = np.searchsorted(starts, rows[name], side="right") - 1
            texts[name] = [columns[source][row - int(starts[source])].as_py()
                           for source, row in zip(sources.tolist(), rows[name], strict=True)]  # fmt: skip
    return texts


@dataclass(frozen=True)
class PlannedBatches:
    """The ``batch_sampler`` of the training arguments: makes the sampler of a planned data set.

    Other data sets of the trainer, as for evaluation, get sentence-transformers' default sampler.

    Attributes:
        ends: For each step, the row of the planned data set at which its batch ends, shape ``[steps]``.
    """

    ends: Ints

    def __call__(
        self,
        dataset: Dataset,
        batch_size: int,
        drop_last: bool,
        valid_label_columns: list[str] | None = None,
        generator: Any = None,
        seed: int = 0,
    ) -> Any:
        """Return the batch sampler of a data set; sentence-transformers calls this."""
        if tuple(dataset.column_names[:2]) == _COLUMNS and dataset.features["question"].dtype == "int64":
            if len(dataset) != self.ends[-1]:
                problem = f"the planned data set has {int(self.ends[-1]):,} pairs, got one with {len(dataset):,}"
                hint = "give the trainer the data set as `make_batch_sampler` returned it"
                raise PanglotError(problem, field="train_dataset", hint=hint)
            return _StepSampler(self.ends)
        from sentence_transformers.base.sampler import DefaultBatchSampler
        from torch.utils.data import RandomSampler

        order: Any = RandomSampler(dataset, generator=generator)
        return DefaultBatchSampler(order, batch_size, drop_last, valid_label_columns, generator, seed)


@dataclass
class _StepSampler:
    """A batch sampler that yields a plan's steps in order.

    With W processes it yields W parts of each step in turn, and ``accelerate`` gives every W-th part to each process.
    The trainer gathers embeddings only of parts of equal size, so up to W − 1 pairs of a step are left out.
    """

    ends: Ints
    # Batches differ in size, and accelerate drops those that differ from a stated size.
    batch_size: None = None
    drop_last: bool = False

    def __len__(self) -> int:
        return len(self.ends) * _world()

    def __iter__(self) -> Iterator[list[int]]:
        world = _world()
        starts = np.r_[0, self.ends[:-1]]
        smallest = int((self.ends - starts).min())
        if smallest < world:
            problem = f"a batch of {smallest} pairs is too small for {world} processes"
            raise PanglotError(problem, field="batch_size", hint="choose a larger batch_size or fewer processes")
        for start, end in zip(starts.tolist(), self.ends.tolist(), strict=True):
            part = (end - start) // world
            for rank in range(world):
                yield list(range(start + part * rank, start + part * (rank + 1)))

    def set_epoch(self, epoch: int) -> None:
        """Refuse a second epoch, which would repeat the plan's batches; the trainer calls this."""
        if epoch > 0:
            problem = "a plan already repeats the data as often as its steps require, so it has one epoch"
            raise PanglotError(problem, field="num_train_epochs", hint="set num_train_epochs=1 and plan more steps")


def _world() -> int:
    from accelerate import PartialState

    return PartialState().num_processes


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
    kinds, sources, rows = Counter[str](), Counter[str](), Counter[str]()
    languages = Counter[tuple[str, str]]()
    sizes: list[int] = []
    for batch in map(plan, range(steps)):
        source = plan.sources[batch.source]
        sizes.append(len(batch.questions))
        kinds[batch.kind] += 1
        sources[source.name] += sizes[-1]
        rows[source.name] += len(np.unique(batch.rows))
        x, y = batch.question_languages, batch.passage_languages
        if batch.positive is not None:
            asked, answered = np.nonzero(batch.positive)
            x, y = x[asked], y[answered]
        pairs, counts = np.unique(np.stack([x, y]), axis=1, return_counts=True)
        for (left, right), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            languages[source.languages[left], source.languages[right]] += count
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
