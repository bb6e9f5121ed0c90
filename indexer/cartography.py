"""What a map shows: OpenStreetMap tags to cartographic classes, the same for every style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Stage(IntEnum):
    """When a class is drawn; later covers earlier."""

    GROUND = 0
    WATER = 1
    STRUCTURE = 2
    BUILDING = 3
    BARRIER = 4
    WAY = 5
    POINT = 6


@dataclass(frozen=True, slots=True)
class MapClass:
    """One kind of thing on a map.

    Attributes:
        name: what a style names it by.
        stage: when it is drawn.
        rank: order within the stage; higher covers lower.
    """

    name: str
    stage: Stage
    rank: int


_AREAS: dict[Stage, dict[str, str]] = {
    Stage.GROUND: {
        "residential": "landuse=residential|garages",
        "commercial": "landuse=commercial amenity=marketplace",
        "retail": "landuse=retail",
        "industrial": "landuse=industrial|port|container_terminal|railway man_made=works|wastewater_plant|water_works "
        "power=substation",
        "military": "landuse=military",
        "education": "landuse=education|religious amenity=school|university|college|kindergarten|hospital|clinic",
        "aerodrome": "aeroway=aerodrome|heliport",
        "farmland": "landuse=farmland|greenhouse_horticulture",
        "farmyard": "landuse=farmyard",
        "orchard": "landuse=orchard|vineyard|plant_nursery",
        "allotments": "landuse=allotments",
        "grass": "landuse=grass|meadow|village_green|recreation_ground|greenfield|flowerbed natural=grassland|fell "
        "leisure=garden|common",
        "forest": "landuse=forest natural=wood",
        "scrub": "natural=scrub|shrubbery|tundra",
        "heath": "natural=heath",
        "wetland": "natural=wetland|mud",
        "sand": "natural=beach|sand|shoal landuse=beach leisure=beach_resort",
        "rock": "natural=bare_rock|scree|shingle|rock|stone|cliff landuse=quarry natural=glacier",
        "construction": "landuse=construction|brownfield|landfill",
        "park": "leisure=park|nature_reserve|dog_park|miniature_golf|bandstand",
        "cemetery": "landuse=cemetery amenity=grave_yard",
        "golf": "leisure=golf_course golf=fairway|green|tee|rough",
        "sport": "leisure=stadium|sports_centre|horse_riding|ice_rink|sports_hall|water_park tourism=zoo|theme_park",
        "camp": "tourism=camp_site|caravan_site|picnic_site",
        "playground": "leisure=playground|schoolyard|outdoor_seating",
        "pitch": "leisure=pitch|track|fitness_station",
        "parking": "amenity=parking|bicycle_parking|motorcycle_parking|bus_station|fuel landuse=depot",
        "plaza": "highway=pedestrian|footway|service|living_street|residential|path|platform|steps|corridor|services|"
        "rest_area|cycleway|unclassified|track place=square public_transport=platform railway=platform",
        "apron": "aeroway=apron|helipad",
        "solar": "power=plant",
    },
    Stage.WATER: {
        "water": "natural=water|bay|strait|spring place=sea|ocean waterway=riverbank|dock|river|canal|stream "
        "landuse=reservoir|basin|salt_pond leisure=swimming_pool amenity=fountain",
    },
    Stage.STRUCTURE: {
        "pier": "man_made=pier|breakwater|groyne|bridge|quay waterway=dam|weir",
        "runway": "aeroway=runway|taxiway",
    },
    Stage.BUILDING: {
        "tank": "man_made=storage_tank|silo|gasometer|water_tower|tower|chimney",
        "panel": "power=generator",
        "building": "building=* building:part=* aeroway=terminal|hangar",
    },
}

_LINES: dict[Stage, dict[str, str]] = {
    Stage.WATER: {
        "stream": "waterway=stream|ditch|drain|brook|tidal_channel",
        "canal": "waterway=canal",
        "river": "waterway=river",
    },
    Stage.STRUCTURE: {
        "pier_line": "man_made=pier|breakwater|groyne|quay waterway=dam|weir",
        "taxiway": "aeroway=taxiway",
        "runway_line": "aeroway=runway",
    },
    Stage.BARRIER: {
        "hedge": "barrier=hedge natural=tree_row",
        "wall": "barrier=wall|city_wall|retaining_wall|fence|guard_rail",
        "cliff": "natural=cliff",
        "power_line": "power=line|minor_line",
    },
    Stage.WAY: {
        "track": "highway=track|bridleway|raceway|via_ferrata leisure=track",
        "path": "highway=footway|path|steps|cycleway|corridor|platform",
        "pedestrian": "highway=pedestrian",
        "service": "highway=service",
        "residential_road": "highway=residential|unclassified|living_street|road|busway",
        "tertiary": "highway=tertiary|tertiary_link",
        "secondary": "highway=secondary|secondary_link",
        "primary": "highway=primary|primary_link",
        "link": "highway=motorway_link|trunk_link",
        "trunk": "highway=trunk",
        "motorway": "highway=motorway",
        "aerialway": "aerialway=*",
        "tram": "railway=tram|light_rail|monorail|miniature|funicular|narrow_gauge",
        "rail": "railway=rail|subway|preserved",
    },
}

_POINTS: dict[Stage, dict[str, str]] = {
    Stage.POINT: {
        "tree": "natural=tree",
        "mast": "man_made=mast|tower|chimney|water_tower|windmill|lighthouse|silo|storage_tank power=tower|pole",
    },
}


def _index(table: Mapping[Stage, Mapping[str, str]]) -> dict[tuple[str, str], MapClass]:
    found: dict[tuple[str, str], MapClass] = {}
    for stage, classes in table.items():
        for rank, (name, selectors) in enumerate(classes.items()):
            for selector in selectors.split():
                key, _, values = selector.partition("=")
                found |= {(key, value): MapClass(name, stage, rank) for value in values.split("|")}
    return found


_BY_DIMENSION = tuple(_index(table) for table in (_POINTS, _LINES, _AREAS))
_KEYS = tuple(frozenset(key for key, _ in table) for table in _BY_DIMENSION)
_UNDERGROUND = ("location", "parking")
"""Keys that say so of a thing."""
_OUT_OF_USE = ("abandoned", "disused")


def classify(tags: Mapping[str, str], dimension: int) -> MapClass | None:
    """The class a feature is drawn as, None where maps do not show it.

    Where several tags name a class, the one drawn last wins: a school that is one building is a building.

    Args:
        tags: OpenStreetMap keys and values.
        dimension: of the geometry: 0 points, 1 lines, 2 areas.
    """
    table, keys = _BY_DIMENSION[dimension], _KEYS[dimension]
    best: MapClass | None = None
    for key in keys & tags.keys():
        value = tags[key]
        found = table.get((key, value)) or (table.get((key, "*")) if value != "no" else None)
        if found and (best is None or (found.stage, found.rank) > (best.stage, best.rank)):
            best = found
    if best and lies_underground(tags):
        return None
    # A building out of use still stands.
    if best and best.stage != Stage.BUILDING and any(tags.get(key) == "yes" for key in _OUT_OF_USE):
        return None
    return best


def lies_underground(tags: Mapping[str, str]) -> bool:
    """Whether neither a map nor a picture shows the thing; a tunnel maps show."""
    return any(tags.get(key) == "underground" for key in _UNDERGROUND)


MAP_CLASSES: frozenset[str] = frozenset(found.name for table in _BY_DIMENSION for found in table.values())
"""Every class name a style may speak of."""
