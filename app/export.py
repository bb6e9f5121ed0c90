"""All rows of an index as GeoParquet or GeoJSON."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoanchor.manifest import read_manifest
from geoanchor.tiling import Bounds, cell_name

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

_FACTS = (
    "id", "layer", "z", "x", "y", "west", "south", "east", "north", "lng", "lat", "cell", "gsd_m", "acquired", "source",
    "crs", "attribution", "tags", "caption", "nodata",
)  # fmt: skip


def to_geoparquet(folder: Path) -> bytes:
    """Facts, outlines (EPSG:4326) and one column of vectors per space; `embeddings:FILE` reads it back."""
    buffer = BytesIO()
    _frame(folder, vectors=True).to_parquet(buffer, index=False)
    return buffer.getvalue()


def to_geojson(folder: Path) -> str:
    """Facts and outlines as a FeatureCollection (lng lat); no vectors."""
    return str(_frame(folder, vectors=False).to_json(drop_id=True, ensure_ascii=False))


def _frame(folder: Path, *, vectors: bool) -> GeoDataFrame:
    """Rows with their outline, their point where they have none, or nothing."""
    import geopandas

    from retrieval.index.lance import LanceStore, vector_column

    store = LanceStore.open_sealed(folder, read_manifest(folder))
    columns = [vector_column(space) for space in store.spaces] if vectors else []
    table = store.columns([*_FACTS, *columns])
    shapes = _shapes({name: table[name].to_numpy() for name in ("west", "south", "east", "north", "lng", "lat")})
    frame = table.to_pandas()
    if not vectors:
        # JSON knows neither arrays nor times, and whoever reads it may round a number as large as a cell's.
        frame["cell"] = [cell_name(cell) if cell else None for cell in table["cell"].to_pylist()]
        frame["tags"] = frame["tags"].map(list)
        frame["acquired"] = [time.isoformat() if time else None for time in table["acquired"].to_pylist()]
    return geopandas.GeoDataFrame(frame, geometry=shapes, crs="EPSG:4326")


def _shapes(columns: dict[str, Any]) -> Any:
    """Outlines (n,); a box that crosses the antimeridian becomes two, a row without box its point."""
    import numpy as np
    import shapely

    west, south, east, north = (columns[name].astype(float) for name in ("west", "south", "east", "north"))
    lng, lat = columns["lng"].astype(float), columns["lat"].astype(float)
    shapes = np.full(len(west), None, object)
    boxed, placed = ~np.isnan(west), ~np.isnan(lng)
    crossing = boxed & (west > east)
    shapes[placed] = shapely.points(lng[placed], lat[placed])
    whole = boxed & ~crossing
    shapes[whole] = shapely.box(west[whole], south[whole], east[whole], north[whole])
    for row in np.flatnonzero(crossing):
        box = Bounds(west[row], south[row], east[row], north[row])
        shapes[row] = shapely.MultiPolygon([shapely.box(*part) for part in box.parts()])
    return shapes
