"""Names of the features of a source, kept in the index for its gallery of places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa
import shapely

from geoanchor.errors import IndexCorrupt
from geoanchor.feature import Feature
from geoanchor.places import FILE_NAME, SETTLEMENTS, Name, fold
from geoanchor.protocols import TileSource
from geoanchor.tiling import Bounds, distance_m

_NAME_KEYS = ("name", "name:en", "int_name", "official_name", "short_name", "alt_name", "loc_name")
"""Keys whose values people call a place by; the first that is there is the one shown."""
_KINDS = ("place", "tourism", "historic", "amenity", "leisure", "aeroway", "railway", "natural", "waterway", "landuse",
          "man_made", "office", "shop", "building", "highway")  # fmt: skip
"""Keys that say what a named thing is, the most telling first."""
_UNPLACED = frozenset({"bus_stop", "motorway_junction", "stop", "stop_position", "platform", "traffic_sign", "route"})
"""What is called after a place without being it."""
_RANK = {"street": 70, "building": 80, "shop": 90, "stop": 95}
_RADIUS_M = {
    "country": 20_000.0, "state": 20_000.0, "city": 5_000.0, "municipality": 3_000.0, "town": 2_500.0,
    "island": 2_000.0, "village": 1_200.0, "borough": 1_500.0, "suburb": 1_000.0, "quarter": 800.0,
    "neighbourhood": 600.0, "hamlet": 600.0,
}  # fmt: skip
"""How far "near" reaches from a settlement of this kind, metres."""
_NEAR_M = 400.0
"""How far "near" reaches from the edge of anything else."""
_JOINED_WITHIN_M, _LONG_WITHIN_M = 600.0, 8_000.0
"""Pieces of the same name and kind are one place when no longer than this together; those of long things and of towns
known from addresses, than the second."""
_ADDRESS = "address"
"""Kind of a town that is known from addresses alone, until it is sure that the map has no such place."""
_LONG = frozenset({"street", _ADDRESS, "river", "stream", "canal", "rail", "tram", "coastline"})
_SCHEMA = pa.schema(
    [("key", pa.string()), ("name", pa.string()), ("kind", pa.string()), ("rank", pa.int32()),
     *((number, pa.float64()) for number in ("lng", "lat", "west", "south", "east", "north", "radius_m")),
     ("source", pa.string())]
)  # fmt: skip


@runtime_checkable
class NamedSource(Protocol):
    """A source whose features bear names."""

    def named(self) -> Iterable[Feature]:
        """The features that its pictures are drawn from and whose names are worth finding."""


def refresh_names(folder: Path, sources: Sequence[TileSource], *, keep: bool) -> None:
    """Put the names of some sources into an index; all others stay.

    Args:
        keep: of the same sources, names that are not there any more stay too: only a part of them was read.
    """
    fresh = [name for source in _once(sources) for name in names_of(source.named(), source.uri)]  # type: ignore[attr-defined]
    read = {source.uri for source in sources}
    known = {(name.key, name.kind, name.source): name for name in read_names(folder) if keep or name.source not in read}
    known |= {(name.key, name.kind, name.source): name for name in fresh}
    if known or (folder / FILE_NAME).exists():
        _write(folder, known.values())


def drop_names(folder: Path, uri: str) -> None:
    """Forget the names of a source."""
    if (folder / FILE_NAME).exists():
        _write(folder, [name for name in read_names(folder) if name.source != uri])


def read_names(folder: Path) -> list[Name]:
    """All names of an index, none where it was built without. Raises IndexCorrupt."""
    path = folder / FILE_NAME
    if not path.is_file():
        return []
    try:
        with pa.OSFile(str(path)) as file:
            rows = pa.ipc.open_file(file).read_all().to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise IndexCorrupt(f"{path}: cannot be read ({error}); delete it and index the sources again") from error
    sides = ("west", "south", "east", "north")
    return [Name(bounds=Bounds(*(row.pop(side) for side in sides)), **row) for row in rows]


def names_of(features: Iterable[Feature], source: str) -> list[Name]:
    """Names of features, streets and towns of addresses among them; one entry for each name of a place."""
    pieces: dict[tuple[str, str, tuple[str, ...]], list[Bounds]] = defaultdict(list)
    for feature in features:
        box = Bounds(*map(float, feature.geometry.bounds))
        for kind, calling in _called(feature.tags):
            pieces[calling[0], kind, calling].append(box)
    found: dict[tuple[str, str], Name] = {}
    for (name, kind, calling), boxes in pieces.items():
        box = _joined(boxes, kind)
        for key in dict.fromkeys(map(fold, calling)):
            if (key, kind) not in found or _size_m(box) > _size_m(found[key, kind].bounds):
                found[key, kind] = _name(name, key, kind, box, source)
    mapped = {key for key, kind in found if kind in SETTLEMENTS}
    return [_town(name) for name in found.values() if name.kind != _ADDRESS or name.key not in mapped]


def _once(sources: Sequence[TileSource]) -> list[TileSource]:
    """One source of each URI, of those that know names."""
    return list({source.uri: source for source in sources if isinstance(source, NamedSource)}.values())


def _called(tags: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What a feature is called, and the street and town of its address: kind, names."""
    calling = tuple(part.strip() for key in _NAME_KEYS for part in tags.get(key, "").split(";") if fold(part))
    if calling and "traffic_sign" not in tags:
        yield _kind(tags), tuple(dict.fromkeys(calling))
    for key, kind in (("addr:street", "street"), ("addr:city", _ADDRESS)):
        if fold(tags.get(key, "")):
            yield kind, (tags[key],)


