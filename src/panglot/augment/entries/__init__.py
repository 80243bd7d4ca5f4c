"""Readers of lexicon files: one file a format."""
