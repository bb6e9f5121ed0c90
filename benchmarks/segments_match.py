"""Which part matched: how often the likest part of a city tile lies on what the words name, by chance and otherwise."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoanchor.image import Pixels
from geoanchor.segment import Mask
from geoanchor.settings import Settings
from geoanchor.tiling import Tile, tiles_in
from indexer.city.aerial import render_aerial
from indexer.city.city import City
from indexer.city.looks import LOOKS
from indexer.concepts import concepts_of
from indexer.polygons import SIDE_PX, polygon_masks
from models.bundle import load_bundle
from models.regions import RegionSegmenter
from models.segments import masked_crop, open_segments, select
from retrieval import metrics

TOWNS, TILES_A_TOWN, ZOOM = range(301, 307), 20, 17
"""Of country A; no recipe learns from towns below 1000."""
ON_IT = 0.5
"""Share of a part that must lie on what is named."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A noun asked of a tile. right: (k,) which parts lie on it, some but not all."""

    noun: str
    right: NDArray[np.bool_]


def run(model: str = "mini") -> dict[str, Any]:
    """Percent of the questions whose likest part is right; parts cut out by their masks, and by their boxes alone."""
    encoder = load_bundle(model)
    parts = open_segments("regions", encoder, Settings())
    fill, segmenter = encoder.neutral("segment"), RegionSegmenter()
    ways = {"masked": lambda mask: mask, "box": _boxed}
    hits: dict[str, list[float]] = defaultdict(list)
    tiles: list[int] = []
    for number, (city, tile) in enumerate(_tiles()):
        pixels = render_aerial(city, tile, 256, LOOKS["A"], city.seed)
        masks = select(segmenter.segment(pixels))
        questions = _questions(city, tile, masks)
        if not questions:
            continue
        words = encoder.encode([asked.noun for asked in questions], "text", "query")[parts.space]
        for way, shape in ways.items():
            crops: list[Pixels] = [masked_crop(pixels, shape(mask), fill) for mask in masks]
            likest = (words @ encoder.encode(crops, "segment")[parts.space].T).argmax(axis=1)
            hits[way] += [float(asked.right[part]) for asked, part in zip(questions, likest, strict=True)]
        hits["chance"] += [float(asked.right.mean()) for asked in questions]
        tiles += [number] * len(questions)
    figures: dict[str, Any] = {"model": model, "questions, tiles": f"{len(tiles)}, {len(set(tiles))}"}
    for way, found in hits.items():
        low, high = metrics.interval(np.array(found), np.array(tiles))
        figures[f"likest part lies on what is named, {way}"] = (
            f"{100 * np.mean(found):.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        )
    return figures


def _tiles() -> list[tuple[City, Tile]]:
    chosen = []
    for seed in TOWNS:
        city = City(seed, "A")
        tiles = list(tiles_in(city.extent, ZOOM))
        rows = np.random.default_rng(seed).choice(len(tiles), TILES_A_TOWN, replace=False)
        chosen += [(city, tiles[row]) for row in rows]
    return chosen


def _questions(city: City, tile: Tile, masks: list[Mask]) -> list[Asked]:
    """Nouns of areas of a tile that some of the parts lie on and others do not."""
    areas: dict[str, NDArray[np.bool_]] = {}
    for feature in city.features(tile.bounds):
        for mask in polygon_masks([feature], tile):
            for concept in concepts_of(feature.tags):
                noun = concept.nouns[0].singular
                areas[noun] = areas.get(noun, np.zeros((SIDE_PX, SIDE_PX), bool)) | mask.pixels
    side = (SIDE_PX, SIDE_PX)
    small = [np.asarray(Image.fromarray(mask.pixels).resize(side, Image.Resampling.NEAREST)) for mask in masks]
    rights = {noun: np.array([area[part].mean() >= ON_IT for part in small]) for noun, area in areas.items()}
    return [Asked(noun, right) for noun, right in rights.items() if right.any() and not right.all()]


def _boxed(mask: Mask) -> Mask:
    """The same with all of its box."""
    rows, columns = mask.pixels.any(axis=1), mask.pixels.any(axis=0)
    within = [np.logical_or.accumulate(line) & np.logical_or.accumulate(line[::-1])[::-1] for line in (rows, columns)]
    return Mask(np.outer(*within), mask.stability)
