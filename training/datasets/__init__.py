"""Benchmark data as users have it: pictures in a folder or tar, captions in any of the formats that the field uses."""

from training.datasets.captioned import Captioned
from training.datasets.formats import read_captions
from training.datasets.pictures import Pictures

__all__ = ["Captioned", "Pictures", "read_captions"]
