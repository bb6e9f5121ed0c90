"""Which pictures get a row, and what is kept of them."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geoanchor.image import Pixels, TileImage
from geoanchor.tiling import Tile
from indexer import screen
from indexer.screen import content_hash, reason_to_skip, thumbnail


def scene(seed: int = 0, side: int = 96) -> Pixels:
    """Soft blobs: like a photo, it survives scaling."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def image(pixels: Pixels, **facts: Any) -> TileImage:
    return TileImage("a", pixels, facts.pop("layer", "aerial"), **facts)


def copy_key(picture: TileImage) -> str:
    return screen.copy_key(picture, content_hash(picture))


def recompressed(pixels: Pixels, quality: int = 70, side: int | None = None) -> Pixels:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    picture = Image.open(out)
    return np.asarray(picture.resize((side, side)) if side else picture)


def coded(pixels: Pixels, kind: str) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def test_blank_and_empty_pictures_get_no_row() -> None:
    flat = np.full((64, 64, 3), (250, 3, 120), np.uint8)
    assert reason_to_skip(image(flat), 0.5) == "blank"
    assert reason_to_skip(image(recompressed(flat)), 0.5) == "blank"
    one_road = flat.copy()
    one_road[33, :] = 0
    assert reason_to_skip(image(one_road), 0.5) is None
    assert reason_to_skip(image(scene()), 0.5) is None
    assert reason_to_skip(image(scene(), nodata=0.51), 0.5) == "nodata"
    assert reason_to_skip(image(scene(), nodata=0.5), 0.5) is None
    assert reason_to_skip(image(np.zeros((0, 0, 3), np.uint8)), 0.5) is None
    # A map says something by one colour, too: all of it is water.
    assert reason_to_skip(image(flat, layer="map"), 0.5) is None
    assert reason_to_skip(image(flat, layer="map", nodata=0.51), 0.5) == "nodata"


def test_copies_without_position_are_known_by_their_look() -> None:
    for seed in range(20):
        original = copy_key(image(scene(seed)))
        assert copy_key(image(scene(seed))) == original
        assert copy_key(image(scene(seed), layer="map")) != original
    keys = {copy_key(image(scene(seed))) for seed in range(500)}
    assert len(keys) == 500
    same = sum(
        copy_key(image(recompressed(scene(seed), 90, 128))) == copy_key(image(scene(seed))) for seed in range(50)
    )
    assert same >= 25, "most lightly changed copies are recognised"


def test_the_same_picture_of_two_places_or_days_is_two_rows() -> None:
    here, there = Tile(17, 70_000, 45_000), Tile(17, 70_001, 45_000)
    days = [datetime(2024, 5, day, tzinfo=UTC) for day in (1, 2)]
    variants = [image(scene()), image(scene(), tile=here), image(scene(), tile=there),
                *(image(scene(), tile=here, acquired=day) for day in days)]  # fmt: skip
    assert len({copy_key(variant) for variant in variants}) == len(variants)
    assert copy_key(image(scene(), tile=here)) == copy_key(image(scene(), tile=here))
    assert copy_key(image(scene(), tile=here)) != copy_key(image(recompressed(scene()), tile=here))


def test_content_hash_follows_the_content() -> None:
    flipped = scene()[::-1]
    hashes = {
        content_hash(image(scene())),
        content_hash(image(flipped)),
        content_hash(image(scene(), encoded=b"one")),
        content_hash(image(scene(), encoded=b"two")),
        content_hash(image(np.zeros((0, 0, 3), np.uint8), vectors={"semantic": np.ones(4, np.float32)})),
    }
    assert len(hashes) == 5
    assert content_hash(image(np.ascontiguousarray(flipped))) == content_hash(image(flipped))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_small_coded_pictures_are_their_own_thumbnail(kind: str) -> None:
    data = coded(scene(), kind)
    assert thumbnail(image(scene(), encoded=data)) is data


def test_other_pictures_become_a_small_jpeg() -> None:
    large = scene(side=700)
    for picture in (
        image(large), image(large, encoded=coded(large, "JPEG")), image(scene(), encoded=coded(scene(), "TIFF")),
        image(scene(), encoded=b"\xff\xd8\xff" + bytes(70_000)),
    ):  # fmt: skip
        made = Image.open(BytesIO(thumbnail(picture)))
        assert made.format == "JPEG"
        assert max(made.size) <= 256
    wide = Image.open(BytesIO(thumbnail(image(large[:350]))))
    assert wide.size == (256, 128)
    reference = np.asarray(Image.fromarray(large).resize((256, 256)), float)
    assert abs(np.asarray(Image.open(BytesIO(thumbnail(image(large)))), float) - reference).mean() < 3
    assert thumbnail(image(np.zeros((0, 0, 3), np.uint8))) == b""
