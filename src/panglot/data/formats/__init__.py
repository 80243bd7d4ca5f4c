"""File formats of collections: BEIR, TREC, CLEF, SQuAD."""
