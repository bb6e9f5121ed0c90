"""Names of places: read from features, kept through rebuilds, deletions and compaction; none where there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import shapely

import geoanchor
from app.upkeep import compact, doctor, remove
from geoanchor.feature import Feature
from indexer.names import read_names, refresh_names
from retrieval.gazetteer import Gazetteer
from retrieval.serving import Serving
from retrieval.suggestions import suggestions

TOWN = "Sankt Ödön"


def _point(lng: float, lat: float, **tags: str) -> dict[str, object]:
    shape = {"type": "Polygon", "coordinates": [[[lng, lat], [lng + 2e-4, lat], [lng, lat + 2e-4], [lng, lat]]]}
    return {"type": "Feature", "geometry": shape, "properties": {key.replace("__", ":"): tags[key] for key in tags}}


def _file(path: Path, *features: dict[str, object]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}), "utf-8")
    return path


@pytest.fixture
def town(tmp_path: Path) -> Path:
    address = {"addr__street": "Long Street", "addr__city": "Faraway"}
    return _file(
        tmp_path / "town.geojson", _point(10.0, 48.0, place="town", name=TOWN, name__en="Saint Odon"),
        _point(10.001, 48.0, amenity="school", name="Old School", building="school"),
        _point(10.002, 48.0, building="yes", **address), _point(10.003, 48.0, building="yes", **address),
        _point(10.004, 48.0, shop="bakery", name=TOWN, building="yes"),
        _point(10.004, 48.001, highway="bus_stop", name="Long Street"),
    )  # fmt: skip


def test_names_streets_and_towns_of_addresses(town: Path, tmp_path: Path) -> None:
    geoanchor.build(str(town), tmp_path / "i", model="toy", zoom=16)
    index = geoanchor.open(tmp_path / "i")
    assert [(place.name, place.kind) for place in index.places("sankt")] == [(TOWN, "town"), (TOWN, "shop")]
    assert [place.name for place in index.places("SAINT O")] == [TOWN]
    assert [(place.name, place.kind) for place in index.places("long")] == [
        ("Long Street", "street"), ("Long Street", "stop")
    ]  # fmt: skip
    (faraway,) = index.places("faraway")
    assert faraway.kind == "town"
    assert faraway.bounds.west == pytest.approx(10.002)
    assert faraway.bounds.east == pytest.approx(10.0032)
    found = index.search("building near sankt odon", k=3)
    assert found.query.region is not None
    assert len(index.search("building near sankt odon", k=3, literal=True).query.parts) == 1
    assert index.search("building near sankt odon", literal=True).query.region is None


def test_names_follow_their_source(town: Path, tmp_path: Path) -> None:
    other = _file(tmp_path / "other.geojson", _point(11.0, 48.0, place="village", name="Other", building="yes"))
    folder = tmp_path / "i"
    geoanchor.build([str(town), str(other)], folder, model="toy", zoom=16)
    compact(folder)
    assert [place.name for place in geoanchor.open(folder).places("o")][:2] == ["Other", "Old School"]
    _file(town, _point(10.0, 48.0, place="town", name="Renamed", building="yes"))
    geoanchor.build(str(town), folder, model="toy", zoom=16)
    assert [place.name for place in geoanchor.open(folder).places("ren")] == ["Renamed"]
    assert not geoanchor.open(folder).places("sankt")
    remove(folder, [str(other)])
    assert [name.name for name in read_names(folder)] == ["Renamed"]
    assert [finding for finding in doctor(folder) if finding.level == "error"] == []


class Named:
    """As much of a source as names need."""

    uri = "town"

    def __init__(self, *names: str) -> None:
        self._names = names

    def named(self) -> list[Feature]:
        return [Feature(name, shapely.Point(10, 48), {"place": "town", "name": name}) for name in self._names]


def test_reading_a_part_of_a_source_keeps_the_names_of_the_rest(tmp_path: Path) -> None:
    for keep, left in ((False, ["A"]), (True, ["A", "B"]), (False, ["B"])):
        refresh_names(tmp_path, [Named(left[-1])], keep=keep)  # type: ignore[list-item]
        assert [name.name for name in read_names(tmp_path)] == left


def test_an_index_without_names_opens_and_reads_texts(painted_index: Path) -> None:
    assert not (painted_index / "names.arrow").exists()
    index = geoanchor.open(painted_index)
    assert index.places("a") == ()
    assert index.parse("school near Krems").query is not None
    assert index.suggest() == index.suggest()


@pytest.mark.parametrize(
    ("file", "zoom", "text", "name"),
    [
        ("osm/krems.osm.gz", 15, "school near Krems", "Krems"),
        ("osm/monaco.osm.pbf", 16, "boats at Port Hercule", "Port Hercule de Monaco"),
        ("banepa/osm.geojson", 17, "school at Banepa Bazaar", "Banepa"),
    ],
)
def test_names_of_real_extracts(shared_data: Path, tmp_path: Path, file: str, zoom: int, text: str, name: str) -> None:
    geoanchor.build(str(shared_data / file), tmp_path / "i", model="toy", zoom=zoom)
    index = geoanchor.open(tmp_path / "i")
    place = next(chip.place for chip in index.parse(text).chips if chip.kind == "place")
    assert place is not None
    assert place.name == name
    found = index.search(text, k=50)
    assert 0 < found.total < len(index) or file.startswith("banepa")
    serving = Serving.open(tmp_path / "i", index.manifest)
    texts = suggestions(serving, Gazetteer.of(serving), 16)
    assert len(texts) >= 4
    assert all(index.parse(suggested).query is not None for suggested in texts)
    # Of these are offered only those that the model knows.
    assert set(index.suggest(6)) <= {text for text in texts if index.search(text).answer.verdict == "found"}
    if "monaco" in file:
        assert {"Place du Casino", "Casino de Monte Carlo"} <= {place.name for place in index.places("casino", 9)}
        assert index.parse("casino").query == geoanchor.Query(parts=[{"kind": "text", "text": "casino"}])
