"""Retrievers and embedders for LangChain, LlamaIndex and Haystack."""
