"""Encode without torch, which takes longer to import than a few queries to encode."""
