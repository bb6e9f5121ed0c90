"""Reading "A by B" and scoring it."""

from __future__ import annotations

import numpy as np
import pytest

from geoanchor.tiling import Tile, cell_at, distance_m, tile_at
from retrieval.neighbours import spill, tile_neighbours
from retrieval.region import Places
from retrieval.relations import Relation, beliefs, best_matches, likely_partners, match_relation, parse_relation


@pytest.mark.parametrize(("text", "subject", "thing", "decay_m"), [
    ("stadium by the river", "stadium", "river", 250),
    ("Stadium by the River.", "stadium", "river", 250),
    ("a stadium by a river", "stadium", "river", 250),
    ("school next to a park", "school", "park", 150),
    ("houses along the railway", "houses", "railway", 250),
    ("car park near the airport", "car park", "airport", 400),
    ("terraced houses close to the port", "terraced houses", "port", 400),
    ("factory beside the canal", "factory", "canal", 150),
    ("port on the river", "port", "river", 250),
    ("hotel at the lake", "hotel", "lake", 250),
    ("school right next to the stadium", "school", "stadium", 150),
    ("school just near the stadium", "school", "stadium", 400),
    ("pitch within 500 m of a school", "pitch", "school", 500),
    ("pitch within 1.5 km of the motorway", "pitch", "motorway", 1500),
    ("stadium within 2 miles from a river", "stadium", "river", 3218.688),
    ("stadium within 500ft of a river", "stadium", "river", 152.4),
    ("park not far from the lake", "park", "lake", 400),
    ("school next to a park by the river", "school", "park by the river", 150),
    ("houses alongside a canal", "houses", "canal", 250),
    ("pond adjacent to the forest", "pond", "forest", 150),
    ("a church nearby the market", "church", "market", 400),
    ("swimming pool close to a hotel", "swimming pool", "hotel", 400),
])  # fmt: skip
def test_relations_are_read(text: str, subject: str, thing: str, decay_m: float) -> None:
    assert parse_relation(text) == Relation(subject, thing, decay_m)


@pytest.mark.parametrize("text", [
    "stadium", "stand-by generator", "stadium by night", "city at dusk", "river", "by the river", "stadium by",
    "nearby", "standby area", "airport at night", "land on fire", "people on foot", "a river between two hills", "",
    "step by step by", "lake within the forest", "within 500 m of a school", "building at 5", "byway", "onsite parking",
    "one by one", "houses on", "near", "pitch within 0 m of a school", "lighthouse atlas", "day by day",
])  # fmt: skip
def test_other_texts_are_left_alone(text: str) -> None:
    assert parse_relation(text) is None


def row_of_tiles(count: int) -> tuple[Places, np.ndarray]:
    """Tiles side by side, about 200 m each, as places in serving order, and the order's positions of the tiles."""
    first = tile_at(14.5, 48.2, 17)
    points = np.array([Tile(17, first.x + i, first.y).center for i in range(count)])
    cells = np.array([cell_at(lng, lat, 10) for lng, lat in points], np.uint64)
    order = np.argsort(cells, kind="stable")
    places = np.empty(count, np.int64)
    places[order] = np.arange(count)
    return Places(cells[order], points[order, 0], points[order, 1]), places


def test_both_must_hold_and_the_nearest_counts() -> None:
    places, at = row_of_tiles(40)
    subject, thing = np.zeros(40), np.zeros(40)
    subject[at[[5, 20, 35]]] = 0.9
    thing[at[[6, 23]]] = 0.8
    found = match_relation(subject, thing, 250.0, places, np.arange(40))
    order = np.argsort(-found.scores)
    assert order[:3].tolist() == at[[5, 20, 35]].tolist()
    assert found.scores[at[5]] > 5 * found.scores[at[20]] > 5 * found.scores[at[35]]
    assert found.partner[at[5]] == at[6]
    here, there = at[5], at[6]
    metres = distance_m(places.lng[here], places.lat[here], places.lng[there], places.lat[there])
    assert found.distance_m[at[5]] == pytest.approx(metres)
    assert found.scores[at[5]] == pytest.approx(0.9 * (0.02 + 0.98 * 0.8 * np.exp(-((metres / 250) ** 2) / 2)))


def test_partners_are_the_most_believed_in_reach_the_one_that_counted_first() -> None:
    places, at = row_of_tiles(40)
    thing = np.zeros(40)
    thing[at[[4, 6, 7, 30]]] = 0.5, 0.9, 0.7, 1.0
    rows = at[[5, 29, 15]]
    found = likely_partners(thing, 250.0, places, rows, 3)
    assert found[0].tolist() == at[[6, 7, 4]].tolist() or found[0].tolist() == at[[6, 4, 7]].tolist()
    assert found[1, 0] == at[30]
    matched = match_relation(np.ones(40), thing, 250.0, places, np.arange(40)).partner
    assert found[:, 0].tolist() == matched[rows].tolist()
    alone = Places(np.zeros(2, np.uint64), np.full(2, np.nan), np.full(2, np.nan))
    assert likely_partners(np.ones(2), 250.0, alone, np.arange(2), 3).tolist() == [[0, -1, -1], [1, -1, -1]]
    assert likely_partners(thing, 250.0, places, rows[:0], 3).shape == (0, 3)


