"""Imagery bears the tags of the map of the same ground."""

from __future__ import annotations

import pyarrow as pa

from retrieval.ground import ground_tags

HERE, THERE = (17, 5, 7), (17, 6, 7)


def tags_of(*rows: tuple[tuple[int, int, int] | None, list[str] | None]) -> list[list[str] | None]:
    z, x, y = zip(*(address or (None, None, None) for address, _ in rows), strict=True)
    tags = pa.array([tags for _, tags in rows], pa.list_(pa.string()))
    columns = {name: pa.array(values, pa.int32()) for name, values in (("z", z), ("x", x), ("y", y))}
    found: list[list[str] | None] = ground_tags(pa.table(columns | {"tags": tags})).to_pylist()
    return found


def test_a_bare_tile_bears_the_tags_of_its_ground() -> None:
    found = tags_of((HERE, []), (HERE, ["a=b", "c=d"]), (THERE, None), (THERE, ["e=f"]))
    assert found == [["a=b", "c=d"], ["a=b", "c=d"], ["e=f"], ["e=f"]]


def test_a_tile_s_own_tags_stay_and_of_several_maps_the_first_tells() -> None:
    found = tags_of((HERE, ["a=b"]), (HERE, []), (HERE, ["c=d"]))
    assert found == [["a=b"], ["a=b"], ["c=d"]]


def test_other_ground_other_zooms_and_rows_of_no_tile_say_nothing() -> None:
    rows = [(THERE, []), ((16, 5, 7), None), (None, []), (None, ["g=h"]), (HERE, ["a=b"])]
    assert tags_of(*rows) == [tags for _, tags in rows]
    assert tags_of((HERE, []), (THERE, None)) == [[], None]
