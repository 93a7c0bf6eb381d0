"""What users compose: each a few lines over the core and itertools."""
