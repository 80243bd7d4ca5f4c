"""The study: how retrieval keeps up as training grows from one language to more than a hundred."""
