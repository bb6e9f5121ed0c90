"""STAC documents and their rasters: written by pystac and rasterio, on disk and behind a server on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from rasterio.enums import ColorInterp
from rasterio.transform import from_bounds

from geoanchor.errors import BadInput, OfflineError, UsageError
from geoanchor.settings import Settings
from geoanchor.tiling import Bounds, Tile
from indexer.sources.registry import SourceOptions
from indexer.sources.stac import open_stac, pick_asset

TILE = Tile(16, 48335, 27552)
WHEN = datetime(2024, 5, 17, 10, 30, tzinfo=UTC)
COG = pystac.MediaType.COG


def write_raster(path: Path, tile: Tile, color: tuple[int, ...]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    box = tile.bounds_mercator
    profile = {
        "driver": "GTiff",
        "width": 256,
        "height": 256,
        "count": len(color),
        "dtype": "uint8",
        "crs": "EPSG:3857",
    }
    with rasterio.open(path, "w", transform=from_bounds(*box, 256, 256), tiled=True, **profile) as dataset:
        # Or GDAL takes the fourth band for transparency.
        dataset.colorinterp = [ColorInterp.undefined] * len(color)
        for band, value in enumerate(color, 1):
            dataset.write(np.full((256, 256), value, np.uint8), band)
    return path


def item(name: str, tile: Tile, href: str | None, **properties: object) -> pystac.Item:
    made = pystac.Item(
        name, shapely.geometry.mapping(shapely.box(*tile.bounds)), list(tile.bounds), WHEN, properties=dict(properties)
    )
    if href:
        made.add_asset("visual", pystac.Asset(href, media_type=COG, roles=["visual"]))
    made.add_asset("thumbnail", pystac.Asset("small.png", media_type="image/png", roles=["thumbnail"]))
    return made


def neighbours(n: int) -> list[Tile]:
    return [Tile(TILE.z, TILE.x + i, TILE.y) for i in range(n)]


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A collection of three items in folders of their own, each with a picture of one tile called visual.tif."""
    box = pystac.SpatialExtent([[85, 27, 86, 28]])
    made = pystac.Collection(
        "town", "Photos of a town", pystac.Extent(box, pystac.TemporalExtent([[WHEN, None]])), license="CC-BY-4.0"
    )
    made.providers = [pystac.Provider("The Survey", roles=[pystac.ProviderRole.PRODUCER])]
    for number, tile in enumerate(neighbours(3)):
        write_raster(tmp_path / f"stac/photo-{number}/visual.tif", tile, (40 * number + 40, 90, 20))
        made.add_item(item(f"photo-{number}", tile, "visual.tif"))
    made.normalize_hrefs(str(tmp_path / "stac"))
    made.save(pystac.CatalogType.SELF_CONTAINED)
    return tmp_path / "stac"


def images(uri: str, **options: object) -> list:
    source = open_stac(uri, SourceOptions(**options))
    found = [source.read(ref) for ref in source.plan()]
    source.close()
    return found


def test_collection_gives_the_tiles_of_every_item(collection: Path) -> None:
    source = open_stac(f"stac:{collection}/collection.json", SourceOptions(zoom=16))
    refs = list(source.plan())
    assert [ref.tile for ref in refs] == neighbours(3)
    assert len({ref.id for ref in refs}) == 3
    assert source.attribution == "The Survey, CC-BY-4.0"
    for number, ref in enumerate(refs):
        image = source.read(ref)
        assert image.id == ref.id == f"aerial/town/photo-{number}/{ref.tile}"
        assert tuple(image.pixels[100, 100]) == (40 * number + 40, 90, 20)
        assert image.acquired == WHEN
        assert image.attribution == "The Survey, CC-BY-4.0"
        assert image.source.endswith(f"photo-{number}/visual.tif")
    source.close()
    source.close()


def test_one_item_takes_its_collections_credit(collection: Path) -> None:
    (image,) = images(f"stac:{collection}/photo-1/photo-1.json", zoom=16)
    assert image.tile == neighbours(2)[1]
    assert image.attribution == "The Survey, CC-BY-4.0"


@pytest.mark.parametrize("said", ["https://catalog.example/town/item.json", "/another/machine/item.json"])
def test_where_an_item_believes_to_lie_moves_none_of_its_assets(tmp_path: Path, said: str) -> None:
    write_raster(tmp_path / "a.tif", TILE, (10, 20, 30))
    document = item("photo", TILE, "./a.tif").to_dict(include_self_link=False)
    document["links"] = [{"rel": "self", "href": said}]
    (tmp_path / "item.json").write_text(json.dumps(document), "utf-8")
    (image,) = images(f"stac:{tmp_path}/item.json", zoom=16)
    assert image.source == str(tmp_path / "a.tif")


