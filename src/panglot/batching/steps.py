"""The steps of a plan with their texts, for any number of worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from panglot._errors import PanglotError
from panglot.batching.batch import Batch
from panglot.batching.plan import Plan
from panglot.batching.policy import Policy
from panglot.batching.table import TrainingTable
from panglot.data.arrow import take
from panglot.data.collection import Collection


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
        PanglotError: ``rank`` is not below ``world``; or, when the first step is made, as
            :meth:`panglot.batching.TrainingTable.from_collection` and :class:`panglot.batching.Plan`.
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
        return Plan([TrainingTable.from_collection(collection) for collection in self._collections], self._policy)

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
        return Step(batch, _texts(questions["text"], batch.questions), _texts(passages["text"], batch.passages))

    def __getstate__(self) -> dict[str, Any]:
        # A plan holds permutations of all rows. Making it again is faster than sending it.
        return {name: value for name, value in self.__dict__.items() if name != "plan"}


def _texts(column: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> list[str]:
    return take(column, rows).to_pylist()
