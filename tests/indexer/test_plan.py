"""What is to be done, decided before any pixel is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoanchor.errors import UsageError
from geoanchor.protocols import TileRef
from geoanchor.tiling import Bounds, Tile, cell_at
from indexer.plan import Origin, Plan, StoredRow, make_plan

AERIAL = Origin("ortho.tif", "aerial", 17)
MAP = Origin("town.osm.pbf", "map", 17)


def plan(refs: list[list[TileRef]], stored: dict[str, StoredRow] | None = None, prune: bool = True) -> Plan:
    return make_plan([AERIAL, MAP][: len(refs)], refs, stored or {}, resolution=10, prune=prune)


def ref(id_: str, number: int | None = None, stamp: str = "1") -> TileRef:
    tile = None if number is None else Tile(17, 70_000 + number % 9, 45_000 + number // 9)
    return TileRef(id_, tile=tile, stamp=stamp)


def row(stamp: str = "1", uri: str = "ortho.tif", zoom: int | None = 17) -> StoredRow:
    return StoredRow(stamp, uri, "aerial", zoom)


@given(st.permutations([ref(f"a{number}", number) for number in range(30)]))
def test_order_is_that_of_the_cells_however_sources_list(refs: list[TileRef]) -> None:
    made = plan([refs, [ref(f"m{number}", number) for number in range(30)]])
    keys = [(task.cell, ("aerial", "map")[task.source], task.ref.id) for task in made.tasks]
    assert keys == sorted(keys)
    assert made.digest == plan([refs[::-1], [ref(f"m{number}", number) for number in range(30)]]).digest


def test_cells_come_from_tiles_or_points_or_not_at_all() -> None:
    tile = Tile(17, 70_000, 45_000)
    refs = [TileRef("p", point=(85.5, 27.6)), TileRef("t", tile=tile), TileRef("n")]
    assert {task.ref.id: task.cell for task in plan([refs]).tasks} == {
        "n": 0, "p": cell_at(85.5, 27.6, 10), "t": tile.cell(10),
    }  # fmt: skip


@given(count=st.integers(1, 50), size=st.integers(1, 12), data=st.data())
def test_a_resumed_build_gets_the_very_same_batches(count: int, size: int, data: st.DataObject) -> None:
    made = plan([[ref(f"a{number}", number) for number in range(count)]])
    batches = list(made.batches(size))
    done = data.draw(st.integers(0, len(batches)))
    assert [task for batch in batches for task in batch] == list(made.tasks)
    assert all(len(batch) == size for batch in batches[:-1])
    assert list(made.batches(size, done)) == batches[done:]


def test_only_what_changed_is_read_and_only_the_own_rows_vanish() -> None:
    stored = {
        "same": row(),
        "changed": row("0"),
        "gone": row(),
        "other zoom": row(zoom=16),
        "other source": row(uri="b.tif"),
    }
    made = plan([[ref("same", 1), ref("changed", 2), ref("new", 3)]], stored)
    assert {(task.ref.id, task.replaces) for task in made.tasks} == {("changed", True), ("new", False)}
    assert made.unchanged == (1,)
    assert made.vanished == (("gone",),)
    assert plan([[ref("same", 1)]], stored, prune=False).vanished == ((),)


def test_of_a_box_what_lies_in_it_vanishes() -> None:
    inside, outside = (replace(row(), point=point) for point in ((12.0, 47.0), (12.2, 47.0)))
    stored = {"in": inside, "out": outside, "nowhere": row(), "another's": replace(inside, uri="b.tif")}
    for west, east in ((11.9, 12.1), (11.9, -179.0)):
        box = Bounds(west, 46.9, east, 47.1)
        made = make_plan([AERIAL], [[ref("new", 3)]], stored, resolution=10, prune=True, within=box)
        assert made.vanished == ((("in",) if east > 0 else ("in", "out")),)
    assert make_plan([AERIAL], [[ref("new", 3)]], stored, resolution=10, prune=False, within=box).vanished == ((),)


def test_wrong_use_is_refused_in_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"town\.osm\.pbf: a comes from ortho\.tif as well"):
        plan([[ref("a", 1)], [ref("a", 1)]])
    with pytest.raises(UsageError, match=r"ortho\.tif: a comes twice"):
        plan([[ref("a", 1), ref("a", 2)]])
    with pytest.raises(UsageError, match="lists no picture"):
        plan([[ref("a", 1)], []])
    with pytest.raises(UsageError, match=r"a is in the index already, from b\.tif"):
        plan([[ref("a", 1, "2")]], {"a": row(uri="b.tif")})
