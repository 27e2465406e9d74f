"""What tables and results say."""

WORDS = {}
