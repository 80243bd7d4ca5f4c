"""Turn documents into an index: read, encode, build."""
