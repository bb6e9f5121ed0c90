"""What every vector index must do, and that filters are exact with each of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import faiss
import h3
import numpy as np
import pytest

from geoanchor.protocols import VectorIndex
from geoanchor.query import BoundsRegion, CellsRegion, PolygonRegion, RadiusRegion, Region
from geoanchor.tiling import Bounds, cell_at, distance_m, wrap_lng
from retrieval.index.faiss import SharedScan, build_faiss, open_faiss
from retrieval.index.flat import FlatIndex
from retrieval.index.lance_ann import LanceAnn
from retrieval.region import Places, region_rows

GALLERY, DIM = 3_000, 16


def gallery() -> np.ndarray:
    """Unit vectors, every tenth a copy of the one before it, so that ties are common."""
    vectors = np.random.default_rng(1).standard_normal((GALLERY, DIM)).astype(np.float32)
    vectors[9::10] = vectors[8::10]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def queries(count: int = 5) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((count, DIM)).astype(np.float32)


def every_list(path: Path, vectors: np.ndarray, exact_rows: int) -> VectorIndex:
    """FAISS that probes all its lists above so many rows, so that it can be held to the exact answer."""
    build_faiss(vectors, path)
    index = open_faiss(path, vectors, exact_rows)
    index._ivf.nprobe = index._ivf.nlist
    return index


KINDS: dict[str, Callable[[Path, np.ndarray], VectorIndex]] = {
    "flat": lambda folder, vectors: FlatIndex(vectors),
    "faiss": lambda folder, vectors: every_list(folder / "ivf.index", vectors, exact_rows=200),
    "faiss, all rows scanned": lambda folder, vectors: every_list(folder / "ivf.index", vectors, exact_rows=GALLERY),
    "lance": LanceAnn.create,
}


@pytest.fixture(scope="module", params=list(KINDS))
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VectorIndex:
    return KINDS[request.param](tmp_path_factory.mktemp(request.param), gallery())


def oracle(vectors: np.ndarray, query: np.ndarray, rows: list[int]) -> list[tuple[float, int]]:
    """All rows, best first: sums in double precision rounded to float32, ties by lower row."""
    scored = [
        (float(np.float32(math.fsum(a * b for a, b in zip(vectors[row].tolist(), query.tolist(), strict=True)))), row)
        for row in rows
    ]
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]))


def pairs(scores: np.ndarray, rows: np.ndarray) -> list[tuple[float, int]]:
    return [(float(score), int(row)) for score, row in zip(scores, rows, strict=True) if row >= 0]


@pytest.mark.parametrize("k", [1, 9, 10, 150])
def test_equals_the_plain_loop(index: VectorIndex, k: int) -> None:
    vectors = gallery()
    scores, rows = index.search(queries(), k)
    assert scores.dtype == np.float32
    assert rows.dtype == np.int64
    for i, query in enumerate(queries()):
        assert pairs(scores[i], rows[i]) == oracle(vectors, query, list(range(GALLERY)))[:k]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_scattered_and_dense_filters(index: VectorIndex, share: float) -> None:
    vectors, random = gallery(), np.random.default_rng(3)
    allowed = np.flatnonzero(random.random(GALLERY) < share)
    scores, rows = index.search(queries(), 20, allowed)
    for i, query in enumerate(queries()):
        assert pairs(scores[i], rows[i]) == oracle(vectors, query, allowed.tolist())[:20]


def test_fewer_rows_than_asked_for_are_filled_up(index: VectorIndex) -> None:
    scores, rows = index.search(queries(2), 10, np.array([5, 6, 2000]))
    assert rows.shape == scores.shape == (2, 10)
    assert (rows[:, 3:] == -1).all()
    assert np.isneginf(scores[:, 3:]).all()
    assert sorted(rows[0, :3].tolist()) == [5, 6, 2000]


def test_no_row_allowed(index: VectorIndex) -> None:
    scores, rows = index.search(queries(1), 4, np.empty(0, np.int64))
    assert (rows == -1).all()
    assert np.isneginf(scores).all()


def test_the_first_hits_do_not_depend_on_how_many_are_asked_for(index: VectorIndex) -> None:
    whole = index.search(queries(1), GALLERY + 5)[1][0]
    assert sorted(whole[:GALLERY].tolist()) == list(range(GALLERY))
    for k in (1, 7, 999, 1000, 1001, 2500):
        assert index.search(queries(1), k)[1][0].tolist() == whole[:k].tolist()


def test_all_rows_alike_come_in_their_order(tmp_path: Path) -> None:
    alike = np.tile(gallery()[:1], (400, 1))
    for name, make in KINDS.items():
        (tmp_path / name).mkdir()
        rows = make(tmp_path / name, alike).search(queries(1), 30)[1][0]
        assert rows.tolist() == list(range(30)), name


def test_a_scan_does_not_depend_on_the_number_of_cores() -> None:
    random, cores = np.random.default_rng(6), faiss.omp_get_max_threads()
    filters = [np.arange(GALLERY), np.flatnonzero(random.random(GALLERY) < 0.5), np.arange(100, 1_200), np.arange(2, 7)]
    try:
        for count in (1, 2, 3, 7):
            faiss.omp_set_num_threads(count)
            for rows in filters:
                answers = [index(gallery()).search(queries(), 20, rows) for index in (SharedScan, FlatIndex)]
                np.testing.assert_array_equal(*[scores for scores, _ in answers])
                np.testing.assert_array_equal(*[found for _, found in answers])
    finally:
        faiss.omp_set_num_threads(cores)


# --- regions: 200 of them x 3 kinds of index, against loops that know nothing of blocks ---


def world() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells and points in serving order: a town, the antimeridian, both poles, the whole globe, and no position."""
    random = np.random.default_rng(4)
    town = np.stack([random.uniform(14.4, 14.6, 900), random.uniform(48.1, 48.3, 900)], 1)
    seam = np.stack([(random.uniform(179.5, 180.5, 700) + 180) % 360 - 180, random.uniform(-17.5, -16.5, 700)], 1)
    north = np.stack([random.uniform(-180, 180, 300), random.uniform(84, 90, 300)], 1)
    south = np.stack([random.uniform(-180, 180, 100), random.uniform(-90, -84, 100)], 1)
    globe = np.stack([random.uniform(-180, 180, 950), np.degrees(np.arcsin(random.uniform(-1, 1, 950)))], 1)
    # Points on edges that regions below use, and both names of the antimeridian.
    edges = np.array([[14.5, 48.2], [14.45, 48.15], [180.0, -17.0], [-180.0, -17.0], [0.0, 0.0]])
    points = np.concatenate([town, seam, north, south, globe, edges])
    cells = np.array([cell_at(lng, lat, 10) for lng, lat in points], np.uint64)
    order = np.argsort(cells, kind="stable")
    lost = GALLERY - len(points)
    nowhere = np.full(lost, np.nan)
    return (
        np.concatenate([np.zeros(lost, np.uint64), cells[order]]),
        np.concatenate([nowhere, points[order, 0]]),
        np.concatenate([nowhere, points[order, 1]]),
    )


