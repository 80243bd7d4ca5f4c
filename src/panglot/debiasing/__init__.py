"""Reduce a model's language bias without training, by a correction fitted on unlabelled text."""
