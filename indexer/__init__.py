"""Pixels and vector features become rows on disk."""