def test_open_files_do_not_grow_with_the_items(tmp_path: Path) -> None:
    made = []
    for number in range(40):
        write_raster(tmp_path / f"{number}.tif", TILE, (10, 20, 30))
        made.append(item(f"photo-{number}", TILE, f"{tmp_path}/{number}.tif").to_dict(include_self_link=False))
    (tmp_path / "all.json").write_text(json.dumps({"type": "FeatureCollection", "features": made}), "utf-8")
    source = open_stac(f"stac:{tmp_path}/all.json", SourceOptions(zoom=16))
    refs, before = list(source.plan()), len(list(Path("/proc/self/fd").iterdir()))
    for ref in refs:
        source.read(ref)
    assert len(list(Path("/proc/self/fd").iterdir())) - before < 30
    source.close()


def test_own_zoom(collection: Path) -> None:
    (image,) = images(f"stac:{collection}/photo-1/photo-1.json")
    assert image.tile.z == 16


def test_catalog_above_the_collection(collection: Path, tmp_path: Path) -> None:
    root = {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "d"}
    link = {"rel": "child", "href": "./stac/collection.json"}
    (tmp_path / "catalog.json").write_text(json.dumps(root | {"links": [link, link]}))
    assert len(images(f"stac:{tmp_path}/catalog.json", zoom=16)) == 3


def test_catalog_that_leads_back_to_itself_ends(tmp_path: Path) -> None:
    links = [{"rel": "child", "href": "./catalog.json"}, {"rel": "child", "href": "catalog.json"}]
    root = {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "d", "links": links}
    (tmp_path / "catalog.json").write_text(json.dumps(root))
    with pytest.raises(BadInput, match="no STAC items"):
        open_stac(f"stac:{tmp_path}/catalog.json", SourceOptions())


def test_item_collection(collection: Path) -> None:
    features = [
        item(f"p{i}", t, f"photo-{i}/visual.tif", license="CC0-1.0").to_dict() for i, t in enumerate(neighbours(3))
    ]
    (collection / "search.json").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = images(f"stac:{collection}/search.json", zoom=16)
    assert [image.tile for image in found] == neighbours(3)
    assert {image.attribution for image in found} == {"CC0-1.0"}


def test_within_leaves_items_out(collection: Path) -> None:
    middle = neighbours(2)[1]
    inner = Bounds(middle.center[0] - 1e-4, middle.center[1] - 1e-4, middle.center[0] + 1e-4, middle.center[1] + 1e-4)
    assert [image.tile for image in images(f"stac:{collection}/collection.json", zoom=16, within=inner)] == [middle]
    with pytest.raises(BadInput, match="within the box"):
        open_stac(f"stac:{collection}/collection.json", SourceOptions(within=Bounds(0, 0, 1, 1)))


def test_bad_items_harm_only_themselves(collection: Path) -> None:
    tiles = neighbours(3)
    good, lost, none = (
        item("good", tiles[0], "photo-0/visual.tif"),
        item("lost", tiles[1], "gone.tif"),
        item("none", tiles[2], None),
    )
    (collection / "text.tif").write_text("not a raster")
    features = [made.to_dict() for made in (good, lost, none, item("text", tiles[2], "text.tif"))]
    bad = [{"type": "Feature"}, "rubbish", None, features[0] | {"id": "s3"}]
    bad[3]["assets"] = {"visual": {"href": "s3://bucket/x.tif", "type": COG}}
    (collection / "search.json").write_text(json.dumps({"type": "FeatureCollection", "features": features + bad}))
    source = open_stac(f"stac:{collection}/search.json", SourceOptions(zoom=16))
    said = {}
    for ref in source.plan():
        try:
            assert source.read(ref).tile == tiles[0]
        except BadInput as error:
            said[ref.id.split("/")[-1]] = str(error)
    assert len(said) == 7
    assert "does not exist" in said["lost"]
    assert "no asset that is a GeoTIFF" in said["none"]
    assert "neither http" in said["s3"]
    assert sum("not a STAC item" in message for message in said.values()) == 3


