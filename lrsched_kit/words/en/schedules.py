"""What the catalogue says."""

WORDS = {}
