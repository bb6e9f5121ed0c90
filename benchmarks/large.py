"""An index of 100,000 tiles with tags, captions and pictures, made once; a next version of it; a service over it."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import psutil
from PIL import Image

from benchmarks.gallery import CLUSTERS
from geoanchor.image import Pixels, TileImage
from geoanchor.manifest import Manifest, read_manifest, write_manifest
from geoanchor.protocols import Encoder, Row
from geoanchor.tiling import Tile, cell_at, tile_at
from indexer.seal import recounted
from models.bundle import load_bundle
from retrieval.index.lance import LanceStore
from retrieval.snapshot import derive_serving

ROWS = int(os.environ.get("GEOANCHOR_BENCH_ROWS", "100000"))
NEW_ROWS = 100
"""That come with the next version, or go."""
PLACE = "GEOANCHOR_BENCH_INDEX"
"""Names a folder where the index is kept from run to run."""
_THINGS = ("stadium", "school", "river", "car park", "forest", "railway", "harbour", "houses", "roundabout", "pitch")
_HOW = ("", "large ", "small ", "round ", "old ", "new ", "green ", "two ", "white ", "long ", "red roofed ", "narrow ")
_WHERE = ("", " near a road", " by the water", " beside trees", " at the edge of town", " with a flat roof")
_TAGS = (
    "amenity=parking", "amenity=school", "building=apartments", "building=detached", "building=yes", "highway=footway",
    "highway=residential", "highway=tertiary", "landuse=grass", "landuse=residential", "leisure=park", "leisure=pitch",
    "leisure=stadium", "natural=tree", "natural=water", "natural=wood", "railway=rail", "waterway=river",
)  # fmt: skip
_TAGS_A_ROW = 4
_PHRASES = [f"{how}{thing}" for thing in _THINGS for how in _HOW]
_CAPTIONS = [f"{phrase} next to {thing}" for phrase in _PHRASES for thing in _THINGS]
_BATCH = 5_000
_PICTURES = 64


@contextmanager
def large_index() -> Iterator[Path]:
    """The index's folder: the one that is kept, as long as its vectors are the model's, else a new one."""
    kept = os.environ.get(PLACE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(kept or Path(name) / "large.index")
        if not folder.exists():
            make_index(folder)
        elif read_manifest(folder).spaces["semantic"] != load_bundle("mini").spaces["semantic"]:
            raise SystemExit(f"{folder}: its vectors are of another `mini`; remove it, and it is made anew")
        yield folder


def make_index(folder: Path) -> None:
    """A square of tiles with clustered vectors about what the model makes of a few words, and one of 64 pictures."""
    encoder = load_bundle("mini")
    store = LanceStore.create(folder, {"semantic": encoder.spaces["semantic"]})
    make = _Rows(encoder)
    for start in range(0, ROWS, _BATCH):
        store.append([make.row(n) for n in range(start, min(start + _BATCH, ROWS))])
    words = [*_PHRASES, *_CAPTIONS]
    kinds = ["tag"] * len(_PHRASES) + ["caption"] * len(_CAPTIONS)
    store.replace_texts(words, kinds, [1] * len(words), encoder.encode(words, "text", "query"))
    manifest = Manifest(model="mini", spaces={"semantic": encoder.spaces["semantic"]})
    write_manifest(folder, derive_serving(folder, store, recounted(manifest, store)))


def next_version(folder: Path) -> tuple[int, Callable[[], None]]:
    """Prepare another version: some rows more, or those fewer; how many rows it has, and what commits it.

    All but the manifest is written now, so that what is measured later is the service and not the writing.
    """
    manifest, store = read_manifest(folder), LanceStore.open(folder)
    new = range(ROWS, ROWS + NEW_ROWS)
    if not store.delete([_id(_tile(n)) for n in new]):
        make = _Rows(load_bundle("mini"))
        store.append([make.row(n) for n in new])
    manifest = derive_serving(folder, store, recounted(manifest, store))
    return manifest.rows, lambda: write_manifest(folder, manifest)


class _Rows:
    def __init__(self, encoder: Encoder) -> None:
        self._rng = np.random.default_rng(0)
        words = encoder.encode(_PHRASES, "text", "query")["semantic"]
        noise = 0.06 * self._rng.normal(size=(CLUSTERS, words.shape[1]))
        self._centres = words[self._rng.integers(len(words), size=CLUSTERS)] + noise
        self._pictures = [_picture(self._rng) for _ in range(_PICTURES)]

    def row(self, number: int) -> Row:
        rng, tile = self._rng, _tile(number)
        vector = self._centres[rng.integers(CLUSTERS)] + 0.04 * rng.normal(size=self._centres.shape[1])
        pixels, thumbnail = self._pictures[number % _PICTURES]
        image = TileImage(
            pixels=pixels, id=_id(tile), layer="aerial", tile=tile, bounds=tile.bounds, point=tile.center,
            gsd_m=tile.gsd_m(), source="synthetic", caption=_CAPTIONS[rng.integers(len(_CAPTIONS))],
            tags=tuple(sorted(rng.choice(_TAGS, _TAGS_A_ROW, replace=False).tolist())),
        )  # fmt: skip
        return Row(
            image=image, cell=cell_at(*tile.center, 10), stamp="", content_hash="", thumbnail=thumbnail,
            vectors={"semantic": (vector / np.linalg.norm(vector)).astype(np.float32)},
        )  # fmt: skip


def _tile(number: int) -> Tile:
    side, first = int(np.ceil(np.sqrt(ROWS))), tile_at(15.0, 48.0, 17)
    return Tile(17, first.x + number % side, first.y + number // side)


def _id(tile: Tile) -> str:
    return f"large/{tile}"


def _picture(rng: np.random.Generator) -> tuple[Pixels, bytes]:
    coarse = rng.integers(0, 255, (16, 16, 3), np.uint8)
    image, buffer = Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC), io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return np.asarray(image)[:2, :2], buffer.getvalue()


class Service(NamedTuple):
    """A running `geoanchor serve`: where it listens, and what it uses."""

    url: str
    process: psutil.Process

    def cpu_s(self) -> float:
        """Processor time so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> tuple[float, float]:
        """Resident memory, and the part of it that is not pages of files, which the system takes back when it must."""
        info = self.process.memory_info()
        return info.rss / 1e6, (info.rss - info.shared) / 1e6


@contextmanager
def server(folder: Path) -> Iterator[Service]:
    """Serve an index, without a limit to the pace, until the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "app.cli", "serve", str(folder), f"--port={port}", "--rate=0", "--offline"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                try:
                    httpx.post(url + "/api/search", json=question("warm"), timeout=60).raise_for_status()
                    break
                except httpx.TransportError:
                    time.sleep(0.2)
            yield Service(url, psutil.Process(process.pid))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def question(text: str, k: int = 100) -> dict[str, Any]:
    """A Query as JSON."""
    return {"parts": [{"kind": "text", "text": text}], "k": k}


def texts(seed: int) -> Iterator[str]:
    """Endless, and seldom the same twice."""
    rng = np.random.default_rng(seed)

    def one(of: Sequence[str]) -> str:
        return of[int(rng.integers(len(of)))]

    while True:
        yield f"{one(_HOW)}{one(_THINGS)}{one(_WHERE)} {rng.integers(1000)}"
