"""What is where, by H3 cell, as GeoJSON: how well each cell suits a query, and where there are any rows at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi import Query as Field
from pydantic import BaseModel

from app.handlers import Handlers
from geoanchor.image import Layer
from geoanchor.query import Query
from geoanchor.tiling import cell_outline
from retrieval.cells import CellRows

Resolution = Annotated[
    int | None, Field(ge=0, le=15, description="of the H3 cells; the finest that gives few enough, if left out")
]


class CellFeature(BaseModel):
    """One H3 cell; properties: cell, rows, mean and best score, heat 0..1 (of the best score, coldest cell 0)."""

    type: Literal["Feature"] = "Feature"
    id: str
    geometry: dict[str, Any]
    properties: dict[str, Any]


class CellFeatures(BaseModel):
    """A FeatureCollection of H3 cells."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[CellFeature]


def routes(handlers: Handlers) -> APIRouter:
    """The operations."""
    router = APIRouter(prefix="/api", tags=["search"])

    @router.post("/heat", response_model=CellFeatures, summary="A Query's scores by H3 cell")
    def heat(query: Query, resolution: Resolution = None) -> CellFeatures:
        """Of all rows that the query's filters let pass; hottest cell first."""
        return _features(handlers.heat(query, resolution))

    @router.get("/coverage", response_model=CellFeatures, summary="Rows by H3 cell")
    def coverage(layer: Layer | None = None, resolution: Resolution = None) -> CellFeatures:
        """Where the index has pictures: no cell, no data."""
        return _features(handlers.index.rows.coverage(layer, resolution))

    return router


def _features(cells: Sequence[CellRows]) -> CellFeatures:
    most = max((cell.best for cell in cells), default=0.0)
    least = min((cell.best for cell in cells), default=0.0)
    span = most - least or 1.0
    return CellFeatures(features=[_feature(cell, (cell.best - least) / span) for cell in cells])


def _feature(cell: CellRows, heat: float) -> CellFeature:
    facts = {
        "cell": cell.cell, "rows": cell.rows, "mean": round(cell.mean, 5), "best": round(cell.best, 5),
        "heat": round(heat, 4),
    }  # fmt: skip
    return CellFeature(id=cell.cell, geometry={"type": "Polygon", "coordinates": [_ring(cell.cell)]}, properties=facts)


def _ring(cell: str) -> list[list[float]]:
    """Closed; a cell on the antimeridian goes on beyond 180 degrees, as map libraries want it."""
    corners = cell_outline(cell)
    far = max(lng for lng, _ in corners) - min(lng for lng, _ in corners) > 180
    ring = [[lng + 360 if far and lng < 0 else lng, lat] for lng, lat in corners]
    return [*ring, ring[0]]
