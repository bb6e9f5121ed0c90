"""The plain nouns of a place: which tags make a stadium a stadium, and what people call it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["landmark", "group", "cover", "line", "water", "extra"]
"""landmark: named by itself; group: many of a kind, told by how densely they stand; cover: what the ground is; line:
roads and rails; water: anything wet; extra: what a feature is besides its main concept (a bridge is also a road)."""


@dataclass(frozen=True, slots=True)
class Noun:
    """A word for a concept; `mass` words take no article and have no plural."""

    singular: str
    plural: str
    mass: bool = False


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing a tile may show.

    Attributes:
        name: stable key; nouns: synonyms, the plainest first; kind: how it is told.
        weight: how much people care, 0..10; rank: lower wins where a feature fits several.
    """

    name: str
    kind: Kind
    weight: float
    nouns: tuple[Noun, ...]
    rank: int


_TABLE = """
stadium          landmark 10 stadium, sports stadium, arena, sports arena | leisure=stadium building=stadium,grandstand
airport          landmark 9  airport, airfield, aerodrome | aeroway=aerodrome
terminal         landmark 9  airport terminal, terminal building, passenger terminal | aeroway=terminal
hangar           landmark 7  hangar, aircraft hangar | aeroway=hangar building=hangar
runway           landmark 9  runway, landing strip, airport runway, airstrip | aeroway=runway
taxiway          line     4  taxiway | aeroway=taxiway
apron            cover    6  aircraft apron, airport apron, aircraft stand | aeroway=apron
helipad          landmark 6  helipad, helicopter pad | aeroway=helipad,heliport
school           landmark 8  school, school building, school campus | amenity=school,kindergarten building=school,kindergarten landuse=education
university       landmark 8  university, university campus, college | amenity=university,college building=university,college
hospital         landmark 8  hospital, medical centre, clinic/clinics | amenity=hospital,clinic building=hospital
church           landmark 7  church/churches, chapel, parish church/parish churches | building=church,chapel,cathedral amenity=place_of_worship&religion=christian
temple           landmark 7  temple, place of worship/places of worship, shrine | building=temple,mosque,synagogue,shrine amenity=place_of_worship
station          landmark 8  railway station, train station, station | railway=station building=train_station
bus_station      landmark 6  bus station, bus terminal | amenity=bus_station
fuel             landmark 5  petrol station, gas station, filling station | amenity=fuel
port             landmark 9  port, harbour, docks/docks, container port | landuse=port industrial=port harbour=yes
container_yard   landmark 5  container yard, container depot, storage yard, container park | landuse=container_terminal
marina           landmark 8  marina, yacht harbour, boat harbour | leisure=marina
pier             landmark 6  pier, jetty/jetties, quay, wharf/wharves | man_made=pier,quay,breakwater,groyne
castle           landmark 7  castle, fortress/fortresses, palace | historic=castle,fort building=castle,palace
museum           landmark 4  museum | tourism=museum building=museum
townhall         landmark 4  town hall, city hall | amenity=townhall building=townhall
hotel            landmark 3  hotel | tourism=hotel building=hotel
zoo              landmark 7  zoo, animal park | tourism=zoo
theme_park       landmark 7  theme park, amusement park, fairground | tourism=theme_park
campsite         landmark 5  campsite, caravan site, camping ground | tourism=camp_site,caravan_site
solar            landmark 7  ~solar panels, solar roof, solar array, photovoltaic panel | generator:source=solar plant:source=solar
wind_turbine     landmark 7  wind turbine, windmill | generator:source=wind man_made=windmill
power_station    landmark 6  power station, power plant, electricity works/electricity works | power=plant
substation       landmark 4  electrical substation, transformer station | power=substation
storage_tank     landmark 6  storage tank, oil tank, round tank | man_made=storage_tank,gasometer
silo             landmark 5  silo, grain silo | man_made=silo building=silo
water_tower      landmark 5  water tower | man_made=water_tower building=water_tower
chimney          landmark 4  chimney, smokestack | man_made=chimney
lighthouse       landmark 6  lighthouse | man_made=lighthouse
wastewater       landmark 6  sewage works/sewage works, wastewater plant, water treatment plant | man_made=wastewater_plant,water_works
dam              landmark 6  dam, weir | waterway=dam,weir
prison           landmark 5  prison, jail | amenity=prison
military         landmark 5  military base, barracks/barracks | landuse=military
cemetery         landmark 6  cemetery/cemeteries, graveyard, burial ground | landuse=cemetery amenity=grave_yard
golf             landmark 7  golf course, golf links/golf links | leisure=golf_course golf=fairway,green
tennis           landmark 5  tennis court, court for tennis/courts for tennis | sport=tennis&leisure=pitch
basketball       landmark 5  basketball court, basketball pitch/basketball pitches | sport=basketball&leisure=pitch
baseball         landmark 5  baseball diamond, baseball field, ball park | sport=baseball&leisure=pitch
athletics        landmark 6  running track, athletics track, track field | leisure=track
football         landmark 5  football pitch/football pitches, soccer field, football field, playing field | sport=soccer&leisure=pitch sport=football&leisure=pitch
pitch            landmark 4  sports pitch/sports pitches, sports field, playing field | leisure=pitch
sports_centre    landmark 6  sports centre, sports ground, leisure centre | leisure=sports_centre,sports_hall building=sports_hall
playground       landmark 4  playground, children's playground, play area | leisure=playground
pool             landmark 5  swimming pool, pool, outdoor pool | leisure=swimming_pool leisure=water_park
car_park         landmark 5  car park, parking lot, parking area | amenity=parking
parking_garage   landmark 4  multi-storey car park, parking garage | building=parking
square           landmark 4  square, plaza, town square, pedestrian square | place=square highway=pedestrian&area=yes
fountain         landmark 2  fountain | amenity=fountain
quarry           landmark 6  quarry/quarries, open pit, gravel pit | landuse=quarry
construction     landmark 5  construction site, building site | landuse=construction building=construction
landfill         landmark 4  landfill, rubbish tip, waste dump | landuse=landfill
greenhouse       group    5  greenhouse, glasshouse | building=greenhouse landuse=greenhouse_horticulture
tower_block      group    7  tower block, high-rise building, skyscraper, high-rise | building=skyscraper,tower_block building=apartments&tall building=office&tall building=residential&tall building=yes&tall
apartments       group    5  apartment block, block of flats/blocks of flats, apartment building, residential block | building=apartments,residential,dormitory
terrace          group    5  terraced house, row house, terraced home, townhouse | building=terrace building=house&house=terraced building=house&building:type=terrace building=terraced_house
semi             group    4  semi-detached house, semi-detached home | building=semidetached_house
detached         group    4  detached house, single-family home, detached home | building=detached,bungalow,villa
house            group    4  house, home, dwelling, family house | building=house,cabin
warehouse        group    6  warehouse, distribution building, storage hall, logistics shed | building=warehouse
factory          group    6  factory/factories, industrial building, industrial hall, manufacturing plant | building=industrial,factory,manufacture man_made=works
shop             group    5  shop, retail building, store, supermarket | building=retail,supermarket,kiosk amenity=marketplace shop=mall,supermarket
office           group    5  office building, office block, commercial building | building=office,commercial,public,government,civic
farm             group    5  farm building, barn, farm | building=farm,barn,farm_auxiliary,cowshed,stable,sty
garage           group    2  garage, lock-up garage, parking garage | building=garage,garages,carport
small_building   group    3  building, house, small building, home | building=yes&small_building
building         group    3  building, structure | building=*
farmland         cover    5  ~farmland, field, ~agricultural land, crop field, ~cropland | landuse=farmland
orchard          cover    6  orchard, fruit orchard, ~fruit trees | landuse=orchard
vineyard         cover    6  vineyard, ~vines | landuse=vineyard
allotments       cover    5  ~allotments, ~garden plots, ~allotment gardens | landuse=allotments
forest           cover    5  ~woodland, forest, wood, ~dense trees | landuse=forest natural=wood
scrub            cover    4  ~scrub, ~bushes, ~shrubland | natural=scrub,heath,shrubbery
grass            cover    3  ~grass, meadow, ~grassland, lawn, green field | landuse=grass,meadow,village_green natural=grassland,fell
recreation       cover    4  recreation ground, playing field | landuse=recreation_ground
park             cover    6  park, public park, green space, city park | leisure=park
garden           cover    3  garden | leisure=garden
nature_reserve   cover    3  nature reserve | leisure=nature_reserve
beach            cover    8  beach/beaches, sandy beach/sandy beaches, sandy shore | natural=beach leisure=beach_resort
sand             cover    5  ~sand, ~bare sand, ~dunes | natural=sand,dune
rock             cover    4  ~bare rock, ~rocky ground, ~rocks | natural=bare_rock,scree,rock,shingle natural=cliff
glacier          cover    7  glacier, ~ice | natural=glacier
wetland          cover    6  wetland, marsh/marshes, swamp | natural=wetland,mud
brownfield       cover    3  ~waste ground, ~brownfield land, ~vacant land | landuse=brownfield,greenfield
industrial       cover    5  industrial area, industrial estate, industrial zone, industrial site | landuse=industrial
commercial       cover    4  commercial area, business district, business park | landuse=commercial
retail           cover    4  shopping area, retail park, shopping centre | landuse=retail
residential      cover    3  residential area, housing area, neighbourhood, housing estate | landuse=residential
farmyard         cover    4  farmyard, farm | landuse=farmyard
rail_yard        cover    5  railway yard, rail yard, marshalling yard | landuse=railway
sea              water    8  ~sea, ~ocean, ~open water | natural=water&water=sea natural=bay,strait place=sea,ocean
river            water    8  river, waterway, wide river | waterway=river,riverbank natural=water&water=river
canal            water    7  canal, waterway, channel | waterway=canal,dock natural=water&water=canal
stream           water    4  stream, brook, creek, small watercourse | waterway=stream,tidal_channel natural=water&water=stream
ditch            water    2  ditch/ditches, drain, drainage channel | waterway=ditch,drain
reservoir        water    7  reservoir, storage lake | landuse=reservoir natural=water&water=reservoir
pond             water    6  pond, small lake, pool of water/pools of water | natural=water&water=pond natural=water&small_water landuse=basin natural=water&water=basin
lake             water    7  lake, body of water/bodies of water, lakeside water | natural=water
railway          line     7  railway, railway line, train line, rail track, railroad | railway=rail,preserved,narrow_gauge
tram             line     4  tram line, tramway, light rail line | railway=tram,light_rail,monorail
funicular        line     5  cable car, aerial lift, ski lift | aerialway=cable_car,gondola,chair_lift railway=funicular
motorway         line     7  motorway, highway, freeway, expressway | highway=motorway,trunk
main_road        line     3  main road, major road, busy road, through road | highway=primary,secondary
link             line     2  slip road, motorway ramp, access ramp | highway=motorway_link,trunk_link
road             line     1.5 road, street, residential street, side street | highway=tertiary,residential,unclassified,living_street,primary_link,secondary_link,tertiary_link
pedestrian       line     2  pedestrian street, pedestrian zone | highway=pedestrian
track            line     1.2 track, farm track, dirt road, field track | highway=track
path             line     0.6 path, footpath, walkway, trail | highway=footway,path,cycleway,steps,bridleway
service          line     0.6 service road, driveway, access road | highway=service
power_line       line     3  power line, electricity line, overhead line, ~pylons | power=line,minor_line
tree_row         line     2  row of trees/rows of trees, tree line, avenue of trees/avenues of trees | natural=tree_row
tree             group    0.8 tree, single tree | natural=tree
roundabout       extra    6  roundabout, traffic circle, rotary/rotaries | junction=roundabout,circular
bridge           extra    7  bridge, river crossing, road bridge | bridge=yes,viaduct,movable,cantilever man_made=bridge
"""  # noqa: E501


