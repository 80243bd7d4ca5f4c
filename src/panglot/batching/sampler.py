"""The same batches for users of sentence-transformers' trainer.

:func:`make_batch_sampler` returns a data set with the pairs of a plan's first steps in order, and a
:class:`PlannedBatches` for the training arguments' ``batch_sampler``, which yields them step by step. Several processes
share the batch of a step, whereas the trainer's own samplers give each process another batch. With
``gather_across_devices`` in the loss, the batch over all processes is the plan's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from panglot._environment import require
from panglot._errors import PanglotError
from panglot.batching.plan import Plan
from panglot.batching.policy import Policy
from panglot.batching.table import TrainingTable
from panglot.data.collection import Collection, Ints

if TYPE_CHECKING:
    from datasets import Dataset

_COLUMNS = ("question", "passage")


def make_batch_sampler(collections: Sequence[Collection], policy: Policy, steps: int) -> tuple[Dataset, PlannedBatches]:
    """Return the data set and the ``batch_sampler`` with which ``SentenceTransformerTrainer`` follows a plan.

    Train for one epoch (``num_train_epochs=1``). It has all steps, over as many epochs of the collections as they take.
    ``per_device_train_batch_size`` has no effect, because the policy's ``batch_size`` is that of all processes
    together. A resumed training continues with the step at which it stopped.

    Args:
        collections: Training sets, each with its own name.
        policy: Which rows meet. ``whole-group`` is refused, because there a question has several passages.
        steps: Number of batches to plan. They take 16 bytes per pair; texts are looked up when they are needed.

    Returns:
        A data set with the columns ``question`` and ``passage``, and the batch sampler.

    Raises:
        PanglotError: As :meth:`panglot.batching.TrainingTable.from_collection` and :class:`panglot.batching.Plan`, or
            the policy is ``whole-group``, or the package ``datasets`` is missing.
    """
    if policy.batches == "whole-group":
        raise PanglotError(
            "sentence-transformers' ranking losses take one passage per question, and whole-group has several",
            field="batches",
            hint="choose other batches, or train with panglot.train",
        )
    if steps < 1:
        raise PanglotError(f"must be at least 1, got {steps}", field="steps", hint="choose 1 or more")
    require("sentence-transformers' trainer", "datasets", extra="hub")
    from datasets import Dataset

    plan = Plan([TrainingTable.from_collection(collection) for collection in collections], policy)
    offsets = [
        np.cumsum([0, *(table.num_rows for table in side)])
        for side in zip(*((c.questions, c.passages) for c in collections), strict=True)
    ]
    batches = [plan(k) for k in range(steps)]
    columns = [
        np.concatenate([batch.questions + offsets[0][batch.source] for batch in batches]),
        np.concatenate([batch.passages + offsets[1][batch.source] for batch in batches]),
    ]
    table = pa.table(dict(zip(_COLUMNS, columns, strict=True)))
    pairs = Dataset(table)
    pairs.set_transform(_Texts.of(collections, offsets))
    return pairs, PlannedBatches(np.cumsum([len(batch.questions) for batch in batches]))


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
                raise PanglotError(
                    f"the planned data set has {int(self.ends[-1]):,} pairs, got one with {len(dataset):,}",
                    field="train_dataset",
                    hint="give the trainer the data set as `make_batch_sampler` returned it",
                )
            return StepSampler(self.ends)
        from sentence_transformers.base.sampler import DefaultBatchSampler
        from torch.utils.data import RandomSampler

        order: Any = RandomSampler(dataset, generator=generator)
        return DefaultBatchSampler(order, batch_size, drop_last, valid_label_columns, generator, seed)


@dataclass
class StepSampler:
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
            raise PanglotError(
                f"a batch of {smallest} pairs is too small for {world} processes",
                field="batch_size",
                hint="choose a larger batch_size or fewer processes",
            )
        for start, end in zip(starts.tolist(), self.ends.tolist(), strict=True):
            part = (end - start) // world
            for rank in range(world):
                yield list(range(start + part * rank, start + part * (rank + 1)))

    def set_epoch(self, epoch: int) -> None:
        """Refuse a second epoch, which would repeat the plan's batches; the trainer calls this."""
        if epoch > 0:
            raise PanglotError(
                "a plan already repeats the data as often as its steps require, so it has one epoch",
                field="num_train_epochs",
                hint="set num_train_epochs=1 and plan more steps",
            )


@dataclass(frozen=True)
class _Texts:
    """Turns row numbers into texts when rows are fetched."""

    tables: tuple[tuple[pa.ChunkedArray, ...], tuple[pa.ChunkedArray, ...]]
    offsets: tuple[Ints, Ints]

    @classmethod
    def of(cls, collections: Sequence[Collection], offsets: Sequence[Ints]) -> _Texts:
        questions = tuple(collection.questions["text"] for collection in collections)
        passages = tuple(collection.passages["text"] for collection in collections)
        return cls((questions, passages), (offsets[0], offsets[1]))

    def __call__(self, rows: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        texts: dict[str, list[Any]] = {name: list(column) for name, column in rows.items() if name not in _COLUMNS}
        for name, tables, offsets in zip(_COLUMNS, self.tables, self.offsets, strict=True):
            if name in rows:
                where = np.searchsorted(offsets, rows[name], side="right") - 1
                texts[name] = [
                    tables[w][row - int(offsets[w])].as_py() for w, row in zip(where.tolist(), rows[name], strict=True)
                ]
        return texts


def _world() -> int:
    from accelerate import PartialState

    return PartialState().num_processes
