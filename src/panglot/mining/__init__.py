"""Hard negatives: the passages that a model ranks highest and that answer nothing."""
