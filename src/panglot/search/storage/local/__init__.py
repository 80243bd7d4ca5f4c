"""A store in a folder, memory-mapped."""
