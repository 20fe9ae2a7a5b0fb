"""Rules that involve several parts of the model."""
