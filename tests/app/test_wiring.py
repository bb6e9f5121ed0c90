import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

import geoanchor
from app import upkeep
from app.index import Index
from geoanchor.errors import BadInput, NotAnIndex, SpaceMismatch, UsageError
from geoanchor.query import Hit
from geoanchor.settings import Settings
from geoanchor.tiling import Tile


@pytest.fixture
def index(painted_index: Path) -> Index:
    return geoanchor.open(painted_index)


@pytest.fixture
def own_index(painted_index: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    return Path(shutil.copytree(painted_index, tmp_path / "own.index"))


def _colour_of(tiles: dict[Tile, str], hit: Hit) -> str:
    assert hit.tile is not None
    return tiles[Tile(*hit.tile)]


@pytest.mark.parametrize("colour", ["red", "white"])
@pytest.mark.parametrize("layer", ["aerial", "map"])
def test_words_find_their_place(index: Index, painted_tiles: dict[Tile, str], colour: str, layer: str) -> None:
    hits = index.search(colour, layer=layer, k=3)
    assert (_colour_of(painted_tiles, hits[0]), hits[0].layer) == (colour, layer)
    assert hits[0].score > hits[1].score
    assert (len(hits), hits.total, [hit.rank for hit in hits]) == (3, 16, [1, 2, 3])


def test_hits_are_a_sequence(index: Index) -> None:
    hits = index.search("blue", k=5)
    assert [hit.id for hit in hits] == [hits[n].id for n in range(5)]
    assert list(hits[1:3]) == list(hits)[1:3]
    assert hits[0] in hits
    assert hits.query.parts[0].kind == "text"


def test_a_picture_finds_itself_and_its_map(index: Index, painted_folder: Path) -> None:
    for tile in ("red", "white"):
        expected = index.search(tile, layer="aerial", k=1)[0]
        picture = painted_folder / f"{Tile(*expected.tile)}.png"
        assert index.search(image=picture, layer="aerial", k=1)[0].id == expected.id
        assert index.search(map=picture.read_bytes(), layer="aerial", k=1)[0].tile == expected.tile


def test_a_coordinate_finds_the_tile_that_holds_it(index: Index, painted_tiles: dict[Tile, str]) -> None:
    for tile in list(painted_tiles)[::5]:
        west, south, east, north = tile.bounds
        at = (south + 0.1 * (north - south), west + 0.8 * (east - west))
        assert {hit.tile for hit in index.search(at=at, k=2)} == {(tile.z, tile.x, tile.y)}


def test_like_not_and_filters(index: Index, painted_tiles: dict[Tile, str]) -> None:
    green = index.search("green", layer="aerial", k=1)[0]
    alike = index.search(like=green.id, layer="aerial", k=3)
    assert {_colour_of(painted_tiles, hit) for hit in alike} == {"green"}
    assert green.id not in [hit.id for hit in alike]
    without = index.search("green blue", not_="blue", weights={"not": -1.0}, layer="aerial", k=4)
    assert {_colour_of(painted_tiles, hit) for hit in without} == {"green"}
    here = index.search("blue", within=green.bounds)
    assert {hit.tile for hit in here} == {green.tile}
    assert "region" in here.note


def test_pictures_of_hits(index: Index, painted_folder: Path) -> None:
    hit = index.search("red", layer="aerial", k=1)[0]
    found = index.thumbnails([hit.id, "no such row"])
    assert found == {hit.id: (painted_folder / f"{Tile(*hit.tile)}.png").read_bytes()}
    assert index.thumbnails([]) == {}
    assert index.mosaic.tile("aerial", Tile(*hit.tile)) == found[hit.id]


def test_info_counts_layers(index: Index) -> None:
    info = index.info()
    assert (info["rows"], info["layers"], info["model"]) == (32, {"aerial": 16, "map": 16}, "toy")
    assert json.loads(json.dumps(info)) == info
    assert len(index) == 32


def test_another_model_is_refused_at_search_and_at_add(
    painted_index: Path, own_index: Path, painted_folder: Path
) -> None:
    other = geoanchor.open(painted_index, model="toy:other")
    with pytest.raises(SpaceMismatch, match=r"painted\.index"):
        other.search("red")
    assert other.search(at=(48, 10)).total == 32
    with pytest.raises(SpaceMismatch):
        geoanchor.build(f"{painted_folder}/{{z}}/{{x}}/{{y}}.png", own_index, model="toy:other", layer="ground")
    assert geoanchor.open(own_index).manifest.rows == 32


def test_opening_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotAnIndex, match="geoanchor index"):
        geoanchor.open(tmp_path / "none")


