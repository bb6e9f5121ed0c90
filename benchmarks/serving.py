"""The service over 100,000 tiles: one client's text queries, twenty clients at once, and what that costs."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image

from benchmarks.gallery import CLUSTERS
from benchmarks.timing import percentile_ms
from geoanchor.image import Pixels, TileImage
from geoanchor.manifest import Manifest, write_manifest
from geoanchor.protocols import Encoder, Row
from geoanchor.tiling import Tile, cell_at, tile_at
from indexer.seal import recounted
from models.bundle import load_bundle
from retrieval.index.lance import LanceStore
from retrieval.serving import derive_serving

ROWS = int(os.environ.get("GEOANCHOR_BENCH_ROWS", "100000"))
CLIENTS = 20
SECONDS = float(os.environ.get("GEOANCHOR_BENCH_SECONDS", "60"))
QUERIES = 200
_THINGS = ("stadium", "school", "river", "car park", "forest", "railway", "harbour", "houses", "roundabout", "pitch")
_HOW = ("", "large ", "small ", "round ", "old ", "new ", "green ", "two ", "white ", "long ", "red roofed ", "narrow ")
_WHERE = ("", " near a road", " by the water", " beside trees", " at the edge of town", " with a flat roof")
_BATCH = 5_000


def run() -> dict[str, Any]:
    """Milliseconds, errors and megabytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "large.index"
        start = time.perf_counter()
        make_index(folder, ROWS)
        figures: dict[str, Any] = {"rows": ROWS, "index made, s": round(time.perf_counter() - start, 1)}
        figures["load of the machine, processes"] = round(os.getloadavg()[0], 1)
        with server(folder) as (url, process):
            figures |= _alone(url, process)
            figures |= asyncio.run(_crowd(url, process))
    return figures


def make_index(folder: Path, rows: int) -> None:
    """A square of tiles with clustered vectors about what the model makes of a few words, and one of 64 pictures."""
    encoder = load_bundle("mini")
    store = LanceStore.create(folder, {"semantic": encoder.spaces["semantic"]})
    rng = np.random.default_rng(0)
    centres = _centres(encoder, rng)
    pictures = [_picture(rng) for _ in range(64)]
    side, first = int(np.ceil(np.sqrt(rows))), tile_at(15.0, 48.0, 17)
    for start in range(0, rows, _BATCH):
        batch = []
        for n in range(start, min(start + _BATCH, rows)):
            vector = centres[rng.integers(len(centres))] + 0.04 * rng.normal(size=centres.shape[1])
            tile = Tile(17, first.x + n % side, first.y + n // side)
            batch.append(_row(tile, pictures[n % 64], (vector / np.linalg.norm(vector)).astype(np.float32)))
        store.append(batch)
    words = [f"{how}{thing}" for thing in _THINGS for how in _HOW]
    store.replace_texts(words, ["tag"] * len(words), [1] * len(words), encoder.encode(words, "text", "query"))
    manifest = Manifest(model="mini", spaces={"semantic": encoder.spaces["semantic"]})
    write_manifest(folder, derive_serving(folder, store, recounted(manifest, store)))


def _centres(encoder: Encoder, rng: np.random.Generator) -> Any:
    words = encoder.encode([f"{how}{thing}" for thing in _THINGS for how in _HOW], "text", "query")["semantic"]
    return words[rng.integers(len(words), size=CLUSTERS)] + 0.06 * rng.normal(size=(CLUSTERS, words.shape[1]))


def _picture(rng: np.random.Generator) -> tuple[Pixels, bytes]:
    coarse = rng.integers(0, 255, (16, 16, 3), np.uint8)
    image, buffer = Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC), io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return np.asarray(image)[:2, :2], buffer.getvalue()


def _row(tile: Tile, picture: tuple[Pixels, bytes], vector: Any) -> Row:
    image = TileImage(
        pixels=picture[0], id=f"large/{tile}", layer="aerial", tile=tile, bounds=tile.bounds, point=tile.center,
        gsd_m=tile.gsd_m(), source="synthetic",
    )  # fmt: skip
    return Row(
        image=image, cell=cell_at(*tile.center, 10), stamp="", content_hash="", thumbnail=picture[1],
        vectors={"semantic": vector},
    )  # fmt: skip


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
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
                    httpx.post(url + "/api/search", json=_query("warm"), timeout=60).raise_for_status()
                    break
                except httpx.TransportError:
                    time.sleep(0.2)
            yield url, psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def _query(text: str, k: int = 100) -> dict[str, Any]:
    return {"parts": [{"kind": "text", "text": text}], "k": k}


