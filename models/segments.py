"""Segments of a picture: which parts are worth keeping, how they are cut out, and what each counts.

Source: UrbanCross (ACM MM 2024), equations 1 to 4, in the reading of docs/decisions/006-segments.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from skimage.measure import find_contours

from geoanchor.errors import UnsupportedModality, UsageError
from geoanchor.image import Pixels
from geoanchor.protocols import Encoder, Segmenter, Vectors
from geoanchor.segment import OUTLINE_UNITS, Cut, Mask, Outline, Segment
from geoanchor.settings import Settings
from geoanchor.space import Modality

SMALLEST, LARGEST = 0.005, 0.95
"""Shares of the picture between which a part is worth keeping."""
OVERLAP = 0.8
"""Of two parts with more in common than this (intersection over union) the better one stays."""
MOST = 6
FUSE = 0.3
"""Share of the segments in a fused vector and in late interaction."""
_PAD = 0.1
_LEAST_WEIGHT = 1e-6
_CROPS_AT_ONCE = 64
WHOLE = np.zeros((0, 2), np.uint16)
"""The outline of a picture that has no parts."""


def open_segments(method: str, encoder: Encoder, settings: Settings, fuse: float = 0.0) -> PartEncoder:
    """What makes an index's segments.

    Args:
        method: "regions", "polygons" or "sam:NAME-OR-FILE". fuse: share of the segments in a row's own vector.

    Raises UsageError for another method, UnsupportedModality where the model knows no aerial pictures and text.
    """
    return PartEncoder(method, open_segmenter(method, settings), encoder, fuse)


def open_segmenter(method: str, settings: Settings) -> Segmenter | None:
    """What finds the parts of a picture; None for "polygons", which are brought along. Raises as `open_segments`."""
    if method == "regions":
        from models.regions import RegionSegmenter

        return RegionSegmenter()
    if method.startswith("sam:"):
        from models.sam import open_sam

        return open_sam(method.removeprefix("sam:"), settings)
    if method == "polygons":
        return None
    raise UsageError(f"segments cannot be made by {method!r}: give regions, polygons, sam:vit_b or sam:FILE")


class PartEncoder:
    """Cuts the parts out of aerial pictures and encodes them; implements `geoanchor.protocols.SegmentEncoder`.

    Args:
        method: how parts are found, for the record. segmenter: finds them where no masks are given; None finds none.
        fuse: share of the segments in a picture's own vector.

    Raises UnsupportedModality where the model has no space for both aerial pictures and text.
    """

    def __init__(self, method: str, segmenter: Segmenter | None, encoder: Encoder, fuse: float = 0.0) -> None:
        if not 0 <= fuse <= 1:
            raise UsageError(f"the share of the segments must be 0..1, not {fuse:g}")
        self.method = method
        self.fuse = fuse
        self.space = _space_of(encoder)
        self._segmenter = segmenter
        self._encoder = encoder
        self._modality = _modality_of(encoder)
        self._fill = encoder.neutral(self._modality)

    def cut(self, pixels: Pixels, masks: Sequence[Mask] | None = None) -> tuple[Cut, ...]:
        """The parts of an aerial picture worth keeping, best first; () where there are none. Thread-safe."""
        if masks is None:
            masks = self._segmenter.segment(pixels) if self._segmenter else ()
        return tuple(
            Cut(outline_of(mask.pixels), mask.area, mask.score, masked_crop(pixels, mask, self._fill))
            for mask in select(masks)
        )

    def encode(self, cuts: Sequence[Sequence[Cut]], pictures: Vectors) -> list[tuple[Segment, ...]]:
        """Segments of n pictures, the picture itself where it has no parts; pictures: (n, d) their own vectors."""
        crops = [cut.crop for own in cuts for cut in own]
        blocks = [
            self._encoder.encode(crops[start : start + _CROPS_AT_ONCE], self._modality)[self.space]
            for start in range(0, len(crops), _CROPS_AT_ONCE)
        ]
        vectors = np.concatenate([np.zeros((0, pictures.shape[1]), np.float32), *blocks])
        ends = np.cumsum([len(own) for own in cuts])
        return [
            _weighed(own, vectors[end - len(own) : end], picture)
            for own, end, picture in zip(cuts, ends.tolist(), pictures, strict=True)
        ]

    def fused(self, picture: Vectors, segments: Sequence[Segment]) -> Vectors:
        """norm((1 - fuse) picture + fuse sum(weight vector)), (d,)."""
        vectors, weights = np.stack([s.vector for s in segments]), np.array([s.weight for s in segments], np.float32)
        return fused(picture, vectors, weights, self.fuse)


def select(masks: Sequence[Mask]) -> list[Mask]:
    """At most `MOST` masks, best first (area times stability), none too small or large, no two nearly the same.

    Equal scores keep their order.
    """
    kept: list[Mask] = []
    for mask in sorted(masks, key=lambda mask: -mask.score):
        if SMALLEST <= mask.area <= LARGEST and all(overlap(mask, other) <= OVERLAP for other in kept):
            kept.append(mask)
        if len(kept) == MOST:
            break
    return kept


def overlap(first: Mask, second: Mask) -> float:
    """Intersection over union, 0..1, of two masks of one resolution."""
    common = np.count_nonzero(first.pixels & second.pixels)
    union = np.count_nonzero(first.pixels) + np.count_nonzero(second.pixels) - common
    return common / union if union else 0.0


def masked_crop(pixels: Pixels, mask: Mask, fill: tuple[int, int, int]) -> Pixels:
    """The box around a mask, a tenth wider on each side, cut out of (h, w, 3); what is not masked becomes `fill`."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = mask.box
    x_pad, y_pad = _PAD * (right - left), _PAD * (bottom - top)
    x0, x1 = _span(left - x_pad, right + x_pad, width)
    y0, y1 = _span(top - y_pad, bottom + y_pad, height)
    rows = (np.arange(y0, y1) + 0.5) * mask.pixels.shape[0] / height
    columns = (np.arange(x0, x1) + 0.5) * mask.pixels.shape[1] / width
    inside = mask.pixels[np.ix_(rows.astype(int), columns.astype(int))]
    return np.where(inside[..., None], pixels[y0:y1, x0:x1], np.asarray(fill, np.uint8))


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Pixels from and to, at least one, of a span in shares of the side."""
    first = min(max(0, int(np.floor(low * size))), size - 1)
    return first, max(first + 1, min(size, int(np.ceil(high * size))))


def outline_of(mask: NDArray[np.bool_]) -> Outline:
    """The longest ring around a mask (h, w), without holes, corners at most one pixel off."""
    rings = find_contours(np.pad(mask, 1).astype(np.float64), 0.5)
    ring = shapely.get_coordinates(shapely.LinearRing(max(rings, key=len)).simplify(1.0))[:-1]
    # Contours run through the middle of pixels; the padding moved them by one.
    share = (ring - 0.5) / mask.shape
    return np.asarray(np.round(np.clip(share[:, ::-1], 0, 1) * OUTLINE_UNITS), np.uint16)


def index_weights(segments: Vectors, areas: Vectors, picture: Vectors) -> Vectors:
    """Caption-free weights (k,) that sum to 1: likeness to the whole picture, not below 0, times the root of the area.

    Args:
        segments: (k, d) and picture: (d,) of unit length. areas: (k,) shares of the picture.
    """
    weights = (np.maximum(segments @ picture, 0) + _LEAST_WEIGHT) * np.sqrt(areas)
    return np.asarray(weights / weights.sum(), np.float32)


def fused(picture: Vectors, segments: Vectors, weights: Vectors, share: float) -> Vectors:
    """norm((1 - share) picture + share sum(weight segment)); the picture itself where the two cancel out.

    Args:
        picture: (d,). segments: (k, d). weights: (k,).
    """
    total = (1 - share) * picture + share * (weights @ segments)
    length = float(np.linalg.norm(total))
    return np.asarray(total / length, np.float32) if length > _LEAST_WEIGHT else picture


def _weighed(cuts: Sequence[Cut], vectors: Vectors, picture: Vectors) -> tuple[Segment, ...]:
    if not cuts:
        return (Segment(WHOLE, 1.0, 1.0, 1.0, picture),)
    weights = index_weights(vectors, np.array([cut.area for cut in cuts], np.float32), picture)
    return tuple(
        Segment(cut.outline, cut.area, cut.score, float(weight), vector)
        for cut, weight, vector in zip(cuts, weights, vectors, strict=True)
    )


def _space_of(encoder: Encoder) -> str:
    for name, space in encoder.spaces.items():
        if space.searchable and {"aerial", "text"} <= set(space.modalities):
            return name
    raise UnsupportedModality(f"model {encoder.name!r} has no space for both aerial pictures and text: no segments")


def _modality_of(encoder: Encoder) -> Modality:
    """As what parts are encoded: segments where the model tells them from whole pictures, else aerial pictures."""
    try:
        encoder.neutral("segment")
    except UnsupportedModality:
        return "aerial"
    return "segment"
