"""What a training says about itself."""

WORDS = {}