def test_rows_without_a_place_have_only_themselves() -> None:
    places = Places(np.zeros(3, np.uint64), np.full(3, np.nan), np.full(3, np.nan))
    found = match_relation(np.array([0.9, 0.8, 0.1]), np.array([0.0, 0.9, 1.0]), 250.0, places, np.arange(3))
    assert found.scores.argmax() == 1
    assert found.partner.tolist() == [0, 1, 2]


def test_the_object_may_lie_outside_the_rows_that_are_scored() -> None:
    places, at = row_of_tiles(10)
    subject, thing = np.zeros(10), np.zeros(10)
    subject[at[4]], thing[at[5]] = 1.0, 1.0
    found = match_relation(subject, thing, 250.0, places, np.array([at[4]]))
    assert found.partner[0] == at[5]
    assert found.scores[0] > 0.5


@pytest.mark.parametrize("count", [1, 20, 300, 5_000])
@pytest.mark.parametrize("decay_m", [150.0, 400.0])
def test_the_best_are_those_of_all_matches(count: int, decay_m: float) -> None:
    random = np.random.default_rng(count)
    lng, lat = 14.5 + 0.1 * random.random(4_000), 48.2 + 0.1 * random.random(4_000)
    cells = np.array([cell_at(*point, 10) for point in zip(lng, lat, strict=True)], np.uint64)
    order = np.argsort(cells)
    places = Places(cells[order], lng[order], lat[order])
    # Rounded, so that many are equal.
    subject, thing = (np.round(random.random(4_000) ** 6, 2) for _ in range(2))
    rows = np.sort(random.choice(4_000, 3_500, replace=False))
    scores, found = best_matches(subject, thing, decay_m, places, rows, count)
    every = match_relation(subject, thing, decay_m, places, rows).scores
    right = np.lexsort((rows, -every))[:count]
    assert found.tolist() == rows[right].tolist()
    np.testing.assert_array_equal(scores, every[right])


def test_beliefs_find_the_rare_strong_scores_of_each_group() -> None:
    random = np.random.default_rng(0)
    scores = np.concatenate([random.normal(0.2, 0.02, 500), random.normal(0.6, 0.05, 500)])
    scores[[10, 11]], scores[[700, 701]] = 0.4, 1.1
    alone = np.full((1000, 4), -1)
    found = beliefs(scores, [np.arange(500), np.arange(500, 1000)], spill(alone))
    assert (found[[10, 11, 700, 701]] > 0.7).all()
    assert np.sort(found)[-5] < 0.5
    order = np.argsort(scores[:500])
    assert (np.diff(found[:500][order]) >= 0).all()


def test_a_thing_on_two_tiles_is_believed_before_a_lone_outlier() -> None:
    scores = np.random.default_rng(1).normal(0, 1, 400)
    scores[[50, 51, 300]] = 6.0
    neighbours = np.full((400, 4), -1)
    neighbours[1:, 0], neighbours[:-1, 1] = np.arange(399), np.arange(1, 400)
    found = beliefs(scores, [np.arange(400)], spill(neighbours))
    assert min(found[50], found[51]) > found[300] > np.delete(found, [50, 51, 300]).max()


def _steps_apart(a: Tile, b: Tile) -> list[int]:
    across = (a.x - b.x) % 2**a.z
    return sorted([min(across, 2**a.z - across), abs(a.y - b.y)])


def test_neighbours_are_the_tiles_that_share_an_edge() -> None:
    tiles = [Tile(3, x, y) for x in (0, 1, 6, 7) for y in (0, 1, 7)] + [Tile(2, 0, 0), Tile(2, 1, 0)]
    z, x, y = (np.array([getattr(tile, name) for tile in tiles] + [np.nan], float) for name in "zxy")
    found = tile_neighbours(z, x, y, np.arange(len(tiles) + 1))
    for row, tile in enumerate(tiles):
        truth = {other for other, near in enumerate(tiles) if near.z == tile.z and _steps_apart(tile, near) == [0, 1]}
        assert set(found[row].tolist()) - {-1} == truth
    assert (found[-1] == -1).all()


def test_beliefs_of_a_phrase_that_fits_nothing_in_particular_are_finite() -> None:
    assert np.isfinite(beliefs(np.full(5, 0.3), [np.arange(5)], spill(np.full((5, 4), -1)))).all()
    assert beliefs(np.empty(0), [np.empty(0, np.int64)], spill(np.empty((0, 4), np.int64))).shape == (0,)