Member = Callable[[float, float], bool]
CENTRES = ((14.5, 48.2), (179.98, -17.0), (-179.9, -16.9), (20.0, 40.0), (-100.0, 10.0))


def a_box(random: np.random.Generator) -> tuple[Region, Member]:
    lng, lat = CENTRES[random.integers(len(CENTRES))]
    width, height = random.uniform(0.001, 0.3), random.uniform(0.001, 0.2)
    if lng in (20.0, -100.0):
        width, height = random.uniform(1, 150), random.uniform(1, 40)
    west, east, south, north = wrap_lng(lng - width), wrap_lng(lng + width), lat - height, lat + height

    def member(x: float, y: float) -> bool:
        return south <= y <= north and (west <= x <= east if west <= east else x >= west or x <= east)

    return BoundsRegion(bounds=Bounds(west, south, east, north)), member


def a_disc(random: np.random.Generator) -> tuple[Region, Member]:
    lng, lat = [*CENTRES, (77.0, 89.5), (-10.0, -88.0)][random.integers(len(CENTRES) + 2)]
    radius = float(10 ** random.uniform(1, 7.2))
    return RadiusRegion(lng=lng, lat=lat, radius_m=radius), lambda x, y: distance_m(lng, lat, x, y) <= radius


def ray_crossings(x: float, y: float, ring: list[tuple[float, float]]) -> bool:
    """Even-odd rule on a plane."""
    inside = False
    for (ax, ay), (bx, by) in itertools.pairwise(ring):
        if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
            inside = not inside
    return inside


