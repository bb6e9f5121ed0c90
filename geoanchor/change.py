"""Places where map and imagery disagree: what `changes` answers; one JSON for Python, command line, REST and page."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from geoanchor.tiling import Bounds

Cause = Literal[
    "map behind", "imagery behind", "shifted", "nothing mapped", "cloud or no data", "unclear", "agrees",
    "not enough structure",
]  # fmt: skip
"""Why map and imagery disagree; the last two say that they do not, or that nobody can tell."""
SILENT: frozenset[Cause] = frozenset({"agrees", "not enough structure"})
"""Causes that are no reason to look at a place."""
MAX_OFFSET = 0.1
"""How far off a map is looked for, as a share of a tile's side, unless told otherwise."""
Decision = Literal["accept", "reject", "open"]
"""What a reviewer says of a change; "open" takes back what was said before."""
LONGEST_NOTE = 2000
"""Characters of a reviewer's note."""


class _Frozen(BaseModel):
    # A number that is none is no JSON.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Review(_Frozen):
    """A reviewer's decision on one change.

    Attributes:
        change: its id. map_hash, aerial_hash: of what was looked at, so that a newer picture or map is a new question.
        decision: "accept" (the map needs work here), "reject" (it does not) or "open" (nothing is decided).
        time: UTC.
    """

    change: str
    map_id: str | None
    aerial_id: str
    map_hash: str = ""
    aerial_hash: str = ""
    decision: Decision
    note: str = Field(default="", max_length=LONGEST_NOTE)
    time: datetime


class Change(_Frozen):
    """One map picture and the aerial picture of the same ground.

    Attributes:
        id: of this pair of rows. rank: 1 is the worst.
        mismatch: 0..1, higher is worse. percentile: share of the region's pairs that are no worse, 0..100.
        cause, reason: why, as one of a few words and in one sentence.
        informative: whether the map says enough for a picture to contradict it.
        picture_only, map_only: class of structure -> share of the tile where only one side shows it.
        disagreeing: share of the tile. outline: that part as a GeoJSON geometry in the map's frame, or None.
        offset_m: metres that the map lies too far east and too far north, None where that cannot be told.
        map_id: None where there is no map picture at all. acquired: when the aerial picture was taken.
        attribution: of both pictures.
        review: the reviewer's decision, if there is one.
    """

    id: str
    rank: int
    mismatch: float
    percentile: float
    cause: Cause
    reason: str
    informative: bool
    picture_only: dict[str, float] = Field(default_factory=dict)
    map_only: dict[str, float] = Field(default_factory=dict)
    disagreeing: float = 0.0
    outline: dict[str, Any] | None = None
    offset_m: tuple[float, float] | None = None
    map_id: str | None
    aerial_id: str
    tile: tuple[int, int, int] | None = None
    bounds: Bounds
    lng: float
    lat: float
    cell: str | None = None
    acquired: datetime | None = None
    attribution: str = ""
    review: Review | None = None


class Registration(_Frozen):
    """How the whole map of a region lies against the imagery.

    Attributes:
        east_m, north_m: metres that the map lies too far east and too far north; the median of `pairs` pairs.
        spread_m: median distance of a pair's own offset from that.
        shifted: whether that is more than the pairs' own scatter explains. reason: one sentence.

    Where the pairs scatter too far to say either, there is none.
    """

    east_m: float
    north_m: float
    spread_m: float
    pairs: int
    shifted: bool
    reason: str


class HeatCell(_Frozen):
    """Mismatch in one H3 cell: mean and largest over its pairs."""

    cell: str
    mean: float
    max: float
    pairs: int


class ChangeList(_Frozen):
    """The worst places of a region, worst first.

    Attributes:
        pairs: pairs compared; unmapped: aerial pictures without any map picture; reviewed: left out as decided.
        places: how many there are to list, `changes` being the worst of them; None where too many to be counted.
        registration: of the region, None where nothing could be told. heat: by H3 cell.
        note: why fewer than k came back, or that there are more, or "".
    """

    changes: tuple[Change, ...]
    pairs: int
    unmapped: int = 0
    reviewed: int = 0
    places: int | None = None
    registration: Registration | None = None
    heat: tuple[HeatCell, ...] = ()
    note: str = ""
