"""Query, space, manifest, settings and image: round trips, refusals, and what an import costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from geoanchor import manifest as manifests
from geoanchor.errors import BadInput, GeoAnchorError, IndexCorrupt, NotAnIndex, SpaceMismatch, UsageError
from geoanchor.image import TileImage
from geoanchor.manifest import Manifest, read_manifest, write_manifest
from geoanchor.query import (
    BoundsRegion,
    CellsRegion,
    ImagePart,
    LikePart,
    PointPart,
    PolygonRegion,
    Query,
    RadiusRegion,
    TextPart,
)
from geoanchor.settings import load_settings
from geoanchor.space import EmbeddingSpace
from geoanchor.tiling import Bounds, Tile

WEIGHTS = st.floats(-2, 2).filter(bool)
PARTS = st.one_of(
    st.builds(TextPart, text=st.text(min_size=1, max_size=20), weight=WEIGHTS),
    st.builds(
        ImagePart, layer=st.sampled_from(["aerial", "map", "ground"]), data=st.binary(min_size=1), weight=WEIGHTS
    ),
    st.builds(PointPart, lng=st.floats(-180, 180), lat=st.floats(-90, 90), weight=WEIGHTS),
    st.builds(LikePart, id=st.text(), weight=WEIGHTS),
)
REGIONS = st.one_of(
    st.none(),
    st.builds(BoundsRegion, bounds=st.just(Bounds(179, -1, -179, 1))),
    st.builds(PolygonRegion, geometry=st.just({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]})),
    st.builds(RadiusRegion, lng=st.floats(-180, 180), lat=st.floats(-90, 90), radius_m=st.floats(0, 1e6)),
    st.builds(CellsRegion, cells=st.just(("8a1fb46622dffff",))),
)


@given(
    st.lists(PARTS, min_size=1, max_size=4).filter(lambda parts: any(part.weight > 0 for part in parts)),
    REGIONS,
    st.datetimes(timezones=st.none()),
)
def test_a_query_survives_json(parts: list[TextPart], region: BoundsRegion | None, since: object) -> None:
    query = Query(parts=tuple(parts), region=region, since=since, k=7, offset=3)
    assert Query.model_validate_json(query.model_dump_json()) == query
    assert Query.model_validate(json.loads(query.model_dump_json())) == query


@pytest.mark.parametrize(
    "broken",
    [
        {"parts": []},
        {"parts": [{"kind": "text", "text": "x", "weight": -1}]},
        {"parts": [{"kind": "text", "text": ""}]},
        {"parts": [{"kind": "path", "path": "/etc/passwd"}]},
        {"parts": [{"kind": "text", "text": "x"}], "k": 0},
        {"parts": [{"kind": "text", "text": "x"}], "surprise": 1},
        {"parts": [{"kind": "point", "lng": 200, "lat": 0}]},
        {"parts": [{"kind": "text", "text": "x"}], "region": {"kind": "bounds", "bounds": [0, 10, 1, 5]}},
    ],
)
def test_impossible_queries_are_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Query.model_validate(broken)


SPACE = EmbeddingSpace(name="semantic", dim=4, modalities=("aerial",), weights="w", preprocessing="p")


@pytest.mark.parametrize("field", ["weights", "preprocessing", "tokeniser"])
def test_whatever_moves_an_embedding_moves_the_fingerprint(field: str) -> None:
    other = SPACE.model_copy(update={field: "changed"})
    assert other.dim == SPACE.dim
    with pytest.raises(SpaceMismatch, match=SPACE.fingerprint) as caught:
        SPACE.require(other, where="town.index")
    assert other.fingerprint in str(caught.value)
    SPACE.require(SPACE.model_copy(), where="town.index")


def test_manifest_round_trip_and_refusals(tmp_path: Path) -> None:
    with pytest.raises(NotAnIndex, match="no index"):
        read_manifest(tmp_path)
    (tmp_path / "tiles.lance").mkdir()
    with pytest.raises(NotAnIndex, match="unfinished"):
        read_manifest(tmp_path)
    written = Manifest(model="toy", spaces={"semantic": SPACE}, rows=3, layers={"aerial": 3})
    write_manifest(tmp_path, written)
    assert read_manifest(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []
    data = json.loads((tmp_path / manifests.FILE_NAME).read_text())
    (tmp_path / manifests.FILE_NAME).write_text(json.dumps(data | {"format_version": 99}))
    with pytest.raises(UsageError, match="update GeoAnchor"):
        read_manifest(tmp_path)
    for text in ("", "[]", "{}", json.dumps(data | {"spaces": 3})):
        (tmp_path / manifests.FILE_NAME).write_text(text)
        with pytest.raises(IndexCorrupt, match="not a manifest"):
            read_manifest(tmp_path)


def test_settings_come_from_file_environment_and_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "geoanchor.toml"
    file.write_text("threads = 3\nbatch_size = 8\n")
    assert (load_settings(file).threads, load_settings(file, threads=1).threads) == (3, 1)
    assert load_settings(file, threads=None).batch_size == 8
    monkeypatch.setenv("GEOANCHOR_OFFLINE", "1")
    assert load_settings(file).offline
    file.write_text("thread = 3\n")
    with pytest.raises(UsageError, match="thread"):
        load_settings(file)
    file.write_text("= 3")
    with pytest.raises(UsageError, match="cannot read settings"):
        load_settings(file)


def test_an_image_takes_its_position_from_its_tile() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    image = TileImage(id="a", pixels=pixels, layer="aerial", tile=Tile(3, 1, 2))
    assert (image.bounds, image.point) == (Tile(3, 1, 2).bounds, Tile(3, 1, 2).center)
    assert TileImage(id="a", pixels=pixels, layer="aerial").point is None
    with pytest.raises(UsageError, match="uint8"):
        TileImage(id="a", pixels=pixels.astype(np.float32), layer="aerial")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="layer"):
        TileImage(id="a", pixels=pixels, layer="radar")  # type: ignore[arg-type]


def test_errors_have_an_exit_code_and_survive_a_process_border() -> None:
    import copy

    error = copy.copy(BadInput("a.tif", "is empty"))
    assert (str(error), error.where, error.exit_code, UsageError.exit_code) == ("a.tif: is empty", "a.tif", 1, 2)
    assert isinstance(error, GeoAnchorError)


@pytest.mark.parametrize("module", ["geoanchor", "geoanchor.protocols", "geoanchor.query", "app.cli"])
def test_a_light_import_brings_nothing_heavy(module: str) -> None:
    heavy = ("torch", "lancedb", "lance", "gradio", "transformers", "rasterio", "faiss", "pandas", "skia")
    code = f"import {module}, sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
