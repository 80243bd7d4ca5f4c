"""A study: how retrieval changes as training grows from one language to more than a hundred."""
