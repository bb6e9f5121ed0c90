"""The search box: what becomes of words, places, coordinates, times and unwanted things."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoanchor.phrase import Phrase
from geoanchor.places import fold
from geoanchor.query import BoundsRegion, PointPart, RadiusRegion
from retrieval.coordinates import coordinates
from retrieval.gazetteer import Gazetteer
from retrieval.phrases import understand

TOWN = {"west": 15.59, "south": 48.40, "east": 15.67, "north": 48.42}
POINT = {"west": 85.5, "south": 27.6, "east": 85.5, "north": 27.6}
NAMES = (("Krems an der Donau", "town", 4, TOWN), ("Krems Brewery", "building", 80, POINT),
         ("Banepa", "town", 4, POINT), ("Port Hercule de Monaco", "marina", 50, POINT), ("Park", "shop", 90, POINT),
         ("Rue de l'Église", "street", 70, POINT))  # fmt: skip


def _row(name: str, kind: str, rank: int, box: dict[str, float]) -> dict[str, object]:
    lng, lat = (box["west"] + box["east"]) / 2, (box["south"] + box["north"]) / 2
    place = {"key": fold(name), "name": name, "kind": kind, "rank": rank, "lng": lng, "lat": lat}
    return place | box | {"radius_m": 2500.0 if kind == "town" else 400.0, "source": "x"}


GAZETTEER = Gazetteer(
    pa.RecordBatch.from_pylist(sorted((_row(*name) for name in NAMES), key=lambda row: str(row["key"]))),
    frozenset({"park", "school"}),
)


def ask(text: str) -> Phrase:
    return understand(text, GAZETTEER)


def wanted(text: str) -> tuple[list[str], list[str]]:
    query = ask(text).query
    parts = [part for part in query.parts if part.kind == "text"] if query else []
    return [part.text for part in parts if part.weight > 0], [part.text for part in parts if part.weight < 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("school near Krems", "school"), ("schools KREMS", "schools"), ("Krems schools", "schools"),
        ("school in krems an der donau", "school"), ("école à Krems", "école à"), ("school at Banepa Bazaar", "school"),
        ("tennis court within 1.5 km of Krems", "tennis court"), ("boats near port hercule", "boats"),
        ("houses on the rue de l’eglise", "houses"), ("a shop near Park", "a shop"),
    ],
)  # fmt: skip
def test_a_known_name_says_where_to_look(text: str, words: str) -> None:
    phrase = ask(text)
    assert phrase.query is not None
    assert phrase.query.region is not None
    assert wanted(text) == ([words], [])
    assert [chip.kind for chip in phrase.chips].count("place") == 1


@pytest.mark.parametrize(
    "text",
    [
        "school near Atlantis",
        "school near the park",
        "stadium by the river",
        "road in the forest",
        "Kremsbrücke",
        "krem",
    ],
)
def test_what_is_no_known_name_stays_words(text: str) -> None:
    phrase = ask(text)
    assert phrase.query is not None
    assert phrase.query.region is None
    assert wanted(text) == ([text], [])


def test_regions_fit_what_was_said() -> None:
    inside, near = ask("school in Krems").query, ask("school near Krems").query
    within, at = ask("school within 500 m of Banepa").query, ask("school in Banepa").query
    assert inside is not None
    assert near is not None
    assert within is not None
    assert at is not None
    assert isinstance(inside.region, BoundsRegion)
    assert inside.region.bounds == (15.59, 48.40, 15.67, 48.42)
    assert isinstance(near.region, RadiusRegion)
    assert isinstance(within.region, RadiusRegion)
    assert isinstance(at.region, RadiusRegion)
    assert (within.region.lng, within.region.lat, within.region.radius_m) == (85.5, 27.6, 500)
    assert near.region.radius_m == at.region.radius_m == 2500


def test_a_place_alone_is_sought_itself() -> None:
    query = ask("krems").query
    assert query is not None
    (part,) = query.parts
    assert isinstance(part, PointPart)
    assert (part.lng, part.lat) == pytest.approx((15.63, 48.41))
    assert query.region is None


@pytest.mark.parametrize(
    "text",
    [
        "47.37, 8.54", "47.37 8.54", "47.37N 8.54E", "8.54E 47.37N", "N47.37 E8.54", "47.37° N, 8.54° E",
        "47°22'12\"N 8°32'24\"E", "47°22′12″ N, 8°32′24″ E", "8°32'24\"O, 47°22.2'N", "geo:47.37,8.54?z=12",
        "47,37; 8,54", "https://www.openstreetmap.org/#map=15/47.37/8.54", "https://maps.example/@47.37,8.54,15z",
        "https://maps.example/?q=47.37,8.54", "https://x.example/place/@1,2/data=!3d47.37!4d8.54",
        "https://osm.example/?mlat=47.37&mlon=8.54#map=5/1/2",
    ],
)  # fmt: skip
def test_coordinates_in_many_notations(text: str) -> None:
    (found,) = coordinates(f"house near {text} in winter")
    assert (found.lat, found.lng) == pytest.approx((47.37, 8.54))
    query = ask(text).query
    assert query is not None
    assert [(part.lat, part.lng) for part in query.parts if isinstance(part, PointPart)] == [
        (pytest.approx(47.37), pytest.approx(8.54))
    ]
    assert query.region is None
    beside = ask(f"school near {text}").query
    assert beside is not None
    assert isinstance(beside.region, RadiusRegion)
    assert [part.kind for part in beside.parts] == ["text"]


def test_signs_letters_and_order() -> None:
    assert [(c.lat, c.lng) for c in coordinates("-33.9, 151.2")] == [(-33.9, 151.2)]
    assert [(c.lat, c.lng) for c in coordinates("151.2, -33.9")] == [(-33.9, 151.2)]
    assert [(c.lat, c.lng) for c in coordinates("33.9S 70.5W")] == [(-33.9, -70.5)]
    assert [(c.lat, c.lng) for c in coordinates("S 33.9 W 70.5")] == [(-33.9, -70.5)]
    assert [(c.lat, c.lng) for c in coordinates("51° 30' N, -0° 6' E")] == [(51.5, -0.1)]


@pytest.mark.parametrize(
    "text",
    [
        "10 20",
        "3, 4",
        "95.5, 190.2",
        "version 1.2.3",
        "48N",
        "route 66",
        "12:30",
        "1.5 km",
        "48.1N, 16.3",
        "48°75'N 16°3'E",
    ],
)
def test_what_is_no_coordinate(text: str) -> None:
    assert list(coordinates(text)) == []


def test_unwanted_words() -> None:
    assert wanted("stadium -parking") == (["stadium"], ["parking"])
    assert wanted('stadium -"car park" by the river') == (["stadium by the river"], ["car park"])
    assert wanted("houses without pools and gardens in Krems") == (["houses"], ["pools", "gardens"])
    assert wanted("forest, no houses") == (["forest"], ["houses"])
    assert wanted("no parking") == (["no parking"], [])
    assert wanted("well-known e-mail") == (["well-known e-mail"], [])
    assert ask("-parking").query is None
    assert [chip.kind for chip in ask("-parking").chips] == ["not"]


def test_quotes_keep_words_as_they_are() -> None:
    phrase = ask('"school near Krems"')
    assert phrase.query is not None
    assert phrase.query.region is None
    assert not phrase.query.relations
    assert wanted('"school near Krems"') == (["school near Krems"], [])


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("farm in 2014", "2014-01-01", "2014-12-31"), ("farm before 2020", None, "2019-12-31"),
        ("farm since May 2019", "2019-05-01", None), ("farm after 2015", "2016-01-01", None),
        ("farm between 2014 and 2016", "2014-01-01", "2016-12-31"), ("farm on 2016-02-29", "2016-02-29", "2016-02-29"),
        ("farm until feb 2016", None, "2016-02-29"), ("farm in 2014-13", None, None), ("farm 2014", None, None),
        ("farm before 2020-05-31", None, "2020-05-30"), ("farm on 2015-02-29", None, None),
    ],
)  # fmt: skip
def test_times(text: str, since: str | None, until: str | None) -> None:
    query = ask(text).query
    assert query is not None
    assert (query.since and f"{query.since:%Y-%m-%d}", query.until and f"{query.until:%Y-%m-%d}") == (since, until)


def test_layers() -> None:
    for text, layer in (("map: school", "map"), ("layer:aerial school", "aerial"), ("school photo:", "ground")):
        query = ask(text).query
        assert query is not None
        assert query.layer == layer
        assert wanted(text) == (["school"], [])
    assert wanted("mindmap: school") == (["mindmap: school"], [])


PIECES = ("near Krems", "47.37, 8.54", "-parking", '-"swimming pool"', "since May 2019", "map:", "without cars",
          '"football field"')  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_taking_a_chip_out_of_the_text_takes_its_wish_out_of_the_query(seed: int) -> None:
    dice = Random(seed)
    chosen = dice.sample(PIECES, dice.randrange(1, 4))
    if "near Krems" in chosen and "47.37, 8.54" in chosen:
        chosen.remove("near Krems")
    text = "  ".join(["church", *chosen])
    phrase = ask(text)
    assert {chip.text for chip in phrase.chips} == {"church", *chosen}
    for chip in phrase.chips:
        without = ask(text[: chip.start] + text[chip.end :])
        assert [c.text for c in without.chips] == [c.text for c in phrase.chips if c != chip]
        assert [c.kind for c in without.chips] == [c.kind for c in phrase.chips if c != chip]
        if chip.kind in ("place", "coordinate"):
            assert without.query is not None
            assert without.query.region is None
        if chip.kind == "not":
            assert len(wanted(without.text)[1]) == len(wanted(text)[1]) - 1


BITS = ("near", "in", "Krems", "-", '"', "47.3", ",", "8.5", "N", "°", "without", "2014", "map:", "geo:", "within",
        "the", "500 m of", "\0", "é", " ", "no", "between", "and", "school", "//", "(", "Park")  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(BITS) | st.text(max_size=6), max_size=12).map(" ".join)
)  # fmt: skip
def test_no_text_is_refused_and_every_chip_is_a_piece_of_it(text: str) -> None:
    phrase = ask(text)
    assert phrase == ask(text)
    end = 0
    for chip in phrase.chips:
        assert chip.start >= end
        assert chip.text == text.replace("\0", " ")[chip.start : chip.end] != ""
        end = chip.end
    assert Phrase.model_validate_json(phrase.model_dump_json()) == phrase


def test_a_place_does_not_depend_on_case_accents_or_punctuation() -> None:
    for name in ("Rue de l'Église", "rue de l eglise", "RUE DE L’ÉGLISE"):
        place = GAZETTEER.find(name)
        assert place is not None
        assert place.kind == "street"
    assert [place.name for place in GAZETTEER.starting("kre", 5)] == ["Krems an der Donau", "Krems Brewery"]
    assert [place.name for place in GAZETTEER.starting("hercule", 5)] == ["Port Hercule de Monaco"]
    assert GAZETTEER.starting("", 5) == () == Gazetteer().starting("kre", 5)
