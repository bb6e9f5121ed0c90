"""Pictures of which it is known what they show: the procedural city, and RSICD."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from geoanchor.image import Pixels
from geoanchor.protocols import Encoder, TileRef, Vectors
from geoanchor.settings import Settings
from indexer.captions import describe_tile
from indexer.city.city import City
from indexer.scene import presence, scene_of
from indexer.sources.city import CityTiles, open_city
from indexer.sources.registry import SourceOptions
from training.datasets import Pictures, read_captions
from training.datasets.split import bucket

Half = Literal["fit", "judge"]

RSICD = Path(__file__).resolve().parents[3] / "shared" / "data" / "rsicd"
"""Where the real pictures lie beside a checkout; they are no part of it."""
SEEDS: dict[Half, range] = {"fit": range(3001, 3009), "judge": range(101, 109)}
"""City seeds; no recipe draws either, and what is judged on is never fitted on."""
_TILES: dict[Half, int] = {"fit": 96, "judge": 48}
"""Tiles drawn at random of each city."""
_SHARE = 2
"""One in so many of RSICD's training pictures is fitted on."""
_ENCODED_AT_ONCE = 32


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """n pictures, what is known of them, and their vectors.

    Attributes:
        name: "city" or "rsicd". tags, captions: as an index keeps them, empty for pictures that come without words.
        shows: what each picture truly shows, as concept names or scene and nouns.
        sentences: captions by people, for queries; not part of the index.
        vectors: (n, d) in the space "semantic".
    """

    name: str
    ids: Sequence[str]
    tags: Sequence[tuple[str, ...]]
    captions: Sequence[str]
    shows: Sequence[frozenset[str]]
    sentences: Sequence[tuple[str, ...]]
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, rows: slice) -> Gallery:
        """Some of the pictures."""
        return Gallery(
            self.name, self.ids[rows], self.tags[rows], self.captions[rows], self.shows[rows], self.sentences[rows],
            self.vectors[rows],
        )  # fmt: skip

    def wordless(self) -> Gallery:
        """The same pictures as an index without tags and captions has them."""
        n = len(self)
        return Gallery(self.name, self.ids, [()] * n, [""] * n, self.shows, self.sentences, self.vectors)


def city_gallery(half: Half, encoder: Encoder, settings: Settings) -> Gallery:
    """Aerial tiles of unseen cities, of the countries A and B in turn."""
    ids, tags, captions, shows, pixels, cache = [], [], [], [], [], _cache(settings)
    for seed in SEEDS[half]:
        country = "AB"[seed % 2]
        source = open_city(f"city:{seed}/{country}", SourceOptions(layer="aerial", settings=settings))
        refs = list(source.plan())
        chosen = np.random.default_rng(seed).choice(len(refs), _TILES[half], replace=False)
        town = City(seed, country)
        for number in np.sort(chosen).tolist():
            tile = refs[number].tile
            assert tile is not None
            features = town.features(tile.bounds)
            told, sentences = describe_tile(features, tile)
            ids.append(refs[number].id)
            tags.append(told)
            captions.append(sentences[0])
            shows.append(frozenset(thing.concept.name for thing in scene_of(presence(features, tile)).things))
            pixels.append(_kept(source, refs[number], cache))
    vectors = _encoded(cache / f"city-{half}", pixels, encoder)
    return Gallery("city", ids, tags, captions, shows, [()] * len(ids), vectors)


def rsicd_gallery(half: Half, folder: Path, encoder: Encoder, settings: Settings) -> Gallery:
    """A part of RSICD's training pictures to fit on, and its validation tenth (SHA-256 of the name, 0 of 10) to judge.

    Args:
        folder: holds images.tar and captions.json.
    """
    items = [item for item in read_captions(folder / "captions.json") if _is_of(half, item.image)]
    pictures = Pictures(folder / "images.tar")
    vectors = _encoded(_cache(settings) / f"rsicd-{half}", [pictures.read(item.image) for item in items], encoder)
    shows = [frozenset({_scene(item.image)}) for item in items]
    n = len(items)
    return Gallery(
        "rsicd", [item.image for item in items], [()] * n, [""] * n, shows, [item.captions for item in items], vectors
    )


def _is_of(half: Half, image: str) -> bool:
    if half == "judge":
        return bucket(image, 10) == 0
    return bucket(image, 10) != 0 and bucket(f"relevance {image}", _SHARE) == 0


def _scene(image: str) -> str:
    """The scene class that a picture's name says: "railwaystation_12.jpg" -> "railwaystation"."""
    return image.rsplit("_", 1)[0].lower()


def _encoded(start: Path, pixels: Sequence[Pixels], encoder: Encoder) -> Vectors:
    """Vectors as an index of this model has them, kept for the next run of the same model over the same pictures."""
    seen = hashlib.sha256(encoder.spaces["semantic"].fingerprint.encode())
    for picture in pixels:
        seen.update(picture.tobytes())
    path = start.with_name(f"{start.name}-{seen.hexdigest()[:16]}.npy")
    if not path.is_file():
        parts = []
        for first in range(0, len(pixels), _ENCODED_AT_ONCE):
            prepared = [encoder.prepare(picture, "aerial") for picture in pixels[first : first + _ENCODED_AT_ONCE]]
            parts.append(encoder.encode(prepared, "aerial")["semantic"])
        np.save(path, np.concatenate(parts))
    return np.asarray(np.load(path, allow_pickle=False), np.float32)


def _kept(source: CityTiles, ref: TileRef, cache: Path) -> Pixels:
    """A tile's pixels, drawn once."""
    path = cache / (ref.id.replace("/", "-") + ".npy")
    if not path.is_file():
        np.save(path, source.read(ref).pixels)
    return np.asarray(np.load(path, allow_pickle=False), np.uint8)


def _cache(settings: Settings) -> Path:
    folder = settings.cache_dir / "relevance"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