def test_a_bad_picture_is_told(index: Index, tmp_path: Path) -> None:
    path = tmp_path / "words.jpg"
    path.write_text("these are words")
    with pytest.raises(BadInput):
        index.search(image=path)
    with pytest.raises(BadInput, match=r"words\.jpg"):
        index.describe(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, (name, ink) in enumerate({"red": (200, 30, 30), "blue": (30, 30, 200)}.items()):
        noise = np.random.default_rng(seed).integers(-20, 20, (48, 48, 3))
        Image.fromarray((noise + ink).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def test_captions_belong_to_their_pictures(photos: Path, tmp_path: Path) -> None:
    listed = tmp_path / "captions.json"
    listed.write_text('[{"image": "red.png", "captions": ["a red roof", "tiles"]}]')
    report = geoanchor.build(str(photos), tmp_path / "i", model="toy", captions=listed)
    assert (report.added, report.texts) == (2, 1)
    index = geoanchor.open(tmp_path / "i")
    assert {hit.id.rpartition("/")[2]: hit.caption for hit in index.search("red")} == {
        "red.png": "a red roof", "blue.png": ""
    }  # fmt: skip
    assert [text.text for text in index.describe(photos / "red.png")] == ["a red roof"]
    listed.write_text('[{"image": "red.png", "captions": ["a red barn"]}]')
    again = geoanchor.build(str(photos), tmp_path / "i", captions=listed)
    assert (again.updated, again.unchanged) == (1, 1)
    listed.write_text('[{"image": "green.png", "captions": ["x"]}]')
    with pytest.raises(UsageError, match=r"green\.png"):
        geoanchor.build(str(photos), tmp_path / "i", captions=listed)


def test_a_name_is_found_in_whichever_way_unicode_writes_it(photos: Path, tmp_path: Path) -> None:
    composed = photos / "Grün.png"
    (photos / "red.png").rename(composed)
    listed = tmp_path / "captions.json"
    listed.write_text(json.dumps([{"image": normalize("NFD", composed.name), "captions": ["a roof"]}]), "utf-8")
    assert geoanchor.build(str(photos), tmp_path / "i", model="toy", captions=listed).texts == 1


def test_rows_and_sources_are_removed(own_index: Path) -> None:
    index = geoanchor.open(own_index)
    first = index.search("red", layer="map", k=1)[0].id
    with pytest.raises(UsageError, match="neither a source nor a row"):
        upkeep.remove(own_index, [first, "nonsense"])
    assert upkeep.remove(own_index, [first]).rows == 1
    assert first not in [hit.id for hit in geoanchor.open(own_index).search("red", k=100)]
    assert upkeep.remove(own_index, [index.manifest.sources[0].uri]).rows == 31
    assert geoanchor.open(own_index).manifest.rows == 0


def test_a_damaged_index_is_diagnosed_and_repaired(own_index: Path) -> None:
    assert not [finding for finding in upkeep.doctor(own_index) if finding.level == "error"]
    next(own_index.glob("serving/*/rows.arrow")).unlink()
    assert [finding for finding in upkeep.doctor(own_index) if finding.level == "error"]
    assert not [finding for finding in upkeep.doctor(own_index, repair=True) if finding.level == "error"]
    assert len(geoanchor.open(own_index).search("red")) == 10


def test_compaction_changes_no_answer(own_index: Path) -> None:
    before = geoanchor.open(own_index).search("green", k=32)
    upkeep.compact(own_index)
    after = geoanchor.open(own_index).search("green", k=32)
    assert [(hit.id, hit.score) for hit in after] == [(hit.id, hit.score) for hit in before]


def _truncated(path: Path) -> None:
    for file in (path / "data").iterdir():
        os.truncate(file, 40)


@pytest.mark.parametrize(
    ("name", "damage"), [("tiles.lance", shutil.rmtree), ("tiles.lance", _truncated), ("texts.lance", shutil.rmtree)]
)
def test_a_lost_or_damaged_table_is_a_finding_with_a_way_out(
    painted_index: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    folder = Path(shutil.copytree(painted_index, tmp_path / "i.index"))
    damage(folder / name)
    for repair in (False, True):
        (finding,) = upkeep.doctor(folder, repair=repair)
        assert finding.level == "error"
        assert name in finding.text
        assert "build the index again" in finding.text
        assert "geoanchor doctor" not in finding.text


def test_a_picture_to_ask_with_is_limited_by_the_settings_and_not_empty(painted_index: Path, tmp_path: Path) -> None:
    picture, empty = tmp_path / "a.png", tmp_path / "empty.png"
    Image.new("RGB", (32, 32), (200, 30, 30)).save(picture)
    empty.touch()
    strict = geoanchor.open(painted_index, settings=Settings(max_pixels=100))
    with pytest.raises(BadInput, match="limit of 100; raise max_pixels"):
        strict.search(image=picture)
    with pytest.raises(BadInput, match="limit of 100"):
        strict.describe(picture)
    with pytest.raises(UsageError, match=r"empty\.png: is empty"):
        strict.search(image=empty)


def test_a_folder_named_in_another_way_is_the_same_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "town").mkdir()
    for number, colour in enumerate(("red", "green", "blue")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / "town" / f"{number}.png")
    Image.effect_noise((32, 32), 90).save(tmp_path / "town" / "noise.png")
    monkeypatch.chdir(tmp_path)
    geoanchor.build("town", "town.index", model="toy")
    (tmp_path / "town" / "noise.png").unlink()
    Image.linear_gradient("L").save(tmp_path / "town" / "1.png")
    (tmp_path / "link").symlink_to("town")
    for again in ("./town", "town/", str(tmp_path / "town"), "link"):
        report = geoanchor.build(again, "town.index", model="toy")
        (record,) = geoanchor.open("town.index").manifest.sources
        assert (record.uri, record.rows) == ("town", report.rows)
        assert report.quarantined == ()
    assert not [hit for hit in geoanchor.open("town.index").search("red", k=9) if "noise" in hit.id]
