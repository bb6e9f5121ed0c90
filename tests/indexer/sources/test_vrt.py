"""With the network off, a VRT may not send GDAL elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from geoanchor.errors import BadInput
from geoanchor.settings import Settings
from indexer.sources.folder import open_folder
from indexer.sources.raster import open_raster
from indexer.sources.registry import SourceOptions
from indexer.sources.vrt import refuse_remote_parts

OFFLINE = SourceOptions(settings=Settings(offline=True))


def write(folder: Path, origin: str) -> Path:
    path = folder / "far.vrt"
    path.write_text(
        f"<VRTDataset><VRTRasterBand><SourceFilename>{origin}</SourceFilename></VRTRasterBand></VRTDataset>"
    )
    return path


@pytest.mark.parametrize("origin", ["/vsicurl/https://example.org/a.tif", "/vsis3/bucket/a.tif", "http://10.0.0.1/a"])
def test_a_part_on_another_machine_is_refused(origin: str, tmp_path: Path) -> None:
    path = write(tmp_path, origin)
    with pytest.raises(BadInput, match="the network is switched off"):
        open_raster(str(path), OFFLINE)
    refuse_remote_parts(path, Settings())


def test_in_a_folder_it_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path, "/vsicurl/https://example.org/a.tif")
    source = open_folder(str(tmp_path), OFFLINE)
    (ref,) = source.plan()
    with pytest.raises(BadInput, match=r"far\.vrt"):
        source.read(ref)


@pytest.mark.parametrize("origin", ["beside.tif", "/vsicurl/http://127.0.0.1:8000/a.tif", "/vsizip/a.zip/a.tif"])
def test_this_machine_may_be_read(origin: str, tmp_path: Path) -> None:
    refuse_remote_parts(write(tmp_path, origin), OFFLINE.settings)
