"""Vectors and relevance in, figures out."""
