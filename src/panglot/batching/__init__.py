"""Rows in, batches out: pure functions on arrays, without torch."""

from panglot.batching.batch import Batch
from panglot.batching.plan import Description, Plan, describe
from panglot.batching.policy import Policy
from panglot.batching.table import TrainingTable

__all__ = ["Batch", "Description", "Plan", "Policy", "TrainingTable", "describe"]
