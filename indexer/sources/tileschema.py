"""What the layers of common vector-tile schemas mean in OpenStreetMap's words.

Schemas: OpenMapTiles 3 (https://openmaptiles.org/schema), Protomaps 3 and 4 (https://docs.protomaps.com/basemaps/layers)
and Shortbread 1 (https://shortbread-tiles.org/schema). Tiles that carry OpenStreetMap's own keys pass through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Theme = Literal["building", "road", "water", "land", "aeroway", "place"]

THEMES: Mapping[str, Theme] = {
    # OpenMapTiles
    "building": "building", "transportation": "road", "water": "water", "waterway": "water", "landuse": "land",
    "landcover": "land", "park": "land", "aeroway": "aeroway", "poi": "place",
    # Protomaps (and its landuse, landcover, water)
    "buildings": "building", "roads": "road", "transit": "road", "natural": "land", "physical_line": "water",
    "pois": "place",
    # Shortbread (and its buildings, pois)
    "streets": "road", "street_polygons": "road", "ocean": "water", "water_polygons": "water", "water_lines": "water",
    "dam_polygons": "water", "pier_polygons": "water", "pier_lines": "water", "land": "land", "sites": "land",
    "bridges": "water", "ferries": "road", "aerialways": "road",
}  # fmt: skip
"""Layer name -> what its features are; features of other layers (labels, boundaries) are not drawn."""

_KINDS = ("kind_detail", "pmap:kind_detail", "kind", "pmap:kind", "subclass", "class")
"""Properties that say what a feature is, the most telling first."""

_OSM_KEYS = (
    "building", "highway", "railway", "waterway", "natural", "landuse", "leisure", "amenity", "aeroway", "man_made",
    "shop", "tourism", "historic", "power", "aerialway",
)  # fmt: skip
_ALSO = ("name", "bridge", "tunnel", "surface", "height", "layer", "religion", "sport")

_ROADS: Mapping[str, str] = {
    # Names that are not OpenStreetMap's own; the others stand for themselves.
    "minor": "residential", "minor_road": "residential", "medium_road": "secondary", "major_road": "primary",
    "street": "residential", "other": "service", "road": "residential", "highway": "motorway",
}  # fmt: skip
_HIGHWAYS = frozenset({
    "motorway", "motorway_link", "trunk", "trunk_link", "primary", "primary_link", "secondary", "secondary_link",
    "tertiary", "tertiary_link", "residential", "unclassified", "living_street", "service", "pedestrian", "track",
    "path", "footway", "cycleway", "bridleway", "steps", "busway", "raceway", "corridor",
})  # fmt: skip
_RAILWAYS = frozenset({"rail", "light_rail", "subway", "tram", "narrow_gauge", "funicular", "monorail"})
_WATERWAYS = frozenset({"river", "stream", "canal", "ditch", "drain", "dam", "weir"})
_LAND: Mapping[str, tuple[str, ...]] = {
    "landuse": (
        "residential", "commercial", "retail", "industrial", "railway", "military", "farmland", "farmyard", "forest",
        "grass", "meadow", "orchard", "vineyard", "allotments", "cemetery", "construction", "quarry", "landfill",
        "brownfield", "greenfield", "recreation_ground", "village_green", "greenhouse_horticulture", "plant_nursery",
        "garages", "basin", "religious",
    ),
    "natural": (
        "wood", "scrub", "heath", "grassland", "wetland", "sand", "beach", "bare_rock", "glacier", "scree", "shingle",
        "fell", "tundra", "mud", "water",
    ),
    "leisure": (
        "park", "garden", "golf_course", "pitch", "playground", "stadium", "sports_centre", "nature_reserve", "marina",
        "track", "dog_park", "swimming_pool", "miniature_golf", "ice_rink",
    ),
    "amenity": (
        "school", "kindergarten", "university", "college", "hospital", "parking", "bicycle_parking", "prison",
        "library", "grave_yard",
    ),
    "tourism": ("zoo", "theme_park", "camp_site", "caravan_site"),
    "aeroway": ("aerodrome", "apron"),
    "man_made": ("pier", "bridge"),
}  # fmt: skip
_KEY_OF = {value: key for key, values in _LAND.items() for value in values}
_OTHER_LAND: Mapping[str, tuple[str, str]] = {
    "farm": ("landuse", "farmland"), "crop": ("landuse", "farmland"), "trees": ("natural", "wood"),
    "rock": ("natural", "bare_rock"), "ice": ("natural", "glacier"), "barren": ("natural", "bare_rock"),
    "urban_area": ("landuse", "residential"), "neighbourhood": ("landuse", "residential"),
    "suburb": ("landuse", "residential"), "quarter": ("landuse", "residential"),
    "national_park": ("leisure", "nature_reserve"), "protected_area": ("leisure", "nature_reserve"),
    "public_park": ("leisure", "park"), "nature_reserve": ("leisure", "nature_reserve"),
    "sports_center": ("leisure", "sports_centre"), "danger_area": ("landuse", "military"),
    "airfield": ("aeroway", "aerodrome"), "bog": ("natural", "wetland"), "marsh": ("natural", "wetland"),
    "swamp": ("natural", "wetland"), "recreation_ground": ("landuse", "recreation_ground"),
}  # fmt: skip


def osm_tags(layer: str, properties: Mapping[str, object], *, areal: bool) -> dict[str, str]:
    """OpenStreetMap tags of one vector-tile feature, empty where it is nothing that we draw.

    Args:
        layer: name of its layer in the tile.
        properties: as decoded.
        areal: whether its geometry is a polygon.
    """
    theme = THEMES.get(layer)
    own = {key: _text(properties[key]) for key in _OSM_KEYS if properties.get(key) not in (None, "", False, "no")}
    if theme is None and not own:
        return {}
    kinds = [_text(properties[key]) for key in _KINDS if properties.get(key) not in (None, "")]
    tags = own or _tags_of(theme, kinds, areal=areal)
    return tags | _also(properties) if tags else {}


def _tags_of(theme: Theme | None, kinds: list[str], *, areal: bool) -> dict[str, str]:
    if theme == "building":
        return {} if "address" in kinds else {"building": "yes"}
    if theme == "road":
        return _road(kinds, areal=areal)
    if theme == "water":
        return _water(kinds, areal=areal)
    if theme == "aeroway":
        return {"aeroway": kinds[0]} if kinds else {}
    return next(({_key(kind)[0]: _key(kind)[1]} for kind in kinds if _key(kind)[0]), {})


def _key(kind: str) -> tuple[str, str]:
    """Key and value that stand for a kind of land or place, ("", "") where none does."""
    return _OTHER_LAND.get(kind) or (_KEY_OF.get(kind, ""), kind)


def _road(kinds: list[str], *, areal: bool) -> dict[str, str]:
    for kind in kinds:
        if kind in _RAILWAYS:
            return {"railway": kind}
        if kind in ("runway", "taxiway"):
            return {"aeroway": kind}
        if kind == "pier":
            return {"man_made": "pier"}
        highway = _ROADS.get(kind, kind)
        if highway in _HIGHWAYS:
            return {"highway": highway, "area": "yes"} if areal else {"highway": highway}
    return {}


def _water(kinds: list[str], *, areal: bool) -> dict[str, str]:
    if {"pier", "breakwater", "groyne"} & set(kinds):
        return {"man_made": "pier"}
    if "bridge" in kinds:
        return {"man_made": "bridge"}
    if areal:
        kind = next((kind for kind in kinds if kind not in ("water", "ocean")), "")
        return {"natural": "water", "water": kind} if kind else {"natural": "water"}
    return next(({"waterway": kind} for kind in kinds if kind in _WATERWAYS), {})


def _also(properties: Mapping[str, object]) -> dict[str, str]:
    """Names and details that mean the same in every schema, and OpenMapTiles' `brunnel`."""
    tags = {key: _text(properties[key]) for key in _ALSO if properties.get(key) not in (None, "", False)}
    brunnel = properties.get("brunnel")
    if brunnel in ("bridge", "tunnel"):
        tags[str(brunnel)] = "yes"
    return tags


def _text(value: object) -> str:
    return "yes" if value is True else str(value)
