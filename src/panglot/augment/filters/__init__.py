"""Filters of translations: pure functions of a source and its translation, each in a file."""
