"""Training texts changed on their way to the model: code-switching by lexicons (2305.05295)."""
