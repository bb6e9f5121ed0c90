"""Judged pairs told as changes: cause, sentence, outline, facts of the place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoanchor.change import Change, Review
from geoanchor.count import rounded
from geoanchor.protocols import Judgement, RowIds
from geoanchor.query import row_fields
from geoanchor.tiling import Bounds
from retrieval.causes import Differences, diagnose, differences, kinds
from retrieval.outline import outline
from retrieval.pairs import NO_MAP, pair_id
from retrieval.serving import Serving
from retrieval.survey import Survey

_NOWHERE = frozenset({"shifted", "cloud or no data", "agrees", "not enough structure"})
"""Causes that concern no part of a tile more than another."""
_SHOWN = ("tile", "bounds", "lng", "lat", "cell", "acquired")
"""What of its picture a change tells."""


def tell(
    serving: Serving,
    survey: Survey,
    at: RowIds,
    judged: Judgement,
    percentile: NDArray[np.float64],
    nodata: Mapping[str, float | None],
    gap: NDArray[np.float64],
    settled: Mapping[int, Review],
) -> Iterator[Change]:
    """Changes for some pairs, in their order, each put together only when it is asked for; rank counts from 1.

    Args:
        at: (n,) places of the pairs in the survey. judged: n pairs. percentile: of the survey's pairs.
        nodata: by id of the row, of either side. gap: (n,) share of their ground that counted for nothing.
        settled: reviews by place in the survey.
    """
    found, pairs = differences(judged), survey.pairs.take(at)
    aerials, maps = (serving.facts(rows) for rows in (pairs.aerials, np.maximum(pairs.maps, 0)))
    own_m = (survey.offset[at] - survey.expected(at)) * survey.sides_m[at] * (1, -1)
    whole_m, lies = survey.offset_m[at], survey.informative & survey.peaked
    for i, place in enumerate(at.tolist()):
        aerial, map_id = aerials[i], None if pairs.maps[i] == NO_MAP else str(maps[i]["id"])
        mismatch, informative = float(survey.mismatch[place]), bool(survey.informative[place])
        told = diagnose(
            found, i, mismatch=mismatch, informative=informative,
            nodata=(nodata.get(aerial["id"]) or 0.0, nodata.get(map_id or "") or 0.0),
            gap=float(gap[i]),
            moved_m=(float(own_m[i, 0]), float(own_m[i, 1])) if survey.moved[place] else None,
        )  # fmt: skip
        fields = row_fields(aerial)
        drawn = fields if map_id is None else row_fields(maps[i])
        yield Change(
            id=pair_id(map_id, aerial["id"]),
            rank=i + 1,
            mismatch=round(mismatch, 4),
            percentile=round(float(percentile[place]), 1),
            cause=told.cause,
            reason=told.reason,
            informative=informative,
            offset_m=(rounded(float(whole_m[i, 0]), 2), rounded(float(whole_m[i, 1]), 2)) if lies[place] else None,
            map_id=map_id,
            aerial_id=aerial["id"],
            attribution=_credits(fields, drawn),
            review=settled.get(place),
            **{name: fields[name] for name in _SHOWN},
            **({} if told.cause in _NOWHERE else _where(found, i, drawn["bounds"])),  # Cells are of its frame.
        )


def _credits(*sides: Mapping[str, Any]) -> str:
    return "; ".join(dict.fromkeys(side["attribution"] for side in sides if side["attribution"]))


def _where(found: Differences, at: int, bounds: Bounds) -> dict[str, Any]:
    shape, share = outline(found.against[at], bounds)
    return {
        "picture_only": kinds(found.picture_only[at]),
        "map_only": kinds(found.map_only[at]),
        "outline": shape,
        "disagreeing": round(share, 4),
    }
