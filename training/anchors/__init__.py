"""Semantic anchors: what a tile is, in eleven words, from vectors, a raster map or a language model."""
