"""Random queries of every shape, the same for a seed: what goes in as JSON must mean the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from geoanchor.query import Hit, Query
from geoanchor.tiling import Bounds

WORDS = (
    "red",
    "green",
    "blue by white",
    "white",
    "green next to red",
    "blue within 300 m of green",
    "école",
    "naïve 赤",
)


def generated_queries(hits: Sequence[Hit], count: int = 200, seed: int = 0) -> list[Query]:
    """Valid queries about an index that has these rows; each survives a round trip through JSON unchanged."""
    dice = Random(seed)
    queries = [Query.model_validate(_query(dice, [hit for hit in hits if hit.lng is not None])) for _ in range(count)]
    assert all(Query.model_validate_json(query.model_dump_json()) == query for query in queries)
    return queries


def _query(dice: Random, hits: Sequence[Hit]) -> dict[str, Any]:
    query: dict[str, Any] = {"parts": [_part(dice, hits, 1.0)]}
    query["parts"] += [_part(dice, hits, dice.choice((-0.5, 0.3, 1.0, 2.5))) for _ in range(dice.choice((0, 0, 1, 2)))]
    query |= {"k": dice.choice((1, 3, 10, 40)), "offset": dice.choice((0, 0, 0, 2, 7))}
    query |= {
        "relations": dice.random() < 0.7,
        "tags": dice.random() < 0.7,
        "suppress_m": dice.choice((0.0, 0.0, 400.0)),
    }
    query |= {"min_probability": dice.choice((0.0, 0.0, 0.2, 0.9))}
    if dice.random() < 0.5:
        query["region"] = _region(dice, dice.choice(hits))
    if dice.random() < 0.3:
        query["layer"] = dice.choice(("aerial", "map"))
    if dice.random() < 0.15:
        since = datetime(2014, 1, 1, tzinfo=UTC) + timedelta(days=dice.randrange(3000), microseconds=dice.randrange(9))
        query |= {"since": since.isoformat(), "until": (since + timedelta(days=900)).isoformat()}
    return query


def _part(dice: Random, hits: Sequence[Hit], weight: float) -> dict[str, Any]:
    hit = dice.choice(hits)
    match dice.choice(("text", "text", "text", "point", "like", "image")):
        case "text":
            return {"kind": "text", "text": dice.choice(WORDS), "weight": weight}
        case "point":
            lng, lat = hit.lng or 0.0, hit.lat or 0.0
            return {"kind": "point", "lng": lng + dice.gauss(0, 0.01), "lat": lat, "weight": weight}
        case "like":
            return {"kind": "like", "id": hit.id, "weight": weight}
        case _:
            return {"kind": "image", "layer": dice.choice(("aerial", "map")), "data": _picture(dice), "weight": weight}


def _picture(dice: Random) -> bytes:
    colour = [dice.randrange(256) for _ in range(3)]
    buffer = BytesIO()
    Image.fromarray(np.full((24, 24, 3), colour, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _region(dice: Random, hit: Hit) -> dict[str, Any]:
    lng, lat, size = hit.lng or 0.0, hit.lat or 0.0, dice.choice((0.004, 0.01, 0.05))
    west, south, east, north = lng - size, lat - size, lng + size, lat + size
    match dice.choice(("bounds", "polygon", "radius", "cells")):
        case "bounds":
            return {"kind": "bounds", "bounds": Bounds(west, south, east, north)}
        case "polygon":
            ring = [[west, south], [east, south], [lng, north], [west, south]]
            return {"kind": "polygon", "geometry": {"type": "Polygon", "coordinates": [ring]}}
        case "radius":
            return {"kind": "radius", "lng": lng, "lat": lat, "radius_m": size * 1e5}
        case _:
            return {"kind": "cells", "cells": [hit.cell]}
