"""Multilingual dense retrieval: hybrid batch training, three-setting evaluation, language bias."""

__version__ = "0.1.0"
