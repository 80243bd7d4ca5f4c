"""Rows in, batches out: pure functions on arrays, without torch."""

from panglot.batching.plan import Plan
from panglot.batching.policy import Batch, Policy
from panglot.batching.steps import Description, Steps, describe, make_batch_sampler
from panglot.batching.table import TrainingTable

__all__ = ["Batch", "Description", "Plan", "Policy", "Steps", "TrainingTable", "describe", "make_batch_sampler"]