def _kind(tags: Mapping[str, str]) -> str:
    if not _UNPLACED.isdisjoint(tags.values()) or "public_transport" in tags:
        return "stop"
    key = next((key for key in _KINDS if tags.get(key, "no") != "no"), "")
    if key in ("highway", "shop"):
        return "street" if key == "highway" else "shop"
    return "building" if key == "building" and tags[key] == "yes" else tags.get(key, "place")


def _joined(boxes: Sequence[Bounds], kind: str) -> Bounds:
    """One box around the pieces of a name; where they lie too far apart, around those near the one in their middle."""
    reach_m = _LONG_WITHIN_M if kind in _LONG else _JOINED_WITHIN_M
    whole = _union(boxes)
    if _size_m(whole) <= reach_m or len(boxes) == 1:
        return whole
    middle = sorted(boxes, key=lambda box: box.center)[len(boxes) // 2]
    return _union([box for box in boxes if distance_m(*box.center, *middle.center) <= reach_m / 2])


def _union(boxes: Sequence[Bounds]) -> Bounds:
    return Bounds(*map(float, shapely.total_bounds([shapely.box(*box) for box in boxes])))


def _size_m(box: Bounds) -> float:
    return distance_m(box.west, box.south, box.east, box.north)


def _town(name: Name) -> Name:
    if name.kind != _ADDRESS:
        return name
    return _name(name.name, name.key, "town", name.bounds, name.source)


def _name(name: str, key: str, kind: str, box: Bounds, source: str) -> Name:
    lng, lat = box.center
    rank = SETTLEMENTS.index(kind) if kind in SETTLEMENTS else _RANK.get(kind, 50)
    radius_m = max(_RADIUS_M.get(kind, _NEAR_M), _size_m(box) / 2 + _NEAR_M)
    return Name(
        name=name, kind=kind, lng=lng, lat=lat, bounds=box, radius_m=radius_m, key=key, rank=rank, source=source
    )


def _write(folder: Path, names: Iterable[Name]) -> None:
    """Sorted by key, in one step: a reader sees the former file or the new one."""
    ordered = sorted(names, key=lambda name: (name.key, name.rank, name.kind, name.source))
    rows = [name.model_dump(exclude={"bounds"}) | name.bounds._asdict() for name in ordered]
    partial = (folder / FILE_NAME).with_suffix(".part")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist(rows, _SCHEMA).combine_chunks())
    partial.replace(folder / FILE_NAME)
