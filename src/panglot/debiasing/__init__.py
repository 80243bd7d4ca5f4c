"""Training-free remedies for language bias: fitted on unlabelled text, applied to finished vectors."""
