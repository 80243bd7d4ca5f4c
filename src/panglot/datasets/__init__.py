"""Known data sets: cards, one registry, readers in families."""
