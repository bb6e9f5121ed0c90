"""Readers, one file per kind of input, and the registry that picks one by name."""
