"""What is not in a picture or a map is no change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from drawn_town import TILES, TOWN, finder_of, with_block
from structured import CELL_PX, CELLS, Drawing, GridEncoder, index_of

from geoanchor.image import PAPER, TileImage
from geoanchor.manifest import read_manifest
from geoanchor.protocols import TileRef
from retrieval.matching import RowMatcher
from retrieval.mismatch import ChangeFinder
from retrieval.serving import Serving


def test_missing_data_is_a_cause(tmp_path: Path) -> None:
    ground = {TILES[0]: with_block(TOWN[TILES[0]], 0, 0, 0, 14)}
    folder = index_of(
        tmp_path / "i", Drawing(ground, "aerial", nodata=0.45), Drawing({TILES[0]: TOWN[TILES[0]]}, "map")
    )
    (change,) = finder_of(folder).find().changes
    assert (change.cause, change.reason) == ("cloud or no data", "45.0 % of the picture is cloud or has no data")


@dataclass
class Collared(Drawing):
    """Pictures that are black from a column on, and say nothing of it."""

    collar: int = CELLS

    def read(self, ref: TileRef) -> TileImage:
        image = super().read(ref)
        image.pixels[:, self.collar * CELL_PX :] = 0
        return image


def test_the_collar_of_an_orthophoto_speaks_for_nothing(tmp_path: Path) -> None:
    """Nothing declares it. What it hides is no change, what lies beside it is one, and a picture that is hardly there
    is said to be so."""
    ground = TOWN | {TILES[1]: with_block(TOWN[TILES[1]], 3, 12, 2)}
    maps = {tile: TOWN[tile] for tile in TILES[:6]}
    half, whole = ({tile: ground[tile] for tile in some} for some in (TILES[:2], TILES[2:5]))
    hardly = Collared({TILES[5]: with_block(TOWN[TILES[5]], 3, 12, 0, 5)}, "aerial", "hardly", collar=4)
    folder = index_of(
        tmp_path / "i", Collared(half, "aerial", "half", collar=13), Drawing(whole, "aerial"), hardly,
        Drawing(maps, "map"),
    )  # fmt: skip
    told = {change.bounds: change for change in finder_of(folder).find(everything=True).changes}
    hidden, beside, gone = (told[TILES[at].bounds] for at in (0, 1, 5))
    assert (hidden.cause, hidden.reason) == ("cloud or no data", "35.0 % of the picture is cloud or has no data")
    assert hidden.mismatch < 0.5 * 13 / CELLS < beside.mismatch
    assert beside.cause == "map behind"
    assert "no data" not in beside.reason
    assert (gone.cause, gone.reason) == ("cloud or no data", "80.0 % of the picture is cloud or has no data")
    assert all(told[tile.bounds].cause == "agrees" for tile in TILES[2:5])


@pytest.mark.parametrize("stored", [b"", b"no picture", None])
def test_a_stored_picture_that_cannot_be_seen_has_no_gap(tmp_path: Path, stored: bytes | None) -> None:
    folder = index_of(
        tmp_path / "i", Collared(dict.fromkeys(TILES[:2], TOWN[TILES[0]]), "aerial", collar=13),
        Drawing(dict.fromkeys(TILES[:2], TOWN[TILES[0]]), "map"),
    )  # fmt: skip
    serving = Serving.open(folder, read_manifest(folder))
    matcher = RowMatcher(serving, GridEncoder(), lambda ids: dict.fromkeys(ids, stored) if stored is not None else {})
    rows = serving.layers["aerial"]
    assert (serving.nodata[rows] > 0.3).all()
    gaps = matcher.gaps(rows)
    assert gaps is not None
    assert not gaps.any()
    assert len(ChangeFinder(serving, matcher, lambda _ids, _column: {}).find(everything=True).changes) == 2


def test_a_snapshot_of_before_still_tells_what_was_declared(tmp_path: Path) -> None:
    """It lacks the column by which gaps are looked for."""
    ground = {TILES[0]: with_block(TOWN[TILES[0]], 0, 0, 0, 14)}
    maps = Drawing({TILES[0]: TOWN[TILES[0]]}, "map")
    folder = index_of(tmp_path / "i", Drawing(ground, "aerial", nodata=0.45), maps)
    (rows,) = folder.glob("serving/*/rows.arrow")
    with pa.OSFile(str(rows)) as file:
        table = pa.ipc.open_file(file).read_all().drop_columns(["nodata"])
    with pa.OSFile(str(rows), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    finder = finder_of(folder)
    assert finder._serving.nodata.tolist() == [0, 0]
    assert [change.cause for change in finder.find().changes] == ["cloud or no data"]


def test_no_map_lies_off_however_far_it_may(tmp_path: Path) -> None:
    """A picture without a map is told alike, wherever a map may lie."""
    ground = {TILES[0]: with_block(TOWN[TILES[0]], 3, 1, 1), TILES[1]: TOWN[TILES[1]]}
    folder = index_of(tmp_path / "i", Drawing(ground, "aerial"), Drawing({TILES[1]: TOWN[TILES[1]]}, "map"))
    near, far = (finder_of(folder).find(max_offset=reach).changes for reach in (0.1, 0.5))
    assert [change.cause for change in near] == ["nothing mapped"]
    assert near == far


def test_a_map_without_data_is_no_change(tmp_path: Path) -> None:
    """What a map lacks at its edge must not be read off its filling."""
    maps = {TILES[0]: with_block(TOWN[TILES[0]], 3, 0, 0, 14)}
    folder = index_of(
        tmp_path / "i", Drawing({TILES[0]: TOWN[TILES[0]]}, "aerial", nodata=0.1), Drawing(maps, "map", nodata=0.45)
    )
    (change,) = finder_of(folder).find().changes
    assert (change.cause, change.reason) == ("cloud or no data", "45.0 % of the map has no data")


@dataclass
class Ending(Drawing):
    """Maps that end at a column, in the colour that readers fill in or in white, which nothing declares."""

    end: int = 13
    fill: tuple[int, int, int] = PAPER

    def read(self, ref: TileRef) -> TileImage:
        image = super().read(ref)
        image.pixels[:, self.end * CELL_PX :] = self.fill
        return image


@pytest.mark.parametrize(("fill", "nodata"), [(PAPER, 0.35), ((255, 255, 255), 0.0)])
def test_beyond_the_edge_of_a_map_nothing_is_judged(tmp_path: Path, fill: tuple[int, int, int], nodata: float) -> None:
    """Where a map ends the picture shows what it does not, which is no change; what has changed on this side is one."""
    maps = {tile: TOWN[tile] for tile in TILES[:6]}
    ground = maps | {TILES[1]: with_block(TOWN[TILES[1]], 3, 12, 2)}
    ending, whole = ({tile: maps[tile] for tile in some} for some in (TILES[:2], TILES[2:6]))
    folder = index_of(
        tmp_path / "i", Drawing(ground, "aerial"), Drawing(whole, "map"),
        Ending(ending, "map", "ending", nodata=nodata, fill=fill),
    )  # fmt: skip
    told = {change.bounds: change for change in finder_of(folder).find(everything=True).changes}
    ended, changed = (told[TILES[at].bounds] for at in (0, 1))
    assert (ended.cause, ended.reason) == ("cloud or no data", "35.0 % of the map has no data")
    assert ended.mismatch < 0.5 * 13 / CELLS < changed.mismatch
    assert changed.cause == "map behind"
    assert all(told[tile.bounds].cause == "agrees" for tile in TILES[2:6])
