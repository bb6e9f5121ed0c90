"""Which ground material an area or a line is drawn with."""

from __future__ import annotations

from collections.abc import Mapping

Rules = tuple[tuple[str, Mapping[str, str]], ...]

# (key, {value: material}); the first key that a feature has and whose value is listed decides.
AREAS: Rules = (
    ("leisure", {"swimming_pool": "pool", "pitch": "turf", "park": "grass", "garden": "grass", "playground": "sand",
                 "golf_course": "grass", "sports_centre": "grass", "stadium": "yard", "recreation_ground": "grass",
                 "nature_reserve": "", "marina": "", "track": "tartan", "common": "grass", "dog_park": "grass"}),
    ("natural", {"water": "water", "wood": "forest", "scrub": "scrub", "heath": "scrub", "grassland": "grass",
                 "beach": "sand", "sand": "sand", "bare_rock": "concrete", "scree": "concrete", "wetland": "scrub",
                 "bay": "water", "shingle": "ballast", "fell": "scrub", "glacier": "concrete"}),
    ("waterway", {"riverbank": "water", "dock": "water", "river": "water", "canal": "water"}),
    ("amenity", {"parking": "parking", "school": "garden", "grave_yard": "grass", "university": "garden",
                 "college": "garden", "kindergarten": "garden", "hospital": "garden", "place_of_worship": "paved",
                 "marketplace": "paved", "bus_station": "asphalt", "fuel": "asphalt"}),
    ("aeroway", {"apron": "apron", "helipad": "concrete", "aerodrome": "grass", "runway": "runway",
    "taxiway": "runway"}), ("man_made", {"pier": "concrete", "breakwater": "concrete", "wastewater_plant": "grass",
    "bridge": "concrete"}), ("power", {"plant": "scrub", "substation": "ballast"}),
    ("railway", {"platform": "concrete"}),
    ("landuse", {"grass": "grass", "meadow": "grass", "forest": "forest", "residential": "garden", "commercial": "yard",
                 "retail": "yard", "industrial": "yard", "railway": "ballast", "port": "concrete", "farmland": "field",
                 "farmyard": "soil", "orchard": "grass", "vineyard": "field", "allotments": "garden",
                 "cemetery": "grass", "recreation_ground": "grass", "village_green": "grass", "construction": "soil",
                 "brownfield": "soil", "quarry": "soil", "basin": "water", "reservoir": "water",
                 "container_terminal": "concrete", "greenhouse_horticulture": "concrete", "plant_nursery": "field",
                     "landfill": "soil", "garages": "yard"}),
    ("highway", {"pedestrian": "paved", "footway": "paved", "service": "asphalt", "platform": "concrete"}),
    ("place", {"square": "paved"}),
)  # fmt: skip

# How far up an area lies where several overlap; within a level the larger lies lower.
LEVELS: Mapping[str, int] = {
    "water": 2, "pool": 3, "turf": 3, "parking": 2, "apron": 2, "concrete": 2, "paved": 2, "sand": 2, "forest": 1,
    "tartan": 3, "runway": 3, "ballast": 1,
}  # fmt: skip

ROADS: Mapping[str, tuple[float, str]] = {
    "motorway": (12.5, "asphalt"), "trunk": (11.0, "asphalt"), "primary": (11.0, "asphalt"), "secondary": (9.0,
    "asphalt"), "tertiary": (8.0, "asphalt"), "unclassified": (5.5, "asphalt"), "residential": (6.2, "asphalt"),
    "living_street": (5.0, "asphalt"), "service": (4.0, "asphalt"), "pedestrian": (5.0, "paved"), "track": (2.8,
    "track"), "footway": (1.8, "path"), "path": (1.3, "path"), "cycleway": (2.2, "path"), "steps": (2.0, "path"),
    "bridleway": (2.0, "track"), "motorway_link": (6.0, "asphalt"), "trunk_link": (6.0, "asphalt"),
    "primary_link": (5.5, "asphalt"), "secondary_link": (5.5, "asphalt"), "tertiary_link": (5.0, "asphalt"),
    "road": (5.5, "asphalt"), "construction": (6.0, "soil"),
}  # fmt: skip
"""Width in metres and material by highway class."""

CARRIAGEWAYS = ("motorway", "trunk", "primary", "secondary")
"""Classes with painted lanes."""
KERBED = ("primary", "secondary", "tertiary", "residential", "living_street")
"""Classes with pavements where people live."""
STREAMS: Mapping[str, float] = {"river": 18.0, "canal": 12.0, "stream": 2.5, "ditch": 1.4, "drain": 1.6}
"""Width in metres of a waterway known only by its line."""


def area_material(tags: Mapping[str, str]) -> str:
    """Material of an area, or "" where nothing is drawn for it."""
    for key, values in AREAS:
        material = values.get(tags.get(key, ""))
        if material is not None:
            return material
    return ""


def pitch_material(tags: Mapping[str, str]) -> str:
    """Material of a sports ground."""
    sport = tags.get("sport", "")
    if "tennis" in sport:
        return "clay" if tags.get("surface") == "clay" else "hard"
    if "basketball" in sport or "volleyball" in sport:
        return "tartan"
    return "turf"