def star(random: np.random.Generator, reach: float, corners: int) -> list[tuple[float, float]]:
    """A ring of offsets round the origin."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + random.uniform(0, 0.2)
    radii = reach * random.uniform(0.5, 1.0, corners)
    ring = [(float(r * np.cos(a)), float(r * np.sin(a) * 0.6)) for r, a in zip(radii, angles, strict=True)]
    return [*ring, ring[0]]


def a_polygon(random: np.random.Generator) -> tuple[Region, Member]:
    """One or two stars with holes; over the antimeridian in some, as rings that jump from 180 to -180."""
    parts, truths = [], []
    for lng, lat in random.permutation(np.array(CENTRES[:2] + CENTRES[3:]))[: random.integers(1, 3)].tolist():
        reach = random.uniform(0.02, 0.25) if lng in (14.5, 179.98) else random.uniform(3, 40)
        shell, hole = star(random, reach, int(random.integers(5, 25))), star(random, reach * 0.25, 6)
        rings = [shell, hole] if random.random() < 0.7 else [shell]
        parts.append([[[wrap_lng(lng + dx), lat + dy] for dx, dy in ring] for ring in rings])

        def member(x: float, y: float, lng: float = lng, lat: float = lat, rings: list = rings) -> bool:
            dx, dy = (x - lng + 180) % 360 - 180, y - lat
            return ray_crossings(dx, dy, rings[0]) and not (len(rings) > 1 and ray_crossings(dx, dy, rings[1]))

        truths.append(member)
    geometry = {"type": "MultiPolygon", "coordinates": parts}
    if len(parts) == 1:
        geometry = {"type": "Polygon", "coordinates": parts[0]}
    return PolygonRegion(geometry=geometry), lambda x, y: any(truth(x, y) for truth in truths)


def a_cap(random: np.random.Generator) -> tuple[Region, Member]:
    """A ring once round a pole; inside is poleward of it."""
    sign = random.choice([-1.0, 1.0])
    lngs = np.sort(random.uniform(-179, 179, 12))
    lats = sign * random.uniform(84, 89, 12)
    ring = [[float(x), float(y)] for x, y in zip(lngs, lats, strict=True)]
    steps = np.append(lngs, lngs[0] + 360)

    def member(x: float, y: float) -> bool:
        border = np.interp(x if x >= lngs[0] else x + 360, steps, np.append(lats, lats[0]))
        return bool(sign * y >= sign * border)

    if np.diff(steps).max() > 175:
        return a_cap(random)
    return PolygonRegion(geometry={"type": "Polygon", "coordinates": [[*ring, ring[0]]]}), member


def some_cells(random: np.random.Generator) -> tuple[Region, Member]:
    cells, lngs, lats = world()
    names = set()
    for _ in range(random.integers(1, 6)):
        row = int(random.integers(int(np.sum(cells == 0)), GALLERY))
        names.add(h3.latlng_to_cell(lats[row], lngs[row], int(random.integers(0, 13))))

    def member(x: float, y: float) -> bool:
        return any(h3.latlng_to_cell(y, x, h3.get_resolution(name)) == name for name in names)

    return CellsRegion(cells=tuple(names)), member


def special_regions() -> list[tuple[Region, Member]]:
    world_ring = [[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]
    one = h3.latlng_to_cell(48.2, 14.5, 10)
    return [
        (BoundsRegion(bounds=Bounds(-180, -90, 180, 90)), lambda x, y: True),
        (PolygonRegion(geometry={"type": "Polygon", "coordinates": [world_ring]}), lambda x, y: True),
        (RadiusRegion(lng=3, lat=4, radius_m=3e7), lambda x, y: True),
        (CellsRegion(cells=tuple(h3.get_res0_cells())), lambda x, y: True),
        (CellsRegion(cells=(one,)), lambda x, y: h3.latlng_to_cell(y, x, 10) == one),
        (CellsRegion(cells=()), lambda x, y: False),
        (BoundsRegion(bounds=Bounds(30, 1, 30, 1)), lambda x, y: (x, y) == (30, 1)),
        (BoundsRegion(bounds=Bounds(14.5, 48.2, 14.5, 48.2)), lambda x, y: (x, y) == (14.5, 48.2)),
        (RadiusRegion(lng=14.5, lat=48.2, radius_m=0), lambda x, y: (x, y) == (14.5, 48.2)),
        (BoundsRegion(bounds=Bounds(179.9, -18, 180, -16)), lambda x, y: -18 < y < -16 and (x >= 179.9 or x == -180)),
        (BoundsRegion(bounds=Bounds(-180, -18, -179.9, -16)), lambda x, y: -18 < y < -16 and (x <= -179.9 or x == 180)),
        (RadiusRegion(lng=0, lat=90, radius_m=2e5), lambda x, y: distance_m(0, 90, x, y) <= 2e5),
    ]  # fmt: skip


def all_regions() -> list[tuple[Region, Member]]:
    random = np.random.default_rng(5)
    kinds = [a_box] * 45 + [a_disc] * 45 + [a_polygon] * 70 + [a_cap] * 10 + [some_cells] * 30
    return special_regions() + [kind(random) for kind in kinds]


def test_200_regions_equal_the_oracle(index: VectorIndex) -> None:
    vectors, (cells, lngs, lats) = gallery(), world()
    places = Places(cells, lngs, lats)
    regions, counts = all_regions(), []
    assert len(regions) >= 200
    for number, (region, member) in enumerate(regions):
        points = enumerate(zip(lngs.tolist(), lats.tolist(), strict=True))
        truth = [row for row, (x, y) in points if not math.isnan(x) and member(x, y)]
        rows = region_rows(region, places)
        assert rows.tolist() == truth, (number, region)
        query = queries(200)[number % 200]
        scores, found = index.search(query[None], 10, rows)
        assert pairs(scores[0], found[0]) == oracle(vectors, query, truth)[:10], (number, region)
        counts.append(len(truth))
    assert sum(count == 0 for count in counts) >= 2
    assert sum(count > 10 for count in counts) > 120
