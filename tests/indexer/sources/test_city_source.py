"""`city:...` as a source."""

from __future__ import annotations

import pytest

from geoanchor.errors import UsageError
from geoanchor.tiling import Bounds
from indexer.sources.city import open_city
from indexer.sources.registry import SourceOptions, open_source


def small() -> Bounds:
    lng, lat = open_city("city:7", SourceOptions()).features.extent.center
    return Bounds(lng - 0.002, lat - 0.002, lng + 0.002, lat + 0.002)


def test_the_name_leads_to_tiles_of_both_layers() -> None:
    aerial = open_source("city:7", SourceOptions(within=small()))
    drawn = open_source("city:7", SourceOptions(within=small(), layer="map"))
    assert (aerial.layer, drawn.layer, aerial.zoom) == ("aerial", "map", 17)
    refs, mapped = list(aerial.plan()), list(drawn.plan())
    assert [r.tile for r in refs] == [r.tile for r in mapped]
    image = aerial.read(refs[0])
    assert image.pixels.shape == (256, 256, 3)
    assert image.caption
    assert len({r.id for r in refs + mapped}) == len(refs) * 2


def test_the_default_extent_is_the_town() -> None:
    assert 540 <= len(list(open_city("city:11", SourceOptions()).plan())) <= 640


def test_country_and_date_make_other_pictures() -> None:
    names = ("city:7", "city:7@1", "city:7/B", "city:7/B@1", "city:8")
    ids = []
    for name in names:
        extent = open_city(name, SourceOptions()).features.extent
        ids.append(next(iter(open_city(name, SourceOptions(within=extent, zoom=14)).plan())).id)
    assert len(set(ids)) == len(names)


@pytest.mark.parametrize("name", ["city:", "city:seven", "city:7/D", "city:7@2", "city:7/A@x", "city:-1"])
def test_wrong_names_are_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(UsageError, match=r"city|country|dates"):
        open_city(name, SourceOptions())


def test_there_is_no_ground_layer() -> None:
    with pytest.raises(UsageError, match="aerial and map"):
        open_city("city:7", SourceOptions(layer="ground"))
