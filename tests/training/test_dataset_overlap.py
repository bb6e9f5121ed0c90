"""The same picture is found under another name, size, compression or turn; another one is not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from geoanchor.image import Pixels
from training.datasets import Captioned, Pictures
from training.datasets.overlap import equal_captions, overlap
from training.datasets.phash import alike, perceptual_hashes

TOLD = ("a river", "a wide river", "water and trees", "some trees", "a green bank")


@pytest.fixture(scope="module")
def tiles() -> list[Pixels]:
    """Smooth pictures, no two alike."""
    grains = np.random.default_rng(0).integers(0, 256, (12, 9, 9, 3), dtype=np.uint8)
    return [np.asarray(Image.fromarray(grain).resize((128, 128), Image.Resampling.BICUBIC)) for grain in grains]


def compressed(pixels: Pixels, size: int, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((size, size)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def rows_of(pairs: NDArray[np.int64]) -> set[tuple[int, int]]:
    return {(int(first), int(second)) for first, second, _ in pairs}


def test_copies_are_near_and_others_are_not(tiles: list[Pixels]) -> None:
    copies = [compressed(pixels, 150, 60) for pixels in tiles]
    assert rows_of(alike(perceptual_hashes(tiles), perceptual_hashes(copies))) == {(i, i) for i in range(len(tiles))}


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_turned_and_mirrored_copies_are_near(tiles: list[Pixels], turn: int, mirror: bool) -> None:
    laid = [np.rot90(pixels[:, ::-1] if mirror else pixels, turn).copy() for pixels in tiles]
    copies = [compressed(pixels, 128, 80) for pixels in laid]
    found = rows_of(alike(perceptual_hashes(tiles), perceptual_hashes(copies)))
    assert found >= {(i, i) for i in range(len(tiles))}


def test_a_hash_is_of_the_frequencies_above_their_median(tiles: list[Pixels]) -> None:
    """Oracle: the cosine sums written out, bit by bit."""
    pixels = np.asarray(Image.fromarray(tiles[0]).convert("L").resize((32, 32), Image.Resampling.LANCZOS), float)
    places = np.arange(32)
    waves = np.array([np.cos(np.pi * (2 * places + 1) * k / 64) for k in range(8)])
    low = (waves @ pixels @ waves.T).ravel()
    # The orthonormal transform has another scale for frequency 0.
    scale = np.where(np.arange(8) == 0, np.sqrt(1 / 32), np.sqrt(2 / 32))
    low *= np.outer(scale, scale).ravel()
    bits = "".join("1" if value > np.median(low) else "0" for value in low)
    assert f"{int(perceptual_hashes(tiles[:1])[0, 0]):064b}" == bits


def test_pictures_of_one_colour_have_one_hash() -> None:
    flat = [np.full((20, 20, 3), level, np.uint8) for level in (0, 90, 255)]
    hashes = perceptual_hashes(flat)
    assert len(set(hashes[1:, 0].tolist())) == 1


def test_near_pairs_are_those_of_a_plain_count() -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 2**64, (40, 8), dtype=np.uint64)
    second = np.concatenate([first[:10] ^ np.uint64(0b1011), rng.integers(0, 2**64, (30, 8), dtype=np.uint64)])
    expected = {
        (i, j)
        for i in range(len(first))
        for j in range(len(second))
        if min((int(own) ^ int(second[j, 0])).bit_count() for own in first[i]) <= 4
    }
    assert rows_of(alike(first, second)) == expected
    assert len(expected) >= 10


def test_a_thousand_are_found_again_among_ten_thousand() -> None:
    hashes = np.random.default_rng(2).integers(0, 2**64, (10_000, 8), dtype=np.uint64)
    assert {(i, i) for i in range(1000)} <= rows_of(alike(hashes[:1000], hashes))


def save(folder: Path, pictures: dict[str, Pixels]) -> Pictures:
    folder.mkdir()
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / name)
    return Pictures(folder)


def test_only_what_looks_and_reads_the_same_is_dropped(tmp_path: Path, tiles: list[Pixels]) -> None:
    train = save(tmp_path / "train", {"same.png": tiles[0], "told.png": tiles[1], "seen.png": tiles[2]})
    turned = np.rot90(compressed(tiles[0], 120, 70)).copy()
    test = save(tmp_path / "test", {"x.png": turned, "y.png": tiles[3], "z.png": tiles[2]})
    other = ("roofs", "many roofs", "a town", "houses", "a street")
    first = [
        Captioned(image="same.png", captions=TOLD),
        Captioned(image="told.png", captions=TOLD),
        Captioned(image="seen.png", captions=other),
        Captioned(image="gone.png", captions=other),
    ]
    second = [
        Captioned(image="x.png", captions=("A river.", *TOLD[1:3], "sky", "cloud")),
        Captioned(image="y.png", captions=("Roofs .",)),
        Captioned(image="z.png", captions=("sand", "dunes", "desert")),
    ]
    found = overlap(first, second, train, test)
    assert found.drop == ["same.png"]
    assert [(own.image, own.other, own.captions) for own in found.duplicates] == [("same.png", "x.png", 3)]
    # 3 captions of each of the first two, and "roofs" of the last two, occur in the second set.
    assert (found.shared_captions, found.retold, found.candidates, found.unread) == (3 + 3 + 1 + 1, 2, 2, 1)
    assert (found.images, found.captions) == ((4, 3), (20, 9))
    by_words = overlap(first, second)
    assert (by_words.shared_captions, by_words.candidates, by_words.drop) == (8, None, [])


def test_equal_captions_count_as_often_as_both_have_them() -> None:
    one = Captioned(image="a", captions=("x", "X.", "y"))
    assert equal_captions(one, Captioned(image="b", captions=("x", "x", "x"))) == 2
    assert equal_captions(one, Captioned(image="b", captions=("z", "y ."))) == 1


def test_a_picture_told_once_needs_one_equal_caption(tmp_path: Path, tiles: list[Pixels]) -> None:
    pictures = save(tmp_path / "p", {"a.png": tiles[0]})
    once = [Captioned(image="a.png", captions=("a river",))]
    assert overlap(once, once, pictures, pictures).drop == ["a.png"]
    assert overlap(once, [Captioned(image="a.png", captions=("a lake",))], pictures, pictures).drop == []
