"""Changes of drawn towns, where every change is known."""

from __future__ import annotations

import math
import shutil
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from drawn_town import SIDE_M, TILES, TOWN, finder_of, with_block
from numpy.typing import NDArray
from structured import CELLS, Drawing, GridEncoder, index_of, moved, town_block

from geoanchor.change import ChangeList
from geoanchor.errors import UnsupportedModality, UsageError
from geoanchor.image import TileImage
from geoanchor.manifest import read_manifest
from geoanchor.protocols import TileRef
from geoanchor.query import BoundsRegion, RadiusRegion
from geoanchor.tiling import Tile
from models.toy import ToyEncoder
from retrieval.matching import RowMatcher
from retrieval.registration import frames_m, middles_m, sides_m
from retrieval.reviews import Reviews
from retrieval.serving import Serving
from retrieval.survey import survey_pairs


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A town whose map lacks a block of buildings at tile 3, shows a demolished one at 8, is moved at 15, lacks
    everything at 20, has no row at 21, and where the picture of 25 has no structure in it."""
    ground, maps = dict(TOWN), dict(TOWN)
    ground[TILES[3]] = with_block(ground[TILES[3]], 3)
    maps[TILES[8]] = with_block(maps[TILES[8]], 3, side=6)
    maps[TILES[15]] = moved(maps[TILES[15]], 1, -1)
    maps[TILES[20]] = np.zeros((CELLS, CELLS), np.uint8)
    del maps[TILES[21]]
    ground[TILES[25]] = maps[TILES[25]] = np.ones((CELLS, CELLS), np.uint8)
    folder = tmp_path_factory.mktemp("changed") / "town.index"
    return index_of(folder, Drawing(ground, "aerial"), Drawing(maps, "map"))


@pytest.fixture(scope="module")
def found(changed: Path) -> ChangeList:
    return finder_of(changed).find(k=50)


def test_every_change_is_found_with_its_cause_and_nothing_else(found: ChangeList) -> None:
    causes = {TILES.index(Tile(*change.tile)): change.cause for change in found.changes if change.tile}
    assert causes == {3: "map behind", 8: "imagery behind", 15: "shifted", 20: "nothing mapped", 21: "nothing mapped"}
    assert (found.pairs, found.unmapped, found.reviewed) == (29, 1, 0)
    assert [change.rank for change in found.changes] == [1, 2, 3, 4, 5]
    scores = [change.mismatch for change in found.changes]
    assert scores == sorted(scores, reverse=True)
    assert found.note == "only 5 places disagree"


def test_reasons_name_the_class_and_its_share(found: ChangeList) -> None:
    by_tile = {TILES.index(Tile(*change.tile)): change for change in found.changes if change.tile}
    behind, gone, shifted, empty = (by_tile[n] for n in (3, 8, 15, 21))
    assert list(behind.picture_only) == ["buildings"]
    assert not behind.map_only
    assert "in the picture, not on the map" in behind.reason
    assert behind.reason.startswith("buildings on ")
    assert list(gone.map_only) == ["buildings"]
    assert gone.map_only["buildings"] > 0.03
    assert shifted.offset_m == pytest.approx((1 / CELLS * SIDE_M, 1 / CELLS * SIDE_M), rel=0.01)
    assert shifted.reason == f"the map lies {math.hypot(1, 1) / CELLS * SIDE_M:.1f} m too far north-east"
    assert empty.map_id is None
    assert empty.reason.startswith("nothing is mapped, and the picture shows ")


def test_an_offset_at_the_edge_of_what_was_looked_for_is_not_told(changed: Path) -> None:
    """Tile 15 lies a cell off: looked for no farther, that is no peak, and it may lie anywhere."""
    told = finder_of(changed).find(k=50, everything=True, max_offset=1 / CELLS)
    offsets = {TILES.index(Tile(*change.tile)): change.offset_m for change in told.changes if change.tile}
    assert offsets[15] is None
    assert offsets[0] == (0, 0)


def test_the_outline_is_where_the_change_is(found: ChangeList) -> None:
    from shapely.geometry import box, shape

    change = next(change for change in found.changes if change.cause == "map behind")
    west, south, east, north = change.bounds
    width, height = (east - west) / CELLS, (north - south) / CELLS
    block = box(west + 12 * width, north - 17 * height, west + 17 * width, north - 12 * height)
    outline = shape(change.outline)
    assert outline.is_valid
    truth = block.buffer(1.01 * width)
    assert truth.covers(outline)
    assert outline.intersection(block).area > 0.4 * block.area
    assert change.disagreeing == pytest.approx(outline.area / (width * height) / CELLS**2, rel=0.02)


def test_a_map_shifted_as_a_whole_is_no_list_of_changes(tmp_path: Path) -> None:
    maps = {tile: moved(grid, 1, 1) for tile, grid in TOWN.items()}
    maps[TILES[7]] = moved(with_block(TOWN[TILES[7]], 3), 1, 1)
    found = finder_of(index_of(tmp_path / "i", Drawing(TOWN, "aerial"), Drawing(maps, "map"))).find()
    assert found.registration
    assert found.registration.shifted
    step = SIDE_M / CELLS
    assert (found.registration.east_m, found.registration.north_m) == pytest.approx((step, -step), rel=0.01)
    assert found.registration.reason == f"the whole map lies {step * math.sqrt(2):.1f} m too far south-east"
    assert [change.cause for change in found.changes] == ["imagery behind"]


@pytest.mark.parametrize("cells", [1, 2])
@pytest.mark.parametrize("lies", [True, False], ids=["it lies off", "it says so"])
def test_frames_that_differ_are_no_shift_of_the_map(
    lies: bool, cells: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame farther east shows ground farther east: what is drawn in it moves west, and lies where it should."""
    maps = {tile: grid if lies else moved(grid, -cells, 0) for tile, grid in TOWN.items()}
    folder = index_of(tmp_path / "i", Drawing(TOWN, "aerial"), Drawing(maps, "map"))
    finder, numbers = finder_of(folder), Serving.numbers

    def framed(serving: Serving, name: str) -> NDArray[np.float64]:
        values = np.array(numbers(serving, name))
        if name in ("west", "east"):
            wide = numbers(serving, "east") - numbers(serving, "west")
            rows = serving.layers["map"]
            values[rows] += cells / CELLS * wide[rows]
        return values

    monkeypatch.setattr(Serving, "numbers", framed)
    registration = finder.find(max_offset=0.15).registration
    assert registration
    assert registration.shifted == lies
    east_m = cells / CELLS * SIDE_M if lies else 0.0
    assert (registration.east_m, registration.north_m) == pytest.approx((east_m, 0), abs=0.01 * SIDE_M)
    assert finder.find(max_offset=0.15).changes == ()


