"""Rows in, batches out: pure functions, without torch."""
