"""Files in, collections out."""