def test_a_map_in_its_place_is_called_so(found: ChangeList) -> None:
    assert found.registration
    assert not found.registration.shifted
    assert (found.registration.east_m, found.registration.north_m) == (0, 0)
    assert found.registration.reason == "the map lies where the imagery does"


def test_chunks_and_repetition_change_nothing(changed: Path, found: ChangeList) -> None:
    assert finder_of(changed, chunk=7).find(k=50) == found
    assert finder_of(changed).find(k=50) == found


@pytest.mark.parametrize("cores", [1, 4])
def test_the_number_of_cores_changes_nothing(
    changed: Path, found: ChangeList, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunks are judged each by itself, as many at once as there are cores and no more."""
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    finder, running, at_once, done = finder_of(changed, chunk=3), set(), [], []
    judge = RowMatcher.judge

    def watched(*given: object) -> object:
        running.add(threading.get_ident())
        at_once.append(len(running))
        time.sleep(0.01)
        found = judge(*given)  # type: ignore[arg-type]
        running.discard(threading.get_ident())
        return found

    monkeypatch.setattr(RowMatcher, "judge", watched)
    pairs = finder.pairs()
    rows, serving = pairs.aerials, finder._serving
    survey_pairs(
        finder._matcher, pairs, sides_m(serving, rows), frames_m(serving, pairs), middles_m(serving, rows), chunk=3,
        progress=lambda so_far, of: done.append((so_far, of)),
    )  # fmt: skip
    assert min(cores, 2) <= max(at_once) <= cores
    assert done == [(min(at, len(pairs)), len(pairs)) for at in range(3, len(pairs) + 3, 3)]
    assert finder.find(k=50) == found


def test_k_cuts_the_list_and_nothing_else(changed: Path, found: ChangeList) -> None:
    for k in (1, 3):
        assert finder_of(changed).find(k=k).changes == found.changes[:k]


def test_a_list_that_is_cut_says_of_how_many_places(changed: Path) -> None:
    finder = finder_of(changed)
    for k in range(1, 5):
        cut = finder.find(k=k)
        assert (cut.places, cut.note) == (5, f"{k} of 5 places shown, worst first")
    whole = finder.find(k=5)
    assert (whole.places, whole.note) == (5, ""), "what is left over agrees"
    everything = finder.find(k=7, everything=True)
    assert (everything.places, everything.note) == (30, "7 of 30 places shown, worst first")
    assert finder.find(k=30, everything=True).note == ""
    assert finder.find(k=50).places == 5


def test_places_are_not_counted_where_too_many_pairs_are_left(changed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = finder_of(changed)
    disagreeing = finder.find(k=4).places
    monkeypatch.setattr("retrieval.mismatch._FLOOR", 0.0)
    assert finder.find(k=4).places == disagreeing, "what agrees is no place"
    monkeypatch.setattr("retrieval.mismatch._COUNTED", 20)
    cut = finder.find(k=4)
    assert (cut.places, cut.note) == (None, "4 of up to 30 places shown, worst first")
    monkeypatch.setattr("retrieval.mismatch._COUNTED", 25)
    assert finder.find(k=4).places == disagreeing


def test_one_change_is_no_changes(tmp_path: Path) -> None:
    ground = {tile: TOWN[tile] for tile in TILES[:3]}
    maps = ground | {TILES[1]: with_block(TOWN[TILES[1]], 3, side=6)}
    found = finder_of(index_of(tmp_path / "i", Drawing(ground, "aerial"), Drawing(maps, "map"))).find()
    assert (len(found.changes), found.note) == (1, "only 1 place disagrees")


def test_a_region_keeps_its_own_pairs(changed: Path, found: ChangeList) -> None:
    place = next(change for change in found.changes if change.cause == "map behind")
    near = finder_of(changed).find(RadiusRegion(lng=place.lng, lat=place.lat, radius_m=10))
    assert [change.id for change in near.changes] == [place.id]
    assert near.pairs == 1
    boxed = finder_of(changed).find(BoundsRegion(bounds=place.bounds))
    assert boxed.pairs == 1
    with pytest.raises(UsageError, match="in that region"):
        finder_of(changed).find(RadiusRegion(lng=0, lat=0, radius_m=10))


def test_everything_has_a_score_and_a_percentile(changed: Path) -> None:
    whole = finder_of(changed).find(k=100, everything=True)
    assert len(whole.changes) == 30
    assert {change.cause for change in whole.changes} >= {"agrees", "not enough structure"}
    dull = next(change for change in whole.changes if change.cause == "not enough structure")
    assert Tile(*dull.tile or ()) == TILES[25]
    assert not dull.informative
    assert whole.changes[0].percentile == 100
    for change in whole.changes:
        no_worse = sum(other.mismatch <= change.mismatch for other in whole.changes)
        assert change.percentile == pytest.approx(100 * no_worse / len(whole.changes), abs=0.06)


def test_heat_covers_the_pairs(found: ChangeList) -> None:
    import h3

    assert sum(cell.pairs for cell in found.heat) == found.pairs + found.unmapped - 2
    assert 1 < len(found.heat) <= 10
    assert len({h3.get_resolution(cell.cell) for cell in found.heat}) == 1
    worst = found.changes[0]
    assert any(
        h3.latlng_to_cell(worst.lat, worst.lng, h3.get_resolution(cell.cell)) == cell.cell for cell in found.heat
    )
    assert all(cell.mean <= cell.max <= 1 for cell in found.heat)


def test_reviewed_places_do_not_come_back_until_something_is_new(tmp_path: Path) -> None:
    ground = {TILES[0]: with_block(TOWN[TILES[0]], 3), TILES[1]: with_block(TOWN[TILES[1]], 3)}
    maps = {tile: TOWN[tile] for tile in ground}
    folder = index_of(tmp_path / "i", Drawing(ground, "aerial"), Drawing(maps, "map"))
    first, second = finder_of(folder).find().changes
    review = finder_of(folder).review(first.id, "reject", "a tent")
    assert (review.change, review.decision, review.note) == (first.id, "reject", "a tent")
    left = finder_of(folder).find()
    assert [change.id for change in left.changes] == [second.id]
    assert left.reviewed == 1
    assert "1 was reviewed" in left.note
    shown = finder_of(folder).find(everything=True)
    assert {change.id: change.review for change in shown.changes}[first.id] == review
    # What is shown was not left out.
    assert shown.reviewed == 0
    assert finder_of(folder).find(reviewed=True).reviewed == 0
    finder_of(folder).review(second.id, "accept")
    assert finder_of(folder).find().changes == ()
    assert [review.decision for review in Reviews(folder).latest().values()] == ["reject", "accept"]
    # A rebuild of the same keeps the decisions; a newer picture asks again.
    index_of(folder, Drawing(ground, "aerial", stamp="2"), Drawing(maps, "map", stamp="2"))
    assert finder_of(folder).find().changes == ()
    ground[TILES[0]] = with_block(ground[TILES[0]], 3, row=3, column=12)
    index_of(folder, Drawing(ground, "aerial", stamp="3"), Drawing(maps, "map", stamp="2"))
    assert [change.tile for change in finder_of(folder).find().changes] == [first.tile]


def test_what_is_taken_back_is_as_if_never_reviewed(changed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(changed, tmp_path / "i"))
    before = finder_of(folder).find()
    worst = before.changes[0].id
    finder_of(folder).review(worst, "reject", "a tent")
    assert worst not in {change.id for change in finder_of(folder).find().changes}
    assert finder_of(folder).review(worst, "open").decision == "open"
    assert finder_of(folder).find() == before
    assert finder_of(folder).find(reviewed=True) == before


def test_a_change_that_is_none_cannot_be_reviewed(changed: Path) -> None:
    with pytest.raises(UsageError, match="no change has the id 'none'"):
        finder_of(changed).review("none", "accept")
    with pytest.raises(UsageError, match="accept or reject"):
        finder_of(changed).review("none", "perhaps")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a note can have 2000 characters, not 2001"):
        finder_of(changed).review("none", "accept", "x" * 2001)


def test_of_several_decisions_all_are_kept_or_none(changed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(changed, tmp_path / "i"))
    first, second = (change.id for change in finder_of(folder).find(k=2).changes)
    with pytest.raises(UsageError, match="no change has the id 'none'"):
        finder_of(folder).review_all({first: "accept", "none": "reject"})
    assert not Reviews(folder).latest()
    assert finder_of(folder).review_all({}) == ()
    assert not Reviews(folder).path.exists()
    made = finder_of(folder).review_all({first: "accept", second: "reject"}, "seen")
    assert list(Reviews(folder).latest().values()) == list(made)


@pytest.mark.parametrize("max_offset", [0.1, 0.05, 0.0])
def test_frames_that_differ_make_no_change_and_move_no_outline(tmp_path: Path, max_offset: float) -> None:
    """The map's frames lie two cells east of the picture's, and what it shows lies where it belongs."""
    from shapely.geometry import shape

    ground = TOWN | {TILES[3]: with_block(TOWN[TILES[3]], 3)}
    maps = {tile: moved(grid, -2, 0) for tile, grid in TOWN.items()}
    aerial = Drawing(ground, "aerial", tiled=False)
    drawn = Drawing(maps, "map", tiled=False, east=2 / CELLS - 1e-4)
    found = finder_of(index_of(tmp_path / "i", aerial, drawn)).find(max_offset=max_offset)
    told = found.registration.reason if found.registration else None
    assert told == ("the map lies where the imagery does" if max_offset else None), "no shift looked for, none told"
    (change,) = found.changes
    box = TILES[3].bounds
    middle = (shape(change.outline).centroid.x - box.west) / (box.east - box.west) * CELLS
    assert middle == pytest.approx(14.5, abs=0.05)


def test_the_newest_picture_counts(tmp_path: Path) -> None:
    maps = {TILES[0]: TOWN[TILES[0]]}
    old = Drawing({TILES[0]: with_block(TOWN[TILES[0]], 3)}, "aerial", "old", datetime(2019, 5, 1, tzinfo=UTC))
    new = Drawing(maps, "aerial", "new", datetime(2023, 5, 1, tzinfo=UTC))
    folder = index_of(tmp_path / "i", old, new, Drawing(maps, "map"))
    assert finder_of(folder).find().pairs == 1
    assert finder_of(folder).find().changes == ()
    both = finder_of(folder).find(all_dates=True)
    assert both.pairs == 2
    assert [change.aerial_id for change in both.changes] == [f"aerial/old/{TILES[0]}"]


def test_each_map_of_a_place_is_compared(tmp_path: Path) -> None:
    good = Drawing({TILES[0]: TOWN[TILES[0]]}, "map", "good")
    bad = Drawing({TILES[0]: with_block(TOWN[TILES[0]], 3, side=6)}, "map", "bad")
    folder = index_of(tmp_path / "i", Drawing({TILES[0]: TOWN[TILES[0]]}, "aerial"), good, bad)
    found = finder_of(folder).find()
    assert (found.pairs, [change.map_id for change in found.changes]) == (2, [f"map/bad/{TILES[0]}"])


def test_pictures_off_the_grid_are_paired_by_their_bounds(tmp_path: Path) -> None:
    some = {tile: TOWN[tile] for tile in TILES[:4]}
    some[TILES[2]] = with_block(some[TILES[2]], 3)
    maps = {tile: TOWN[tile] for tile in TILES[:4]}
    folder = index_of(tmp_path / "i", Drawing(some, "aerial", tiled=False), Drawing(maps, "map"))
    found = finder_of(folder).find()
    assert found.pairs == 4
    assert [change.bounds for change in found.changes] == [TILES[2].bounds]


def test_open_water_on_map_and_picture_agrees(tmp_path: Path) -> None:
    """A tile that is water throughout has a map of one colour."""
    sea = np.full((CELLS, CELLS), 2, np.uint8)
    waves = with_block(sea, 1, 0, 0, 1)
    ground = {TILES[0]: waves, TILES[1]: with_block(TOWN[TILES[1]], 3)}
    maps = {TILES[0]: sea, TILES[1]: TOWN[TILES[1]]}
    folder = index_of(tmp_path / "i", Drawing(ground, "aerial"), Drawing(maps, "map"))
    found = finder_of(folder).find()
    assert (found.pairs, found.unmapped) == (2, 0)
    assert [change.bounds for change in found.changes] == [TILES[1].bounds]


def test_ground_that_is_mapped_at_another_zoom_is_not_unmapped(tmp_path: Path) -> None:
    tile = TILES[0]
    finer = [Tile(18, 2 * tile.x + x, 2 * tile.y + y) for x in range(2) for y in range(2)]
    ground = {some: town_block(number) for number, some in enumerate([tile, TILES[3], *finer])}
    folder = index_of(tmp_path / "i", Drawing(ground, "aerial"), Drawing({tile: town_block(0)}, "map"))
    found = finder_of(folder).find()
    assert (found.pairs, found.unmapped) == (1, 1), "only the tile elsewhere has no map"
    assert "4 pictures lie at another zoom than the map of their ground" in found.note
    around = [Tile(18, 2 * tile.x + by, 2 * tile.y + by) for by in (-1, 2)]
    both = {tile: town_block(0)} | dict.fromkeys(around, town_block(1))
    mixed = index_of(tmp_path / "k", Drawing(ground, "aerial"), Drawing(both, "map"))
    found = finder_of(mixed).find()
    assert found.unmapped == 5, "the map has tiles of that zoom all around, but none here"
    assert "another zoom" not in found.note
    apart = index_of(tmp_path / "j", Drawing({finer[0]: town_block(0)}, "aerial"), Drawing({tile: TOWN[tile]}, "map"))
    with pytest.raises(UsageError, match="same ground; 1 picture lies at another zoom than the map of its ground"):
        finder_of(apart).find()


@dataclass
class Nowhere(Drawing):
    """Pictures of which nobody knows where they lie."""

    tiled: bool = False

    def read(self, ref: TileRef) -> TileImage:
        return replace(super().read(ref), bounds=None, point=None)


@pytest.mark.parametrize("lost", ["map", "aerial"])
def test_where_one_layer_lies_nowhere_it_is_not_called_missing(tmp_path: Path, lost: str) -> None:
    some = {tile: TOWN[tile] for tile in TILES[:3]}
    kinds = {layer: Nowhere if layer == lost else Drawing for layer in ("aerial", "map")}
    folder = index_of(tmp_path / "i", kinds["aerial"](some, "aerial"), kinds["map"](some, "map"))
    what = {"map": "3 maps", "aerial": "3 aerial pictures"}[lost]
    with pytest.raises(UsageError, match=f"no such position is known of {what};"):
        finder_of(folder).find()


def test_an_index_or_model_without_means_says_so(tmp_path: Path, changed: Path) -> None:
    serving = Serving.open(changed, read_manifest(changed))
    with pytest.raises(UnsupportedModality, match="model 'toy' cannot compare"):
        RowMatcher(serving, ToyEncoder())
    folder = index_of(tmp_path / "i", Drawing({TILES[0]: TOWN[TILES[0]]}, "aerial"))
    with pytest.raises(UsageError, match="holds no maps to compare"):
        finder_of(folder).find()
    bare = replace_spaces(serving)
    with pytest.raises(UnsupportedModality, match="holds no space 'grid'"):
        RowMatcher(bare, GridEncoder())


def replace_spaces(serving: Serving) -> Serving:
    spaces = {name: space for name, space in serving.manifest.spaces.items() if name != "grid"}
    other = Serving.open(serving.folder, serving.manifest)
    other.manifest = serving.manifest.model_copy(update={"spaces": MappingProxyType(spaces)})
    return other
