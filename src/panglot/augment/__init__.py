"""Change training texts on their way to the model: code-switching by lexicons (arXiv 2305.05295)."""
