"""Encoders, one file per backend."""
