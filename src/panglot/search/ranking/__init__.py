"""Rank candidates: modes, lexical matches, reranking."""
