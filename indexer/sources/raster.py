"""Georeferenced rasters as tiles of the web-mercator grid: one file, or a folder of them as one mosaic."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoanchor.errors import BadInput, UsageError
from geoanchor.image import Layer, TileImage, filling
from geoanchor.picture import Stretch, interleaved
from geoanchor.protocols import TileRef
from geoanchor.tiling import Bounds, Tile, zoom_for_gsd
from indexer.sources.georeference import Georeference
from indexer.sources.grid import in_box
from indexer.sources.identity import joint_stamp, source_name
from indexer.sources.registry import SourceOptions
from indexer.sources.scene import Rgba, Scene, open_scene
from indexer.sources.scenereader import Reader

NOT_PLACED = "has no georeference; assign one with gdal_edit -a_srs -a_ullr"
_SAMPLED_SCENES = 16
"""Scenes of a mosaic that are looked at for the range of values."""


class RasterTiles:
    """A TileSource of scenes cut into tiles; where scenes overlap, the newest that has data wins.

    Every scene of one data type is stretched alike, so that neighbouring tiles match. A file that is no usable raster
    is planned under its own name, and reading it raises BadInput: the build counts it and the mosaic goes on.

    Args:
        uri: as named on the command line; name: short and unique, part of every id.
        scenes: by the name of their file, all with a georeference; of scenes of one date the first wins.
        broken: file name -> why it cannot be used.
        reader: one that several sources share; None makes an own one.
    """

    attribution = ""

    def __init__(
        self,
        uri: str,
        name: str,
        scenes: Mapping[str, Scene],
        broken: Mapping[str, BadInput],
        options: SourceOptions,
        reader: Reader | None = None,
    ) -> None:
        self.uri = uri
        self.layer: Layer = options.layer or "aerial"
        self._prefix = f"{self.layer}/{name}"
        self._scenes = tuple(sorted(scenes.values(), key=_age))
        self._broken = {f"{self._prefix}/{file}": error for file, error in broken.items()}
        self._options = options
        self._gsd_m = [_placed(scene).gsd_m for scene in self._scenes]
        middle = sorted(range(len(self._gsd_m)), key=self._gsd_m.__getitem__)[len(self._gsd_m) // 2]
        lat = _placed(self._scenes[middle]).center[1]
        self.zoom = zoom_for_gsd(self._gsd_m[middle], lat, options.size_px) if options.zoom is None else options.zoom
        self._reader = reader or Reader()
        self._boxes = shapely.STRtree([_area(_placed(scene).bounds) for scene in self._scenes])
        self._stretches: dict[tuple[str, int], Stretch] = {}
        self._lock = threading.Lock()

    def plan(self) -> Iterable[TileRef]:
        """Tiles that a scene truly covers, by z, x, y; then the files that cannot be used."""
        over: dict[Tile, list[int]] = {}
        for number, scene in enumerate(self._scenes):
            for tile in _placed(scene).tiles(self.zoom, self._options.size_px):
                over.setdefault(tile, []).append(number)
        within = self._options.within
        stamp = cache(self._stamp)
        for tile in sorted(over, key=lambda tile: (tile.z, tile.x, tile.y)):
            if within is None or in_box(tile.center, within):
                yield TileRef(f"{self._prefix}/{tile}", tile=tile, stamp=stamp(tuple(over[tile])))
        for name, error in self._broken.items():
            yield TileRef(name, key=error.where)

    def read(self, ref: TileRef) -> TileImage:
        """One tile; `filling` where there is no data. Raises BadInput for an unusable file or damaged pixels."""
        if ref.tile is None:
            error = self._broken.get(ref.id)
            raise error or BadInput(ref.key or ref.id, "is not part of this source; plan it anew")
        size_px = self._options.size_px
        canvas = np.zeros((4, size_px, size_px), np.uint8)
        first: int | None = None
        failure: BadInput | None = None
        for number in self._near(ref.tile):
            try:
                painted = self._paint(canvas, number, ref.tile)
            except BadInput as error:
                failure = failure or error
                continue
            if painted and first is None:
                first = number
            if canvas[3].all():
                break
        # A damaged scene is passed over where another one covers the tile.
        if first is None and failure is not None:
            raise failure
        return self._image(ref, canvas, first)

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def _image(self, ref: TileRef, canvas: Rgba, first: int | None) -> TileImage:
        scene, empty = self._scenes[first or 0], canvas[3] == 0
        canvas[:3, empty] = np.array(filling(self.layer), np.uint8)[:, None]
        return TileImage(
            id=ref.id,
            pixels=interleaved(canvas),
            layer=self.layer,
            tile=ref.tile,
            gsd_m=self._gsd_m[first or 0],
            crs=_placed(scene).crs_name,
            acquired=scene.acquired,
            source=scene.path,
            nodata=float(np.mean(empty)),
        )

    def _paint(self, canvas: Rgba, number: int, tile: Tile) -> bool:
        """Fill what is still empty from one scene; whether that was anything. Alpha is 0 or 255 afterwards."""
        scene = self._scenes[number]
        stretch = self._stretch(scene) if scene.is_stretched else None
        rgba = self._reader.tile(scene, tile, self._options.size_px, stretch)
        if rgba is None:
            return False
        fill = (rgba[3] >= 128) & (canvas[3] == 0)
        np.copyto(canvas[:3], rgba[:3], where=fill)
        canvas[3][fill] = 255
        return bool(fill.any())

    def _near(self, tile: Tile) -> list[int]:
        return sorted(int(number) for number in self._boxes.query(_area(tile.bounds)))

    def _stretch(self, scene: Scene) -> Stretch:
        kind = (scene.dtype, len(scene.bands))
        with self._lock:
            if kind not in self._stretches:
                alike = [other for other in self._scenes if (other.dtype, len(other.bands)) == kind]
                every = -(-len(alike) // _SAMPLED_SCENES)
                self._stretches[kind] = Stretch.of(self._samples(alike[::every], len(scene.bands)))
            return self._stretches[kind]

    def _samples(self, scenes: Iterable[Scene], bands: int) -> NDArray[np.float32]:
        """Values (bands, n) of all scenes that can be read."""
        samples = [np.empty((bands, 0), np.float32)]
        for scene in scenes:
            with contextlib.suppress(BadInput):
                samples.append(self._reader.sample(scene))
        return np.concatenate(samples, axis=1)

    def _stamp(self, numbers: tuple[int, ...]) -> str:
        chosen = [self._scenes[number] for number in numbers]
        # One stretch serves all scenes, so that a change of any of them changes every tile.
        if any(scene.is_stretched for scene in chosen):
            chosen = list(self._scenes)
        return joint_stamp([*(scene.stamp for scene in chosen), f"{self._options.bands} {self._options.size_px}"])


def open_raster(uri: str, options: SourceOptions, reader: Reader | None = None) -> RasterTiles:
    """One georeferenced raster file.

    Args:
        reader: one that several sources share, since each keeps files open.

    Raises UsageError when there is no such file or it lacks a band asked for, BadInput when it is no raster or says
    nothing of where it lies.
    """
    path = Path(uri)
    if not path.exists():
        raise UsageError(f"{uri}: no such file")
    check_bands(options)
    scene = open_scene(path, options.bands, offline=options.settings.offline)
    if scene.placed is None:
        raise BadInput(uri, f"{NOT_PLACED}, or index the folder it lies in to use it as a plain picture")
    return RasterTiles(uri, source_name(path), {path.name: scene}, {}, options, reader)


def check_bands(options: SourceOptions) -> None:
    """Raise UsageError unless one band or three are asked for."""
    if options.bands is not None and len(options.bands) not in (1, 3):
        raise UsageError(f"{len(options.bands)} bands make no colour: name one (grey) or three (red, green, blue)")


def _age(scene: Scene) -> float:
    """Orders scenes from new to old, those of unknown date last."""
    return -scene.acquired.timestamp() if scene.acquired else math.inf


def _placed(scene: Scene) -> Georeference:
    if scene.placed is None:
        raise BadInput(scene.path, NOT_PLACED)
    return scene.placed


def _area(bounds: Bounds) -> BaseGeometry:
    """The same box as a geometry, cut in two at the antimeridian."""
    west, south, east, north = bounds
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.union(shapely.box(west, south, 180.0, north), shapely.box(-180.0, south, east, north))