def _noun(text: str) -> Noun:
    mass = text.startswith("~")
    singular, _, plural = text.lstrip("~").partition("/")
    return Noun(singular, plural or _plural(singular), mass)


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


@dataclass(frozen=True, slots=True)
class _Selector:
    concept: Concept
    condition: str
    """"", "key=value", or one of "tall", "small_building", "small_water"."""


def _read(table: str) -> tuple[dict[str, Concept], dict[tuple[str, str], list[_Selector]]]:
    concepts: dict[str, Concept] = {}
    index: dict[tuple[str, str], list[_Selector]] = {}
    for rank, line in enumerate(table.strip().splitlines()):
        words, _, selectors = line.partition(" | ")
        name, kind, weight, nouns = words.split(maxsplit=3)
        synonyms = tuple(_noun(noun.strip()) for noun in nouns.split(","))
        concept = Concept(name, kind, float(weight), synonyms, rank)  # type: ignore[arg-type]
        concepts[name] = concept
        for selector in selectors.split():
            first, _, condition = selector.partition("&")
            key, _, values = first.partition("=")
            for value in values.split(","):
                index.setdefault((key, value), []).append(_Selector(concept, condition))
    return concepts, index


CONCEPTS, _INDEX = _read(_TABLE)
"""Every concept by name."""
_KEYS = frozenset(key for key, _ in _INDEX)
_SIZES_M2 = {"small_building": (40.0, 220.0), "small_water": (0.0, 8_000.0)}
"""Condition -> smallest and largest area: a plain building of a house's size may be called one, a small lake a pond."""
_TALL_LEVELS = 8
_TALL_M = 25.0


