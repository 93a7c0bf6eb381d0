"""Work that must not run on the loop."""
