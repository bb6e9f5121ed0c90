"""Ready-made embeddings: Parquet and GeoParquet by pyarrow and geopandas, .npy by numpy."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from geoanchor.errors import BadInput, UsageError
from geoanchor.space import EmbeddingSpace
from geoanchor.tiling import Bounds, Tile
from indexer.sources import embeddings
from indexer.sources.embeddings import open_embeddings
from indexer.sources.registry import SourceOptions

N, D = 40, 8
RNG = np.random.default_rng(3)
VECTORS = RNG.normal(size=(N, D)).astype(np.float32)
LNG = np.linspace(85.50, 85.54, N)
LAT = np.linspace(27.60, 27.64, N)
IDS = [f"chip-{i}" for i in range(N)]
SPACE = EmbeddingSpace(name="theirs", dim=D, modalities=("aerial",), weights="a" * 64, preprocessing="b" * 64)


def lists(values: np.ndarray, kind: str = "fixed") -> pa.Array:
    flat = pa.array(values.reshape(-1))
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    offsets = pa.array(np.arange(0, values.size + 1, values.shape[1]), pa.int32() if kind == "list" else pa.int64())
    return (pa.ListArray if kind == "list" else pa.LargeListArray).from_arrays(offsets, flat)


def parquet(path: Path, **columns: object) -> str:
    named = {"id": IDS, "embedding": lists(VECTORS)} | columns
    pq.write_table(pa.table({k: v for k, v in named.items() if v is not None}), path / "rows.parquet", row_group_size=7)
    return f"embeddings:{path}/rows.parquet"


def rows(uri: str, **options: object) -> list:
    source = open_embeddings(uri, SourceOptions(**options))
    return [source.read(ref) for ref in source.plan()]


def test_heights_and_metres_are_no_addresses(tmp_path: Path) -> None:
    """Columns called x, y and z may hold anything; where they address no tile, the others tell."""
    table = parquet(tmp_path, lng=LNG, lat=LAT, x=np.arange(len(LNG)) + 680_000.5, y=np.arange(len(LNG)), z=20.0 + LAT)
    assert [image.point for image in rows(table)] == list(zip(LNG, LAT, strict=True))


@pytest.mark.parametrize("kind", ["fixed", "list", "large"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_vectors_come_back(tmp_path: Path, kind: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "_BATCH_ROWS", 5)
    found = rows(parquet(tmp_path, embedding=lists(VECTORS.astype(dtype), kind), lng=LNG, lat=LAT))
    assert [image.id.rsplit("/", 1)[1] for image in found] == IDS
    for image, vector, lng, lat in zip(found, VECTORS, LNG, LAT, strict=True):
        assert image.pixels.shape == (0, 0, 3)
        assert image.vectors["semantic"].dtype == np.float32
        np.testing.assert_array_equal(image.vectors["semantic"], vector.astype(dtype).astype(np.float32))
        assert image.point == (lng, lat)
        assert image.bounds is None


def boxes() -> dict[str, np.ndarray]:
    return {"west": LNG - 0.01, "south": LAT - 0.01, "east": LNG + 0.01, "north": LAT + 0.01}


BOX_COLUMNS = {
    "four columns": boxes(),
    "xmin": dict(zip(("xmin", "ymin", "xmax", "ymax"), boxes().values(), strict=True)),
    "list": {"bbox": [list(row) for row in zip(*boxes().values(), strict=True)]},
    "struct": {
        "bbox": pa.StructArray.from_arrays([pa.array(v) for v in boxes().values()], ["xmin", "ymin", "xmax", "ymax"])
    },
    "wkb": {"geometry": [shapely.box(*row).wkb for row in zip(*boxes().values(), strict=True)]},
    "wkt": {"geometry": [shapely.box(*row).wkt for row in zip(*boxes().values(), strict=True)]},
}


@pytest.mark.parametrize("form", list(BOX_COLUMNS))
def test_boxes_in_every_form(tmp_path: Path, form: str) -> None:
    for image, lng, lat in zip(rows(parquet(tmp_path, **BOX_COLUMNS[form])), LNG, LAT, strict=True):
        assert image.bounds == pytest.approx((lng - 0.01, lat - 0.01, lng + 0.01, lat + 0.01))
        assert image.point == pytest.approx((lng, lat))


def test_tiles(tmp_path: Path) -> None:
    z, x, y = np.full(N, 17), np.arange(N) + 96000, np.full(N, 55000)
    found = rows(parquet(tmp_path, z=z, x=x, y=y))
    assert [image.tile for image in found] == [Tile(17, 96000 + i, 55000) for i in range(N)]
    assert found[0].bounds == Tile(17, 96000, 55000).bounds


@pytest.mark.parametrize("crs", [4326, 3857, 32645, "OGC:CRS84"])
def test_geoparquet_of_geopandas_in_any_crs(tmp_path: Path, crs: int | str) -> None:
    frame = geopandas.GeoDataFrame(
        {"id": IDS, "embedding": list(VECTORS)}, geometry=geopandas.points_from_xy(LNG, LAT), crs=4326
    )
    frame.to_crs(crs).to_parquet(tmp_path / "geo.parquet")
    for image, lng, lat in zip(rows(f"embeddings:{tmp_path}/geo.parquet"), LNG, LAT, strict=True):
        assert image.point == pytest.approx((lng, lat), abs=1e-7)
        assert image.bounds is None


def test_no_position_is_fine(tmp_path: Path) -> None:
    assert {(image.point, image.bounds, image.tile) for image in rows(parquet(tmp_path))} == {(None, None, None)}


def test_impossible_and_missing_positions_are_no_positions(tmp_path: Path) -> None:
    lng = [200.0, None, float("nan"), *LNG[3:]]
    found = rows(parquet(tmp_path, lng=lng, lat=LAT))
    assert [image.point for image in found[:4]] == [None, None, None, (LNG[3], LAT[3])]


def test_within(tmp_path: Path) -> None:
    box = Bounds(85.51, 27.60, 85.52, 27.64)
    inside = [i for i, lng in zip(IDS, LNG, strict=True) if 85.51 <= lng <= 85.52]
    found = rows(parquet(tmp_path, lng=LNG, lat=LAT), within=box)
    assert [image.id.rsplit("/", 1)[1] for image in found] == inside
    assert rows(parquet(tmp_path), within=box) == []


def test_times_and_texts(tmp_path: Path) -> None:
    when = [datetime(2024, 5, 1, 12, 0)] * N
    found = rows(parquet(tmp_path, datetime=when, caption=["a lake"] * N, source=[f"s3://x/{i}" for i in range(N)]))
    assert found[3].acquired == datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
    assert (found[3].caption, found[3].source) == ("a lake", "s3://x/3")
    text = rows(parquet(tmp_path, date=["2024-05-01", "never", None, *["2024"] * (N - 3)]))
    assert [image.acquired for image in text[:3]] == [datetime(2024, 5, 1, tzinfo=UTC), None, None]


@pytest.mark.parametrize("kind", ["fixed", "list"])
def test_bad_rows_harm_only_themselves(tmp_path: Path, kind: str) -> None:
    values: list[list[float] | None] = VECTORS.tolist()
    values[1] = [0.0] * D
    values[2] = [float("nan"), *values[2][1:]]
    values[3] = None
    values[4] = [float("inf")] * D
    if kind == "list":
        values[5] = [1.0] * (D + 1)
    column = pa.array(values, pa.list_(pa.float32(), D) if kind == "fixed" else pa.list_(pa.float32()))
    source = open_embeddings(parquet(tmp_path, embedding=column), SourceOptions())
    refs, bad = list(source.plan()), {}
    for number, ref in enumerate(refs):
        try:
            np.testing.assert_array_equal(source.read(ref).vectors["semantic"], VECTORS[number])
        except BadInput as error:
            bad[number] = error.reason
    assert list(bad) == ([1, 2, 3, 4, 5] if kind == "list" else [1, 2, 3, 4])
    assert "all zeros" in bad[1]
    assert all("finite" in bad[number] for number in bad if number != 1)


def test_null_vectors_first_do_not_shift_the_others(tmp_path: Path) -> None:
    values = [None] * 10 + VECTORS[10:].tolist()
    column = pa.array(values, pa.list_(pa.float32()))
    source = open_embeddings(parquet(tmp_path, embedding=column), SourceOptions())
    refs = list(source.plan())
    np.testing.assert_array_equal(source.read(refs[10]).vectors["semantic"], VECTORS[10])


def test_mostly_null_vectors_are_bad_rows_and_no_crash(tmp_path: Path) -> None:
    values = [None] * (N - 3) + VECTORS[N - 3 :].tolist()
    source = open_embeddings(parquet(tmp_path, embedding=pa.array(values, pa.list_(pa.float32()))), SourceOptions())
    refs = list(source.plan())
    np.testing.assert_array_equal(source.read(refs[N - 1]).vectors["semantic"], VECTORS[N - 1])
    with pytest.raises(BadInput):
        source.read(refs[0])


def test_a_changed_table_beside_the_vectors_changes_every_stamp(tmp_path: Path) -> None:
    uri = npy(tmp_path)
    before = [ref.stamp for ref in open_embeddings(uri, SourceOptions()).plan()]
    with open(tmp_path / "rows.csv", "a", encoding="utf-8") as table:
        table.write("\n")
    after = [ref.stamp for ref in open_embeddings(uri, SourceOptions()).plan()]
    assert set(before).isdisjoint(after)


def test_sidecar_names_the_space(tmp_path: Path) -> None:
    uri = parquet(tmp_path)
    assert open_embeddings(uri, SourceOptions()).spaces is None
    (tmp_path / "rows.space.json").write_text(SPACE.model_dump_json())
    source = open_embeddings(uri, SourceOptions())
    assert source.spaces == {"theirs": SPACE}
    assert set(source.read(next(iter(source.plan()))).vectors) == {"theirs"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SPACE.model_copy(update={"dim": 9}).model_dump_json(), "9 dimensions, the vectors have 8"),
        ("{}", "does not describe"),
        ("not json", "does not describe"),
    ],
)
def test_sidecar_that_does_not_fit(tmp_path: Path, text: str, says: str) -> None:
    uri = parquet(tmp_path)
    (tmp_path / "rows.space.json").write_text(text)
    with pytest.raises(BadInput, match=says):
        open_embeddings(uri, SourceOptions())


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"embedding": None}, "no column of vectors"),
        ({"embedding": [1.0] * N}, "no column of vectors"),
        ({"embedding": None, "a": lists(VECTORS), "b": lists(VECTORS)}, r"several columns of vectors \(a, b\)"),
        ({"id": None}, "no column of ids"),
        ({"id": ["same"] * N}, "'same' comes more than once"),
        ({"lng": ["x"] * N, "lat": ["y"] * N}, "positions cannot be read"),
        ({"geometry": [b"rubbish"] * N}, "positions cannot be read"),
    ],
)
def test_parquet_that_does_not_fit(tmp_path: Path, columns: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        open_embeddings(parquet(tmp_path, **columns), SourceOptions())


@pytest.mark.parametrize("data", [b"", b"PAR1", b"some text that is no parquet" * 9])
def test_not_parquet(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.parquet").write_bytes(data)
    with pytest.raises(BadInput, match="cannot be read as Parquet") as caught:
        open_embeddings(f"embeddings:{tmp_path}/bad.parquet", SourceOptions())
    assert "\n" not in str(caught.value)


def test_cut_parquet(tmp_path: Path) -> None:
    uri = parquet(tmp_path, lng=LNG, lat=LAT)
    path = tmp_path / "rows.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="Parquet"):
        open_embeddings(uri, SourceOptions())


def npy(path: Path, vectors: np.ndarray = VECTORS, lines: int = N) -> str:
    np.save(path / "rows.npy", vectors)
    pd.DataFrame({"id": IDS, "lng": LNG, "lat": LAT})[:lines].to_csv(path / "rows.csv", index=False)
    return f"embeddings:{path}/rows.npy"


def test_npy_with_csv(tmp_path: Path) -> None:
    found = rows(npy(tmp_path))
    assert [image.id.rsplit("/", 1)[1] for image in found] == IDS
    assert found[7].point == pytest.approx((LNG[7], LAT[7]))
    np.testing.assert_array_equal([image.vectors["semantic"] for image in found], VECTORS)
    assert isinstance(open_embeddings(npy(tmp_path), SourceOptions())._vectors, np.memmap)


@pytest.mark.parametrize(
    ("vectors", "lines", "says"),
    [
        (VECTORS[0], N, r"shape \(n, d\)"),
        (VECTORS.astype(int), N, "must hold floats"),
        (VECTORS, N - 1, "40 vectors but 39 lines"),
        (np.array([{"a": 1}], object), N, "cannot be read"),
    ],
)
def test_npy_that_does_not_fit(tmp_path: Path, vectors: np.ndarray, lines: int, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        open_embeddings(npy(tmp_path, vectors, lines), SourceOptions())


def test_wrong_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        open_embeddings("embeddings:nowhere.parquet", SourceOptions())
    np.save(tmp_path / "alone.npy", VECTORS)
    with pytest.raises(UsageError, match=r"needs alone\.csv"):
        open_embeddings(f"embeddings:{tmp_path}/alone.npy", SourceOptions())
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(UsageError, match="must be"):
        open_embeddings(f"embeddings:{tmp_path}/x.txt", SourceOptions())


def test_hundred_thousand_rows_are_read(tmp_path: Path) -> None:
    n = 100_000
    vectors = np.ones((n, 16), np.float32)
    table = pa.table({"id": np.arange(n), "lng": np.linspace(0, 1, n), "lat": np.zeros(n), "embedding": lists(vectors)})
    pq.write_table(table, tmp_path / "big.parquet")
    assert len(rows(f"embeddings:{tmp_path}/big.parquet")) == n


def test_space_json_is_what_a_bundle_writes() -> None:
    assert EmbeddingSpace.model_validate(json.loads(SPACE.model_dump_json())).fingerprint == SPACE.fingerprint
