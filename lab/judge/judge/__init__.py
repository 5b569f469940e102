"""Trains judges: cross-encoders that score how good an answer to a prompt is."""
