"""Search over 500,000 x 256 vectors beside bare FAISS and LanceDB; each figure is a ratio of medians from one run."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import faiss
import lancedb
import numpy as np
import pyarrow as pa

from benchmarks.gallery import Gallery, make_gallery, recall_at_10
from benchmarks.timing import percentile_ms
from geoanchor.manifest import Manifest, write_manifest
from geoanchor.protocols import RowIds, Vectors
from geoanchor.query import BoundsRegion, LikePart, Query
from geoanchor.space import EmbeddingSpace
from geoanchor.tiling import Bounds
from models.toy import ToyEncoder
from retrieval.index.flat import FlatIndex
from retrieval.index.lance import vector_column
from retrieval.region import region_rows
from retrieval.searcher import Searcher
from retrieval.serving import Serving
from retrieval.snapshot import derive_serving

ROWS, DIM, QUERIES, K, ROUNDS = 500_000, 256, 200, 10, 3
SPACE = EmbeddingSpace(name="semantic", dim=DIM, modalities=("aerial",), weights="-", preprocessing="-")


class GalleryStore:
    """The gallery as the store of record hands out rows, without a store."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._names = [f"aerial/bench/{i:07}" for i in range(len(gallery.vectors))]

    def columns(self, names: list[str]) -> pa.Table:
        return pa.table({name: self._column(name) for name in names})

    def texts(self) -> pa.Table:
        vectors = pa.array([], pa.list_(pa.float32(), DIM))
        return pa.table({"text": pa.array([], pa.string()), vector_column("semantic"): vectors})

    def _column(self, name: str) -> pa.Array:
        gallery, rows = self._gallery, len(self._gallery.vectors)
        known: dict[str, Callable[[], pa.Array]] = {
            "id": lambda: pa.array(self._names),
            "layer": lambda: pa.array(["aerial"] * rows),
            "lng": lambda: pa.array(gallery.lng),
            "lat": lambda: pa.array(gallery.lat),
            "cell": lambda: pa.array(gallery.cell),
            "tags": lambda: pa.nulls(rows, pa.list_(pa.string())),
            "acquired": lambda: pa.nulls(rows, pa.timestamp("us", "UTC")),
            vector_column("semantic"): lambda: pa.FixedSizeListArray.from_arrays(
                pa.array(gallery.vectors.reshape(-1)), DIM
            ),
        }
        if name in known:
            return known[name]()
        return pa.nulls(rows, pa.string() if name in ("source", "attribution", "caption") else pa.float64())


def run() -> dict[str, Any]:
    """Figures (c), (d) and (e): approximate search, a region of one per cent, opening."""
    gallery = make_gallery(ROWS, DIM, QUERIES)
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "bench.index"
        index.mkdir()
        start = time.perf_counter()
        manifest = Manifest(model="toy", spaces={"semantic": SPACE}, rows=ROWS, layers={"aerial": ROWS})
        manifest = derive_serving(index, GalleryStore(gallery), manifest)  # type: ignore[arg-type]
        write_manifest(index, manifest)
        figures: dict[str, Any] = {"rows x dims": f"{ROWS} x {DIM}", "serving files made, s": _round(start)}
        serving = Serving.open(index, manifest)
        lance = _lance_table(Path(folder) / "lance", gallery)
        figures |= _approximate(serving, gallery, lance) | _regional(serving, gallery, lance) | _opening(index)
    return figures


def _lance_table(folder: Path, gallery: Gallery) -> Any:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(gallery.vectors.reshape(-1)), DIM)
    columns = {"row": np.arange(ROWS), "lng": gallery.lng, "lat": gallery.lat, "vector": vectors}
    return lancedb.connect(folder).create_table("ann", pa.table(columns))


