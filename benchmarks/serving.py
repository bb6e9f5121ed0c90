"""The service over 100,000 tiles: one client's text queries; twenty clients at once, and what that costs in memory; a
new version of the index in the midst of them."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.large import ROWS, Service, large_index, next_version, question, server, texts
from benchmarks.timing import percentile_ms

CLIENTS = 20
SECONDS = float(os.environ.get("GEOANCHOR_BENCH_SECONDS", "60"))
SWAP_SECONDS = 30.0
QUERIES = 200
WARM_S = 15.0
"""Of twenty clients, before memory is measured: threads and caches fill, and the heap finds its size."""


def run() -> dict[str, Any]:
    """Milliseconds, errors and megabytes; GEOANCHOR_BENCH_SECONDS makes the twenty clients stay longer."""
    with large_index() as folder:
        figures: dict[str, Any] = {"rows": ROWS, "processors": os.cpu_count()}
        rows, commit = next_version(folder)
        figures["load of the machine before, processes"] = round(os.getloadavg()[0], 1)
        with server(folder) as service:
            figures |= _alone(service)
            figures |= asyncio.run(_steady(service))
            figures |= asyncio.run(_swapped(service, rows, commit))
    return figures


def _alone(service: Service) -> dict[str, Any]:
    """One client, one text query with 100 hits after the other; then what a page and a map ask besides."""
    asked, seconds = texts(0), []
    with httpx.Client(base_url=service.url, timeout=60) as http:
        for _ in range(10):
            http.post("/api/search", json=question(next(asked)))
        cpu, begun = service.cpu_s(), time.perf_counter()
        for _ in range(QUERIES):
            start = time.perf_counter()
            answer = http.post("/api/search", json=question(next(asked)))
            seconds.append(time.perf_counter() - start)
        cpu = service.cpu_s() - cpu
        share = cpu / (time.perf_counter() - begun)
        hits = answer.json()["hits"]
        pictures = _timed(http, [f"/api/thumbnails/{hit['id']}" for hit in hits])
        tiles = _timed(http, ["/tiles/aerial/" + "/".join(map(str, hit["tile"])) + ".png" for hit in hits])
        start = time.perf_counter()
        http.post("/api/heat", json=question("river")).raise_for_status()
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


@dataclass
class _Crowd:
    """Twenty clients, each asking again as soon as it is answered.

    Attributes:
        answers: when each was asked, when answered (seconds of one clock), and how many rows were searched for it.
    """

    url: str
    seconds: float
    answers: list[tuple[float, float, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def stay(self) -> None:
        until = time.perf_counter() + self.seconds
        await asyncio.gather(*(self._client(number, until) for number in range(CLIENTS)))
        if not self.answers:
            raise SystemExit(f"no request was answered: {self.errors[0]}")

    async def _client(self, number: int, until: float) -> None:
        asked = texts(int(1000 * time.time()) % 1_000_000 + number)
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as http:
            while (start := time.perf_counter()) < until:
                try:
                    answer = await http.post("/api/search", json=question(next(asked), k=20))
                    self.answers.append((start, time.perf_counter(), answer.raise_for_status().json()["total"]))
                except httpx.HTTPError as error:
                    self.errors.append(repr(error))

    def failed(self) -> str:
        """How many requests, and why the first."""
        return f"{len(self.errors)}: {self.errors[0]}" if self.errors else "0"

    @property
    def waited(self) -> list[float]:
        """Seconds of each answer."""
        return [end - start for start, end, _ in self.answers]


async def _steady(service: Service) -> dict[str, Any]:
    """Twenty clients over one version: how long they wait, and how the service's memory grows."""
    await _Crowd(service.url, WARM_S).stay()
    crowd, memory, cpu = _Crowd(service.url, SECONDS), [service.memory_mb()], service.cpu_s()

    async def watch() -> None:
        for _ in range(12):
            await asyncio.sleep(SECONDS / 12)
            memory.append(service.memory_mb())

    begun = time.perf_counter()
    await asyncio.gather(crowd.stay(), watch())
    elapsed, cpu = time.perf_counter() - begun, service.cpu_s() - cpu
    who = f"{CLIENTS} clients:"
    return {
        f"{who} seconds": round(elapsed),
        f"{who} answers": len(crowd.answers),
        f"{who} errors (limit 0)": crowd.failed(),
        f"{who} p50 ms": round(percentile_ms(crowd.waited, 0.5)),
        f"{who} p95 ms (limit 1500)": round(percentile_ms(crowd.waited, 0.95)),
        f"{who} longest ms": round(1000 * max(crowd.waited)),
        f"{who} the server's own time for one, CPU ms": round(1000 * cpu / max(1, len(crowd.answers)), 1),
        f"{who} cores that the server got": round(cpu / elapsed, 2),
        "memory but for files, MB, warm and then twelve times": " ".join(f"{own:.0f}" for _, own in memory),
        "memory but for files, growth from warm to the end, MB": round(memory[-1][1] - memory[0][1], 1),
        "memory but for files, growth from warm to the end, %": round(100 * (memory[-1][1] / memory[0][1] - 1), 1),
        "memory in all, MB, warm and at the end": f"{memory[0][0]:.0f} {memory[-1][0]:.0f}",
    }


async def _swapped(service: Service, rows: int, commit: Any) -> dict[str, Any]:
    """Twenty clients while a new version is committed: whether any request is dropped, and when it is taken up."""
    crowd, committed = _Crowd(service.url, SWAP_SECONDS), 0.0

    async def swap() -> None:
        nonlocal committed
        await asyncio.sleep(SWAP_SECONDS / 3)
        committed = time.perf_counter()
        await asyncio.to_thread(commit)

    await asyncio.gather(crowd.stay(), swap())
    new = [(start, end) for start, end, total in crowd.answers if total == rows]
    first = min((end for _, end in new), default=float("nan"))
    late = sum(start > first and total != rows for start, _, total in crowd.answers)
    who = "new version under load:"
    return {
        f"{who} answers": len(crowd.answers),
        f"{who} of them from the new version": len(new),
        f"{who} requests dropped (limit 0)": crowd.failed(),
        f"{who} old answers to questions asked after its first": late,
        f"{who} first answer from it, seconds after the commit": round(first - committed, 1),
        f"{who} p95 ms (limit 1500)": round(percentile_ms(crowd.waited, 0.95)),
        f"{who} longest ms": round(1000 * max(crowd.waited)),
        f"{who} memory but for files at the end, MB": round(service.memory_mb()[1]),
    }
