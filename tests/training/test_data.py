"""Drawing tiles of a small town in a file, and a whole training run on it through the front door."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from shapely.geometry import LineString, box, mapping

from geoanchor.errors import UsageError
from models.bundle import load_bundle
from training.data import TilePairs, cache_folder, draw_all, draw_place
from training.loop import train
from training.places import Place, choose_tiles, places_of
from training.recipe import load_recipe

RECIPE = Path(__file__).resolve().parents[2] / "training" / "recipes" / "mini.toml"
WEST, SOUTH = 11.0, 48.0


def town(folder: Path, name: str, seed: int) -> Path:
    """Blocks of houses, a river, woods and one stadium over some 1.3 x 1.3 km."""
    rng = np.random.default_rng(seed)
    things = [({"leisure": "stadium"}, box(WEST + 0.0131, SOUTH + 0.0061, WEST + 0.0149, SOUTH + 0.0073))]
    river = [(WEST + x, SOUTH + 0.004 + 0.001 * np.sin(300 * x + seed)) for x in np.linspace(0, 0.018, 30)]
    things.append(({"natural": "water", "water": "river"}, LineString(river).buffer(0.0002)))
    for x, y in rng.uniform(0, 0.018, (240, 2)):
        kind = {"building": "house"} if x < 0.009 else {"natural": "wood"}
        side = 0.0001 if x < 0.009 else 0.0006
        things.append((kind, box(WEST + x, SOUTH + 0.7 * y, WEST + x + side, SOUTH + 0.7 * y + side)))
    features = [{"type": "Feature", "properties": tags, "geometry": mapping(shape)} for tags, shape in things]
    path = folder / name
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towns")
    for seed, name in enumerate(("a.geojson", "b.geojson", "c.geojson")):
        town(folder, name, seed)
    return folder


def overrides(towns: Path, *more: str) -> tuple[str, ...]:
    return (
        "data.train_seeds=[1, 0]",
        "data.val_seeds=[1, 0]",
        f"data.osm_folder={towns}",
        'data.osm_train=["a.geojson", "b.geojson"]',
        'data.osm_val=["c.geojson", "absent.geojson"]',
        "data.tiles_per_extract=32",
        "data.tile_px=64",
        "data.cache_px=40",
        "data.workers=1",
        "towers.architecture=mobilenetv4_conv_small_035",
        "towers.size_px=32",
        "towers.dim=32",
        "towers.hidden=48",
        "towers.layout_channels=4",
        *more,
    )


def place(towns: Path, tiles: int = 12) -> Place:
    return Place("osm-a", "train", 0, tiles, file=towns / "a.geojson")


def test_places_that_are_not_there_are_left_out(towns: Path) -> None:
    data = load_recipe(RECIPE, overrides(towns)).data
    assert [(p.split, p.name) for p in places_of(data)] == [("train", "osm-a"), ("train", "osm-b"), ("val", "osm-c")]


def test_cities_take_the_countries_in_turn() -> None:
    data = load_recipe(RECIPE, ["data.osm_train=[]", "data.osm_val=[]", "data.train_seeds=[100000, 100003]"]).data
    train_places = [p for p in places_of(data) if p.split == "train"]
    assert [p.name for p in train_places] == ["city-100000-A", "city-100001-B", "city-100002-A", "city-100003-B"]


def test_tiles_hold_the_landmark_and_follow_the_zooms(towns: Path) -> None:
    spot = place(towns, 20)
    tiles = choose_tiles(spot.open(), spot, {17: 1.0})
    assert len(tiles) == len(set(tiles)) == 20
    assert tiles == choose_tiles(spot.open(), spot, {17: 1.0})
    stadium = (WEST + 0.014, SOUTH + 0.0067)
    assert any(
        t.bounds.west <= stadium[0] <= t.bounds.east and t.bounds.south <= stadium[1] <= t.bounds.north for t in tiles
    )
    assert {t.z for t in choose_tiles(spot.open(), spot, {16: 0.5, 18: 0.5})} == {16, 18}


def test_drawing_is_deterministic_and_whole_or_absent(towns: Path, tmp_path: Path) -> None:
    data = load_recipe(RECIPE, overrides(towns)).data
    for name in ("first", "second"):
        assert draw_place(place(towns), data, tmp_path / name) == 12
    shards = [tmp_path / name / "train" / "osm-a" for name in ("first", "second")]
    for file in ("aerial.npy", "map.npy", "sentences.npy", "words.json"):
        assert (shards[0] / file).read_bytes() == (shards[1] / file).read_bytes()
    assert np.load(shards[0] / "aerial.npy").shape == (12, 40, 40, 3)
    assert np.load(shards[0] / "map.npy").shape == (12, 2, 40, 40, 3)
    (tmp_path / "first" / "train" / "osm-b.part").mkdir()
    assert TilePairs(tmp_path / "first", "train").names == ["osm-a"]


def test_what_is_drawn_is_not_drawn_again(towns: Path, tmp_path: Path) -> None:
    data = load_recipe(RECIPE, overrides(towns, "data.tiles_per_extract=4")).data
    lines: list[str] = []
    draw_all(data, tmp_path, lines.append)
    assert len(lines) == 3
    draw_all(data, tmp_path, lines.append)
    assert len(lines) == 3


def test_the_front_door(towns: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    short = ("schedule.steps=6", "schedule.batch=24", "schedule.warmup=1", "schedule.log_every=3", "schedule.ema=0.5")
    folder = train(RECIPE, tmp_path / "run", overrides=overrides(towns, *short), smoke=False)
    encoder = load_bundle(folder)
    pairs = TilePairs(cache_folder(tmp_path / "run", load_recipe(RECIPE, overrides(towns, *short)).data), "val")
    vectors = encoder.encode([pairs.aerial([0])[0]], "aerial")["semantic"]
    assert vectors.shape == (1, 32)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6, 6]
    assert {"text R@1", "map R@10", "keywords mAP"} <= lines[-1].keys()
    with pytest.raises(UsageError, match="go on with --resume"):
        train(RECIPE, tmp_path / "run", overrides=overrides(towns, *short))
    again = train(RECIPE, tmp_path / "run", overrides=overrides(towns, *short), resume=True)
    np.testing.assert_array_equal(load_bundle(again).encode([pairs.aerial([0])[0]], "aerial")["semantic"], vectors)
    with pytest.raises(UsageError, match="to resume from"):
        train(RECIPE, tmp_path / "other", overrides=overrides(towns, *short), resume=True)
