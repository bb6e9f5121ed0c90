"""Sketches: learning what shifts of maps against pictures are told by, on the features of a decoder that stays."""