def texts(seed: int) -> Iterator[str]:
    """Endless, and seldom the same twice."""
    rng = np.random.default_rng(seed)
    while True:
        yield f"{rng.choice(_HOW)}{rng.choice(_THINGS)}{rng.choice(_WHERE)} {rng.integers(1000)}"


def _alone(url: str, process: psutil.Process) -> dict[str, Any]:
    """One client, one text query with 100 hits after the other; then what a page and a map ask besides."""
    asked, seconds = texts(0), []
    with httpx.Client(base_url=url, timeout=60) as http:
        for _ in range(10):
            http.post("/api/search", json=_query(next(asked)))
        cpu, begun = _cpu_s(process), time.perf_counter()
        for _ in range(QUERIES):
            start = time.perf_counter()
            answer = http.post("/api/search", json=_query(next(asked)))
            seconds.append(time.perf_counter() - start)
        share = (_cpu_s(process) - cpu) / (time.perf_counter() - begun)
        cpu = _cpu_s(process) - cpu
        hits = answer.json()["hits"]
        pictures = _timed(http, [f"/api/thumbnails/{hit['id']}" for hit in hits])
        tiles = _timed(http, ["/tiles/aerial/" + "/".join(map(str, hit["tile"])) + ".png" for hit in hits])
        start = time.perf_counter()
        http.post("/api/heat", json=_query("river")).raise_for_status()
        heat = time.perf_counter() - start
    return {
        "one client, text query with 100 hits, p50 ms": round(percentile_ms(seconds, 0.5), 1),
        "one client, text query with 100 hits, p95 ms": round(percentile_ms(seconds, 0.95), 1),
        "the server's own time for one, CPU ms": round(1000 * cpu / QUERIES, 1),
        "share of one core that the server got": round(share, 2),
        "picture of a hit, p95 ms": round(percentile_ms(pictures, 0.95), 1),
        "map tile, p95 ms": round(percentile_ms(tiles, 0.95), 1),
        "heat over all rows, ms": round(1000 * heat, 1),
    }


def _timed(http: httpx.Client, paths: list[str]) -> list[float]:
    seconds = []
    for path in paths:
        start = time.perf_counter()
        http.get(path).raise_for_status()
        seconds.append(time.perf_counter() - start)
    return seconds


async def _crowd(url: str, process: psutil.Process) -> dict[str, Any]:
    """Twenty clients, each asking again as soon as it is answered."""
    seconds: list[float] = []
    errors: list[str] = []
    until = time.perf_counter() + SECONDS
    memory = [_own_bytes(process)]

    async def client(number: int) -> None:
        asked = texts(number + 1)
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            while time.perf_counter() < until:
                start = time.perf_counter()
                try:
                    answer = await http.post("/api/search", json=_query(next(asked), k=20))
                    answer.raise_for_status()
                except httpx.HTTPError as error:
                    errors.append(repr(error))
                seconds.append(time.perf_counter() - start)

    async def watch() -> None:
        while time.perf_counter() < until:
            await asyncio.sleep(SECONDS / 12)
            memory.append(_own_bytes(process))

    cpu, begun = _cpu_s(process), time.perf_counter()
    await asyncio.gather(watch(), *(client(number) for number in range(CLIENTS)))
    elapsed = time.perf_counter() - begun
    cpu = _cpu_s(process) - cpu
    # The first sixth of the time fills threads and caches.
    settled = memory[2]
    return {
        f"{CLIENTS} clients: seconds": round(elapsed),
        f"{CLIENTS} clients: answers": len(seconds),
        f"{CLIENTS} clients: errors": len(errors),
        f"{CLIENTS} clients: p50 ms": round(percentile_ms(seconds, 0.5)),
        f"{CLIENTS} clients: p95 ms": round(percentile_ms(seconds, 0.95)),
        f"{CLIENTS} clients: the server's own time for one, CPU ms": round(1000 * cpu / max(1, len(seconds)), 1),
        f"{CLIENTS} clients: share of one core that the server got": round(cpu / elapsed, 2),
        "memory of the server but for mapped files, before, settled, after, MB": " ".join(
            f"{bytes_ / 1e6:.0f}" for bytes_ in (memory[0], settled, memory[-1])
        ),
    }


def _own_bytes(process: psutil.Process) -> int:
    """Resident memory without pages of files, which the system takes back when it needs them."""
    info = process.memory_info()
    return int(info.rss - info.shared)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