def test_broken_links_harm_only_themselves(collection: Path) -> None:
    (collection / "photo-1/photo-1.json").write_text("{ not json")
    (collection / "photo-2/photo-2.json").unlink()
    source = open_stac(f"stac:{collection}/collection.json", SourceOptions(zoom=16))
    refs = list(source.plan())
    assert [ref.tile for ref in refs] == [neighbours(1)[0], None, None]
    for ref, says in zip(refs[1:], ("not JSON", "cannot be read"), strict=True):
        with pytest.raises(BadInput, match=says):
            source.read(ref)


def test_a_link_that_leads_nowhere_costs_itself_alone(collection: Path) -> None:
    document = json.loads((collection / "collection.json").read_text())
    document["links"][:0] = [{"rel": "item", "href": "s3://bucket/item.json"}, "no link", {"rel": "item", "href": 5}]
    (collection / "collection.json").write_text(json.dumps(document))
    source = open_stac(f"stac:{collection}/collection.json", SourceOptions(zoom=16))
    bad, *good = source.plan()
    assert [ref.tile for ref in good] == neighbours(3)
    with pytest.raises(BadInput, match="s3://bucket"):
        source.read(bad)


@pytest.mark.parametrize("change", [{"links": 5}, {"features": 5, "type": "FeatureCollection"}, {"type": "Catalog"}])
def test_members_of_another_kind_than_they_should_be(collection: Path, change: dict[str, object]) -> None:
    made = item("odd", TILE, "photo-0/visual.tif").to_dict() | change
    (collection / "odd.json").write_text(json.dumps(made))
    with pytest.raises(BadInput, match=r"not a STAC item|holds no STAC items"):
        open_stac(f"stac:{collection}/odd.json", SourceOptions(zoom=16))


def test_a_box_that_holds_no_numbers_leaves_no_item_out(collection: Path) -> None:
    made = item("odd", TILE, "photo-0/visual.tif").to_dict() | {"bbox": ["a", "b", "c", "d"]}
    (collection / "odd.json").write_text(json.dumps(made))
    source = open_stac(f"stac:{collection}/odd.json", SourceOptions(zoom=16, within=TILE.bounds))
    assert [source.read(ref).tile for ref in source.plan()] == [TILE]


@pytest.mark.parametrize(
    "text", ["", "rubbish", "[]", "{}", '{"type": "Point", "coordinates": [1, 2]}', "[" * 100_000, "\xff"]
)
def test_not_stac(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=r"not JSON|not a STAC") as caught:
        open_stac(f"stac:{tmp_path}/x.json", SourceOptions())
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        open_stac(f"stac:{tmp_path}/none.json", SourceOptions())


def asset(kind: str | None, href: str = "a.tif", roles: list[str] | None = None, **fields: object) -> pystac.Asset:
    return pystac.Asset(href, media_type=kind, roles=roles, extra_fields=fields)


RGBN = [{"name": n, "common_name": n} for n in ("nir", "blue", "green", "red")]


@pytest.mark.parametrize(
    ("assets", "chosen", "bands"),
    [
        ({"data": asset(COG, roles=["data"]), "visual": asset(COG)}, "visual", None),
        ({"B02": asset(COG), "TCI": asset(COG, roles=["visual"])}, "TCI", None),
        ({"B02": asset(COG, roles=["data"]), "all": asset(COG, **{"eo:bands": RGBN})}, "all", (4, 3, 2)),
        ({"image": asset(COG, bands=[{"eo:common_name": n["name"]} for n in RGBN])}, "image", (4, 3, 2)),
        ({"B02": asset(COG), "x": asset(COG, roles=["data"])}, "x", None),
        ({"thumb": asset(COG, roles=["thumbnail"]), "y": asset(None)}, "y", None),
        ({"meta": asset("application/json"), "z": asset("image/tiff; application=geotiff")}, "z", None),
        ({"jp2": asset("image/jp2", "a.jp2")}, "jp2", None),
        ({"odd": asset(COG, bands=[{"common_name": ["red"]}])}, "odd", None),
    ],
)  # fmt: skip
def test_which_asset(assets: dict[str, pystac.Asset], chosen: str, bands: tuple[int, ...] | None) -> None:
    made = item("i", TILE, None)
    for name, value in assets.items():
        made.add_asset(name, value)
    assert pick_asset(made) == (assets[chosen], bands)


def test_bands_of_the_item_are_shown(tmp_path: Path) -> None:
    write_raster(tmp_path / "rgbn.tif", TILE, (200, 10, 20, 30))
    made = item("i", TILE, None)
    made.add_asset("image", asset(COG, "rgbn.tif", **{"eo:bands": RGBN}))
    (tmp_path / "item.json").write_text(json.dumps(made.to_dict()))
    (image,) = images(f"stac:{tmp_path}/item.json", zoom=16)
    assert tuple(image.pixels[9, 9]) == (30, 20, 10)


