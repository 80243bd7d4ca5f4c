"""Search: documents in, passages in any language out."""
