"""Rules that need several nouns of the model."""
