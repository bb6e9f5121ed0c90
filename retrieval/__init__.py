"""Vectors become hits: numpy in, hits out; never imports torch."""