def _approximate(serving: Serving, gallery: Gallery, lance: Any) -> dict[str, Any]:
    """(c): the served index against the very FAISS file below it, and against LanceDB's own ANN."""
    ours = serving.index("semantic")
    path = next((serving.folder / "serving").glob("*/faiss.semantic.index"))
    bare = faiss.read_index(str(path))
    start = time.perf_counter()
    lance.create_index(metric="dot", vector_column_name="vector")
    figures: dict[str, Any] = {"(c) LanceDB ANN made, s": _round(start)}
    exact = FlatIndex(gallery.vectors).search(gallery.queries, K)[1]

    def by_lance(vector: Vectors) -> RowIds:
        found = (
            lance.search(vector)
            .distance_type("dot")
            .nprobes(40)
            .refine_factor(10)
            .select(["row", "_distance"])
            .limit(K)
        )
        return np.asarray(found.to_arrow()["row"].to_numpy())

    searcher = Searcher(serving, ToyEncoder)
    likes = [Query(parts=(LikePart(id=f"aerial/bench/{i:07}"),), k=K) for i in range(0, ROWS, ROWS // QUERIES)]
    searcher.search(likes[0])
    rivals: dict[str, Callable[[Vectors], RowIds]] = {
        "geoanchor": lambda vector: ours.search(vector[None], K)[1][0],
        "faiss": lambda vector: bare.search(vector[None], K)[1][0],
        "lancedb": by_lance,
    }
    found = {
        name: np.asarray([np.resize(search(vector), K) for vector in gallery.queries])
        for name, search in rivals.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in [*rivals, "query to hits"]}
    # Each rival gets a run of queries to itself, as a server would; the runs alternate, so that drift hits all alike.
    for _ in range(ROUNDS):
        for name, search in rivals.items():
            seconds[name] += _each(search, gallery.queries)
        seconds["query to hits"] += _each(searcher.search, likes)
    p50 = {name: percentile_ms(values, 0.5) for name, values in seconds.items()}
    for name, rows in found.items():
        figures[f"(c) {name}: p50 ms, recall@10"] = f"{p50[name]:.3f}, {recall_at_10(rows, exact):.4f}"
    figures["(c) whole Query to Answer: p50 ms"] = round(p50["query to hits"], 3)
    figures["(c) p50 over bare FAISS IVF, at most 1.3"] = round(p50["geoanchor"] / p50["faiss"], 2)
    figures["(c) LanceDB's ANN over ours, at least 10"] = round(p50["lancedb"] / p50["geoanchor"], 1)
    return figures


def _each(search: Callable[[Any], object], queries: Iterable[Any]) -> list[float]:
    """Seconds of every single call."""
    seconds = []
    for query in queries:
        begin = time.perf_counter()
        search(query)
        seconds.append(time.perf_counter() - begin)
    return seconds


def _regional(serving: Serving, gallery: Gallery, lance: Any) -> dict[str, Any]:
    """(d): boxes that hold one per cent of the rows, exact, against LanceDB's prefilter and FAISS's id selector."""
    flat = faiss.IndexFlatIP(DIM)
    flat.add(gallery.vectors)
    ours = serving.index("semantic")
    asked = list(zip(_boxes(20) * 2, gallery.queries, strict=False))

    def by_geoanchor(box: Bounds, vector: Vectors) -> RowIds:
        rows = region_rows(BoundsRegion(bounds=box), serving.places)
        return ours.search(vector[None], K, rows)[1][0]

    def by_faiss(box: Bounds, vector: Vectors) -> RowIds:
        selector = faiss.IDSelectorBatch(_in_box(gallery, box))
        return np.asarray(flat.search(vector[None], K, params=faiss.SearchParameters(sel=selector))[1][0])

    def by_lance(box: Bounds, vector: Vectors) -> RowIds:
        where = f"lng >= {box.west} AND lng <= {box.east} AND lat >= {box.south} AND lat <= {box.north}"
        query = lance.search(vector).distance_type("dot").bypass_vector_index().where(where, prefilter=True)
        return np.asarray(query.select(["row", "_distance"]).limit(K).to_arrow()["row"].to_numpy())

    every = faiss.read_index(str(next((serving.folder / "serving").glob("*/faiss.semantic.index"))))

    def by_ivf(box: Bounds, vector: Vectors) -> RowIds:
        selector = faiss.IDSelectorBatch(_in_box(gallery, box))
        exact = faiss.SearchParametersIVF(sel=selector, nprobe=every.nlist)
        return np.asarray(every.search(vector[None], K, params=exact)[1][0])

    rivals = {"geoanchor": by_geoanchor, "faiss": by_faiss, "faiss ivf": by_ivf, "lancedb": by_lance}
    found = {name: [set(search(*pair)) for pair in asked] for name, search in rivals.items()}
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(ROUNDS):
        for name, search in rivals.items():
            seconds[name] += _each(lambda pair, search=search: search(*pair), asked)
    p50 = {name: percentile_ms(values, 0.5) for name, values in seconds.items()}
    shares = [len(_in_box(gallery, box)) / ROWS for box, _ in asked]
    equal = [ours == theirs for ours, theirs in zip(found["geoanchor"], found["faiss"], strict=True)]
    return {
        "(d) share of rows in the region": round(float(np.mean(shares)), 4),
        "(d) p50 ms: ours, FAISS flat and IVF with id selector, LanceDB": ", ".join(f"{ms:.2f}" for ms in p50.values()),
        "(d) equal to FAISS's exact answer": f"{sum(equal)} of {len(equal)}",
        "(d) FAISS flat with id selector over ours, at least 5": round(p50["faiss"] / p50["geoanchor"], 1),
        "(d) FAISS IVF, all lists, id selector over ours": round(p50["faiss ivf"] / p50["geoanchor"], 1),
        "(d) LanceDB prefilter over ours, at least 5": round(p50["lancedb"] / p50["geoanchor"], 1),
    }


def _boxes(count: int) -> list[Bounds]:
    """Boxes of a hundredth of the gallery's ground."""
    random = np.random.default_rng(4)
    corners = zip(random.uniform(8.0, 9.17, count), random.uniform(47.0, 47.81, count), strict=True)
    return [Bounds(west, south, west + 0.13, south + 0.09) for west, south in corners]


def _in_box(gallery: Gallery, box: Bounds) -> RowIds:
    inside = (gallery.lng >= box.west) & (gallery.lng <= box.east)
    return np.flatnonzero(inside & (gallery.lat >= box.south) & (gallery.lat <= box.north))


_OPEN = """
import json, sys, time, resource
start = time.perf_counter()
from pathlib import Path
from geoanchor.manifest import read_manifest
from geoanchor.query import LikePart, Query
from retrieval.searcher import Searcher
from retrieval.serving import Serving
imported = time.perf_counter()
folder = Path(sys.argv[1])
searcher = Searcher(Serving.open(folder, read_manifest(folder)), lambda: None)
hits = searcher.search(Query(parts=(LikePart(id="aerial/bench/0250000"),), k=10)).hits
done = time.perf_counter()
import psutil
memory = psutil.Process().memory_full_info()
print(json.dumps({"import": imported - start, "open": done - imported, "rss": memory.rss, "uss": memory.uss}))
"""


def _opening(folder: Path) -> dict[str, Any]:
    """(e): memory and time to the first answer of a fresh process."""
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", _OPEN, str(folder)], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    middle = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
    vectors = ROWS * DIM * 4
    return {
        "(e) time to first answer after imports, s": round(middle["open"], 3),
        "(e) imports, s": round(middle["import"], 3),
        "(e) own memory (USS), MB": round(middle["uss"] / 1e6),
        "(e) resident memory (RSS, mapped files too), MB": round(middle["rss"] / 1e6),
        "(e) resident memory over the vectors' own size": round(middle["rss"] / vectors, 2),
    }


def _round(start: float) -> float:
    return round(time.perf_counter() - start, 1)
