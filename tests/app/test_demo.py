import re
from functools import partial
from pathlib import Path

import pytest

import geoanchor
from app import demo, wiring
from geoanchor.settings import Settings


@pytest.fixture(scope="module")
def town() -> tuple[float, float, float, float]:
    """A few tiles in the middle of the town, so that it is quickly drawn."""
    from indexer.city.city import City

    west, south, east, north = City(7, "A", 0).extent
    lng, lat = (west + east) / 2, (south + north) / 2
    return lng - 0.005, lat - 0.004, lng + 0.005, lat + 0.004


def test_one_query_of_each_kind(
    tmp_path: Path, town: tuple[float, float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    builds: list[str] = []

    def build(*arguments: object, **options: object) -> object:
        builds.append(str(options["layer"]))
        return small_build(*arguments, **options)

    small_build = partial(wiring.build, within=geoanchor.Bounds(*town))
    monkeypatch.setattr(demo.wiring, "build", build)
    run = partial(demo.run_demo, tmp_path, 7, "toy", Settings(offline=True), lambda done, total: None, said.append)
    report = run()
    page = report.read_text("utf-8")
    assert page.count("<section") == 9
    assert page.count("data:image/") > 60
    assert "http://" not in re.sub(r"http://www\.w3\.org/2000/svg", "", page)
    assert geoanchor.open(tmp_path / "city.index").manifest.layers.keys() == {"aerial", "map"}
    assert builds == ["aerial", "map"]
    assert run() == report
    assert builds == ["aerial", "map"]
    demo.run_demo(tmp_path, 7, "toy:other", Settings(offline=True), lambda done, total: None, said.append)
    assert builds == ["aerial", "map"] * 2
