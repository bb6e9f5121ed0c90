"""EXIF as cameras write it, and as nothing sound does: it never stands between a user and the pixels."""

from __future__ import annotations

import io
import random
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image, ImageOps

from geoanchor.errors import BadInput
from geoanchor.exif import exif_time
from geoanchor.picture import Stretch, decode, measure

GPS, DETAILS = 0x8825, 0x8769
LIMIT = 1_000_000


def photo(**tags: int) -> bytes:
    """12 x 8 noise with a position, a time and its offset."""
    exif, data = Image.Exif(), io.BytesIO()
    exif[GPS] = {1: "N", 2: (48.0, 10.0, 5.0), 3: "E", 4: (16.0, 3.0, 1.0)}
    exif[DETAILS] = {0x9003: "2019:01:01 10:00:00", 0x9011: "+02:00"}
    for tag in tags.values():
        exif[0x0112] = tag
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    Image.fromarray(pixels).save(data, "JPEG", exif=exif, quality=95)
    return data.getvalue()


@pytest.mark.parametrize("orientation", range(9))
def test_pictures_are_set_upright_as_pillow_does(orientation: int) -> None:
    data = photo(orientation=orientation)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(decode(data, "a.jpg", LIMIT).pixels, expected)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_no_damage_to_exif_is_a_crash_and_hardly_any_costs_the_picture() -> None:
    data, rng, refused = photo(orientation=6), random.Random(1), 0
    start = data.index(b"Exif") + 6
    assert decode(data, "a.jpg", LIMIT).acquired == datetime(2019, 1, 1, 8, tzinfo=UTC)
    end = data.index(b"\xff\xdb")  # the first table of the picture itself
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(start, end)] = rng.randrange(256)
        try:
            decode(bytes(damaged), "a.jpg", LIMIT)
            measure(bytes(damaged), "a.jpg", LIMIT)
        except BadInput:
            refused += 1
    assert refused < 15


@pytest.mark.parametrize(("text", "offset"), [("0001:01:01 00:00:00", "+14:00"), ("9999:12:31 23:59:59", "-14:00")])
def test_times_beyond_the_calendar_are_none(text: str, offset: str) -> None:
    assert exif_time(text, offset) is None


def test_what_is_no_number_is_black_whatever_the_range() -> None:
    stretch = Stretch(np.array([-1.0], np.float32), np.array([1.0], np.float32))
    values = np.array([[[np.nan, -1.0, 0.0, np.inf, -np.inf]]], np.float32)
    assert stretch.apply(values).tolist() == [[[0, 0, 128, 255, 0]]]
