"""Rows in, batches out: pure functions, without torch."""

from panglot.batching.batch import Batch
from panglot.batching.describe import Description, describe
from panglot.batching.plan import Plan
from panglot.batching.policy import Policy
from panglot.batching.table import TrainingTable, source

__all__ = ["Batch", "Description", "Plan", "Policy", "TrainingTable", "describe", "source"]