RANGE_SERVER = """
import re, sys
from http import server as http
from pathlib import Path

class Handler(http.SimpleHTTPRequestHandler):
    def send_head(self):
        wanted = re.fullmatch(r"bytes=(\\d+)-(\\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not wanted or not path.is_file():
            return super().send_head()
        whole = path.read_bytes()
        part = whole[int(wanted[1]) : int(wanted[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {wanted[1]}-{int(wanted[1]) + len(part) - 1}/{len(whole)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(part)

server = http.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Handler(*a, directory=sys.argv[1]))
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture
def server(collection: Path) -> Iterator[str]:
    """The collection behind HTTP with range requests.

    In a process of its own: GDAL keeps Python's lock while it waits for an answer.
    """
    command = [sys.executable, "-c", RANGE_SERVER, str(collection)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


def write_pages(folder: Path) -> None:
    """A search of three pages; the last names itself as the next one, as some servers do."""
    for number, tile in enumerate(neighbours(3)):
        made = item(f"p{number}", tile, f"photo-{number}/visual.tif")
        link = {"rel": "next", "href": f"/page-{min(number + 1, 2)}.json", "method": "GET"}
        page = {"type": "FeatureCollection", "features": [made.to_dict()], "links": [link]}
        (folder / f"page-{number}.json").write_text(json.dumps(page))


def test_search_in_pages_and_rasters_read_over_http(server: str, collection: Path, tmp_path: Path) -> None:
    write_pages(collection)
    settings = Settings(cache_dir=tmp_path / "cache", offline=True)
    first = open_stac(f"stac:{server}/page-0.json", SourceOptions(zoom=16, settings=settings))
    refs = list(first.plan())
    assert [ref.tile for ref in refs] == neighbours(3)
    found = [first.read(ref) for ref in refs]
    assert [int(image.pixels[100, 100, 0]) for image in found] == [40, 80, 120]
    assert found[0].source == f"{server}/photo-0/visual.tif"
    again = open_stac(f"stac:{server}/page-0.json", SourceOptions(zoom=16, settings=settings))
    assert list(again.plan()) == refs


def test_collection_over_http(server: str, collection: Path, tmp_path: Path) -> None:
    (collection / "photo-1/visual.tif").unlink()
    (collection / "photo-2/visual.tif").write_text("not a raster")
    options = SourceOptions(zoom=16, settings=Settings(cache_dir=tmp_path / "cache"))
    source = open_stac(f"stac:{server}/collection.json", options)
    good, *bad = source.plan()
    assert source.attribution == "The Survey, CC-BY-4.0"
    assert source.read(good).tile == neighbours(1)[0]
    for ref in bad:
        with pytest.raises(BadInput, match="cannot be read as a raster"):
            source.read(ref)


def test_document_from_the_web_names_no_file_of_this_machine(server: str, collection: Path, tmp_path: Path) -> None:
    made = item("spy", TILE, f"file://{collection}/photo-0/visual.tif").to_dict()
    (collection / "spy.json").write_text(json.dumps(made))
    source = open_stac(f"stac:{server}/spy.json", SourceOptions(settings=Settings(cache_dir=tmp_path / "cache")))
    (ref,) = source.plan()
    with pytest.raises(BadInput, match="neither http"):
        source.read(ref)


def test_offline(tmp_path: Path) -> None:
    off = SourceOptions(settings=Settings(cache_dir=tmp_path, offline=True))
    with pytest.raises(OfflineError, match="switched off"):
        open_stac("stac:https://stac.example.com/search?limit=1", off)
    (tmp_path / "item.json").write_text(json.dumps(item("i", TILE, "https://stac.example.com/a.tif").to_dict()))
    with pytest.raises(OfflineError, match="switched off"):
        list(open_stac(f"stac:{tmp_path}/item.json", off).plan())


def test_search_by_post_is_named(tmp_path: Path) -> None:
    link = {"rel": "next", "href": "https://stac.example.com/search", "method": "POST"}
    (tmp_path / "s.json").write_text(json.dumps({"type": "FeatureCollection", "features": [], "links": [link]}))
    with pytest.raises(BadInput, match="GET search"):
        open_stac(f"stac:{tmp_path}/s.json", SourceOptions())
