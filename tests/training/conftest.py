"""What tests of training share: towns, which take longer to plan than a small run takes to learn from them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from geoanchor.feature import FeatureSource
from indexer.city.city import City
from training.places import Place


@pytest.fixture(autouse=True, scope="session")
def _towns_are_planned_once() -> Iterator[None]:
    """A city says the same whatever was asked before (tests/indexer/city), so several runs may look at one."""
    town, opened = cache(City), Place.open

    def shared(place: Place) -> FeatureSource:
        return opened(place) if place.file else town(place.number, place.country)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Place, "open", shared)
        yield
