"""One self-contained HTML page of changes: map, imagery, heat map and cause of each place side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from app.changesheet import headline
from app.heatmap import heat_svg
from app.locator import data_uri
from app.overlay import evidence_png
from geoanchor import __version__
from geoanchor.change import MAX_OFFSET, Change
from geoanchor.tiling import to_mercator, unwrap_lng

if TYPE_CHECKING:
    from app.answers import Changes
    from app.index import Index


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One change, to be shown.

    Attributes:
        map, imagery, heat: data URIs, "" where there is no picture. outline: SVG path data in a box of 100 x 100.
    """

    change: Change
    map: str
    imagery: str
    heat: str
    outline: str


def changes_page(index: Index, found: Changes, max_offset: float = MAX_OFFSET) -> str:
    """The page. Everything that comes from data is escaped.

    Args:
        max_offset: with which the changes were found.
    """
    ids = {name for change in found for name in (change.map_id, change.aerial_id) if name}
    pictures = {name: data_uri(data) for name, data in index.thumbnails(sorted(ids)).items()}
    # A shifted map is shown as it lies; any other where it suits the picture best.
    shown = [
        ShownChange(
            change=change,
            map=pictures.get(change.map_id or "", ""),
            imagery=pictures.get(change.aerial_id, ""),
            heat=data_uri(evidence_png(index.evidence(change.id, 0.0 if change.cause == "shifted" else max_offset))),
            outline=outline_path(change),
        )
        for change in found
    ]
    return str(
        _template().render(
            folder=str(index.folder), headline=headline(found.answer), answer=found.answer, changes=shown,
            heat=heat_svg(found.answer.heat, list(found), index.mosaic), style=_style(),
            attributions=index.attributions, footer=f"GeoAnchor {__version__}",
        )
    )  # fmt: skip


def outline_path(change: Change) -> str:
    """SVG path data of the disagreeing part, the picture being a box of 100 x 100; "" where there is none."""
    if change.outline is None:
        return ""
    middle = change.bounds.center[0]

    def placed(lng: float, lat: float) -> tuple[float, float]:
        return to_mercator(unwrap_lng(lng, middle), lat)

    west, south = placed(change.bounds.west, change.bounds.south)
    east, north = placed(change.bounds.east, change.bounds.north)
    coordinates = change.outline["coordinates"]
    polygons = [coordinates] if change.outline["type"] == "Polygon" else coordinates
    rings = [[placed(lng, lat) for lng, lat in ring] for polygon in polygons for ring in polygon]
    width, height = east - west, north - south
    return " ".join(
        "M" + "L".join(f"{100 * (x - west) / width:.2f} {100 * (north - y) / height:.2f}" for x, y in ring) + "Z"
        for ring in rings
    )


@cache
def _template() -> Any:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("app").joinpath("templates/changes.html").read_text("utf-8"))


def _style() -> str:
    return files("app").joinpath("templates/changes.css").read_text("utf-8")
