"""Pictures to ask with as GIS programs write them: what can be indexed can be asked with."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import run
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import MemoryFile

import geoanchor
from app.access import Access
from app.api import create_api
from app.index import Index
from geoanchor.errors import BadInput
from geoanchor.gaps import gap_cells
from geoanchor.image import PAPER
from geoanchor.picture import LARGE_PX
from geoanchor.settings import Settings
from indexer.sources.picture import read_picture

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
KINDS = {"uint16": 4, "int16": 3, "float32": 3, "uint8": 7}
"""Bands of the picture of each type; Pillow knows none of them."""


def _values(dtype: str, side: int = 64) -> NDArray[Any]:
    """Bands that differ in their middle, with the noise of a sensor, in a corner of the type's range."""
    rng = np.random.default_rng(sorted(KINDS).index(dtype))
    means = rng.uniform(40, 160, (KINDS[dtype], 2, 2))
    fields = np.kron(means, np.ones((1, side // 2, side // 2))) + rng.uniform(0, 80, (KINDS[dtype], side, side))
    return fields.astype(dtype)


def _tiff(values: NDArray[Any], **options: Any) -> bytes:
    bands, height, width = values.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=bands, height=height, width=width, dtype=values.dtype, **options
        ) as file:
            file.write(values)
        return bytes(memory.read())


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("rasters")
    for dtype in KINDS:
        (folder / f"{dtype}.tif").write_bytes(_tiff(_values(dtype)))
    geoanchor.build(str(folder), folder / "index", model="toy")
    return geoanchor.open(folder / "index")


@pytest.mark.parametrize("dtype", KINDS)
def test_a_raster_finds_itself(index: Index, dtype: str) -> None:
    first, second = index.search(image=_tiff(_values(dtype)), k=2)
    assert Path(first.id).stem == dtype
    assert first.score == pytest.approx(1, abs=1e-5)
    assert second.score < first.score


def test_the_command_line_asks_with_it_too(index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "asked.tif").write_bytes(_tiff(_values("uint16")))
    code, out, err = run(capsys, "search", index.folder, "--image", tmp_path / "asked.tif", "-k", 1, "--format", "json")
    assert (code, err) == (0, "")
    assert Path(json.loads(out)["hits"][0]["id"]).stem == "uint16"


def test_it_may_be_uploaded(index: Index) -> None:
    client, data = TestClient(create_api(index, Access())), _tiff(_values("uint16"))
    part = {"kind": "image", "layer": "aerial", "data": base64.b64encode(data).decode()}
    answer = client.post("/api/search", json={"parts": [part], "k": 1})
    assert answer.status_code == 200, answer.text
    assert Path(answer.json()["hits"][0]["id"]).stem == "uint16"


def test_what_is_cut_short_is_said_to_be(index: Index) -> None:
    data = _tiff(_values("uint16"))
    with pytest.raises(BadInput, match=r"the aerial picture of the query: .*(restore|convert)"):
        index.search(image=data[: len(data) // 2])


def test_a_limit_on_pixels_counts() -> None:
    with pytest.raises(BadInput, match=r"scan.tif: 64 x 64 pixels are over the limit of 4095"):
        read_picture(_tiff(_values("uint16")), "scan.tif", Settings(max_pixels=64 * 64 - 1))


def test_blocks_that_unpack_to_more_than_memory_are_refused() -> None:
    """A few bytes of zeros can stand for gigabytes."""
    with MemoryFile() as memory:
        memory.open(
            driver="GTiff", count=40, height=512, width=512, dtype="float64", compress="deflate", SPARSE_OK=True,
            tiled=True, blockxsize=512, blockysize=512, interleave="pixel",
        ).close()  # fmt: skip
        data = bytes(memory.read())
    assert len(data) < 10_000
    with pytest.raises(BadInput, match=r"unpacks in pieces of 83886080 bytes; rewrite it in small tiles"):
        read_picture(data, "zeros.tif", Settings(max_pixels=512 * 512))


def test_a_large_one_is_read_smaller() -> None:
    values = np.repeat(np.repeat(_values("uint16"), 40, axis=1), 33, axis=2)
    pixels = read_picture(_tiff(values), "large.tif", Settings())
    assert pixels.shape == (64 * 40 // 2, 64 * 33 // 2, 3)
    assert min(pixels.shape[:2]) >= LARGE_PX
    near = read_picture(_tiff(_values("uint16")), "small.tif", Settings())
    # Pixels of both stand for the same ground, if stretched from samples that differ a little.
    assert np.abs(pixels[10::20, 8::33][:64, :32].astype(int) - near[:, ::2].astype(int)).mean() < 3


def test_an_eight_bit_picture_needs_no_rasterio(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("opened as a raster")

    monkeypatch.setattr("indexer.sources.scenereader.decode_raster", never)
    rgb = _tiff(np.full((3, 8, 8), 77, np.uint8), photometric="RGB")
    assert (read_picture(rgb, "plain.tif", Settings()) == 77).all()


def test_a_transparent_collar_is_none_of_the_ground() -> None:
    """What is transparent is filled as when pictures are indexed, so that it can be told from ground."""
    rgba = np.full((64, 64, 4), 90, np.uint8)
    rgba[..., 3] = 255
    rgba[:, :32, 3] = 0
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "PNG")
    aerial = read_picture(file.getvalue(), "collar.png", layer="aerial")
    assert gap_cells(aerial, 40)[:, :20].all()
    assert not gap_cells(aerial, 40)[:, 20:].any()
    assert (read_picture(file.getvalue(), "collar.png", layer="map")[:, :32] == PAPER).all()
