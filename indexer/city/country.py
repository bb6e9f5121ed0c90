"""What differs from country to country: where it lies, how its streets run and what stands along them."""

from __future__ import annotations

from dataclasses import dataclass

from geoanchor.errors import UsageError


@dataclass(frozen=True, slots=True)
class Country:
    """Building habits.

    Attributes:
        name: "A", "B" or "C".
        lat: degrees; lngs: range of longitudes, degrees.
        cell: side of the arterial lattice, metres; jitter: how far its nodes stray, metres; bend: of its edges, metres.
        core, inner, outer, rural: what a cell of that ring may hold; repeated names are likelier.
        lot: (narrowest, widest) frontage of a detached house; setback: from the street, metres.
        house: (least, most) depth of a house; storeys: (least, most) of blocks in town.
        lanes: width of a residential street, metres; trees: share of street tree places taken; pools: per garden.
    """

    name: str
    lat: float
    lngs: tuple[float, float]
    cell: float
    jitter: float
    bend: float
    core: tuple[str, ...]
    inner: tuple[str, ...]
    outer: tuple[str, ...]
    rural: tuple[str, ...]
    lot: tuple[float, float]
    setback: float
    house: tuple[float, float]
    storeys: tuple[int, int]
    lanes: float
    trees: float
    pools: float


COUNTRIES = {
    "A": Country(
        "A", 48.2, (3.0, 23.0), 420.0, 55.0, 22.0,
        ("perimeter", "oldtown", "perimeter", "oldtown", "retail"),
        ("terraces", "perimeter", "towers", "terraces", "works", "commons"),
        ("suburb", "culdesac", "terraces", "suburb", "works", "towers", "village"),
        ("fields", "forest", "fields", "village", "fields"),
        (15.0, 22.0), 6.0, (9.0, 12.0), (4, 6), 7.0, 0.55, 0.04,
    ),
    "B": Country(
        "B", 41.4, (-98.0, -80.0), 420.0, 4.0, 0.0,
        ("downtown", "downtown", "retail", "downtown", "towers"),
        ("suburb", "suburb", "retail", "works", "terraces", "commons"),
        ("suburb", "culdesac", "suburb", "culdesac", "works", "retail"),
        ("fields", "fields", "fields", "forest", "culdesac"),
        (19.0, 27.0), 9.0, (11.0, 15.0), (3, 12), 10.0, 0.4, 0.22,
    ),
    "C": Country(
        "C", 36.8, (30.0, 58.0), 420.0, 30.0, 34.0,
        ("oldtown", "oldtown", "perimeter", "oldtown"),
        ("perimeter", "towers", "oldtown", "perimeter", "towers", "commons"),
        ("towers", "village", "perimeter", "works", "terraces", "village"),
        ("fields", "scrub", "fields", "scrub", "village"),
        (12.0, 18.0), 2.5, (10.0, 14.0), (3, 8), 6.0, 0.22, 0.10,
    ),
}  # fmt: skip


def country(name: str) -> Country:
    """The habits of a country by name; raises UsageError for an unknown one."""
    if name not in COUNTRIES:
        raise UsageError(f"no country {name!r} in the procedural city; countries: {', '.join(COUNTRIES)}")
    return COUNTRIES[name]
