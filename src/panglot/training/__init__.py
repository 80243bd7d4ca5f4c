"""Batches in, a model out."""