def concepts_of(tags: Mapping[str, str], area_m2: float = 0.0) -> tuple[Concept, ...]:
    """What a feature is: its main concept, if it has one, and what it is besides.

    Args:
        tags: OpenStreetMap keys and values.
        area_m2: of the whole feature, 0 for lines and points.
    """
    main: Concept | None = None
    extras = []
    for key in sorted(_KEYS & tags.keys()):
        value = tags[key]
        for selector in _selectors(key, value):
            if not _holds(selector.condition, tags, area_m2):
                continue
            if selector.concept.kind == "extra":
                extras.append(selector.concept)
            elif main is None or selector.concept.rank < main.rank:
                main = selector.concept
    extras = list({concept.name: concept for concept in extras}.values())
    return (main, *extras) if main else tuple(extras)


def tags_of(concept: Concept) -> tuple[str, ...]:
    """Tags that make a feature a concept, "a=b&c=d" for both together; not those that need a size as well."""
    return tuple(
        f"{key}={value}" + (f"&{selector.condition}" if selector.condition else "")
        for (key, value), selectors in _INDEX.items()
        for selector in selectors
        if selector.concept is concept and value != "*" and ("=" in selector.condition or not selector.condition)
    )


def _selectors(key: str, value: str) -> list[_Selector]:
    if value == "no":
        return []
    return _INDEX.get((key, value), []) + _INDEX.get((key, "*"), [])


def _holds(condition: str, tags: Mapping[str, str], area_m2: float) -> bool:
    if not condition:
        return True
    if condition == "tall":
        return _number(tags, "building:levels") >= _TALL_LEVELS or _number(tags, "height") >= _TALL_M
    if condition in _SIZES_M2:
        smallest, largest = _SIZES_M2[condition]
        return smallest < area_m2 < largest
    key, _, value = condition.partition("=")
    return tags.get(key) == value


def _number(tags: Mapping[str, str], key: str) -> float:
    try:
        return float(tags.get(key, "0").removesuffix(" m"))
    except ValueError:
        return 0.0
