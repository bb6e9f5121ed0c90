"""One picture by itself, to ask or to judge with: what Pillow knows, and rasters as GIS programs write them."""

from __future__ import annotations

from geoanchor.image import Layer, Pixels
from geoanchor.picture import UnknownTiff, read_rgb
from geoanchor.settings import Settings


def read_picture(data: bytes, where: str, settings: Settings | None = None, layer: Layer = "map") -> Pixels:
    """Pixels (h, w, 3) uint8 of a picture, a TIFF of 16 bits, of floats or of many bands stretched as when indexed.

    Raises BadInput, naming `where`, when it cannot be read or has more pixels than the settings allow.
    """
    settings = settings or Settings()
    try:
        return read_rgb(data, where, settings.max_pixels, layer)
    except UnknownTiff:
        # Here and not above, since opening rasterio takes a while and most pictures do without.
        from indexer.sources.registry import SourceOptions
        from indexer.sources.scenereader import decode_raster

        return decode_raster(data, where, SourceOptions(settings=settings))[0].pixels
