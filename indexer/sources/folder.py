"""Pictures as they lie on a disk: a folder, a tar or a single file, with whatever is known of where they were taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from geoanchor.count import counted
from geoanchor.errors import BadInput, UsageError
from geoanchor.image import Layer, TileImage, filling
from geoanchor.picture import Picture, decode, measure
from geoanchor.protocols import TileRef, TileSource
from indexer.sources.container import Archive, Container, Entry, Folder
from indexer.sources.georeference import Georeference
from indexer.sources.grid import in_box
from indexer.sources.identity import plain_name, source_name
from indexer.sources.raster import NOT_PLACED, RasterTiles, check_bands
from indexer.sources.registry import PICTURES, SourceOptions
from indexer.sources.scene import Scene, open_scene
from indexer.sources.scenereader import decode_raster
from indexer.sources.sidecar import read_sidecars, sidecars

RASTERS = (".tif", ".tiff", ".vrt", ".jp2")
_VECTORS = (".geojson", ".geojsonl", ".osm", ".osm.pbf", ".osm.gz", ".osm.bz2", ".geoparquet")


class Pictures:
    """A TileSource of whole pictures; each is one row, placed by its sidecars, else by its camera, else nowhere.

    `plan` lists every file that calls itself a picture; reading one that is none raises BadInput. Ids are
    "<layer>/<source>/<path below the source>".

    Args:
        uri: as named on the command line; name: short and unique, part of every id.
        files: where they lie; names: which of the files are pictures.
        base: what names are relative to, where that is not `uri`.
    """

    attribution = ""
    zoom: int | None = None

    def __init__(
        self, uri: str, name: str, files: Container, names: Iterable[str], options: SourceOptions, base: str = ""
    ) -> None:
        self.uri = uri
        self.layer: Layer = options.layer or "aerial"
        self._prefix = f"{self.layer}/{name}"
        self._files = files
        self.names = dict.fromkeys(names)
        self._base = (base or uri).rstrip("/")
        self._options = options
        self._background = filling(self.layer)

    def plan(self) -> Iterable[TileRef]:
        """Every picture by name; with a box asked for, those that lie in it and those that cannot be read."""
        for name in self.names:
            point = None
            if self._options.within is not None:
                try:
                    point = self._point(name)
                except BadInput:
                    pass
                else:
                    if point is None or not in_box(point, self._options.within):
                        continue
            yield TileRef(f"{self._prefix}/{plain_name(name)}", name, stamp=self._stamp(name), point=point)

    def read(self, ref: TileRef) -> TileImage:
        """Decode one picture. Raises BadInput when it, or a sidecar of it, cannot be understood."""
        where, data = self._where(ref.key), self._data(ref.key)
        picture, placed = self._decode(ref.key, where, data)
        return TileImage(
            id=ref.id,
            pixels=picture.pixels,
            layer=self.layer,
            bounds=placed.bounds if placed else None,
            point=None if placed else picture.point,
            gsd_m=placed.gsd_m if placed else None,
            crs=placed.crs_name if placed else None,
            acquired=picture.acquired,
            source=where,
            nodata=picture.nodata,
            encoded=picture.encoded,
        )

    def close(self) -> None:
        """Close the container."""
        self._files.close()

    def _decode(self, name: str, where: str, data: bytes) -> tuple[Picture, Georeference | None]:
        if _suffix(name) in RASTERS:
            return decode_raster(data, where, self._options)
        picture = decode(data, where, self._options.settings.max_pixels, self._background)
        return picture, read_sidecars(name, self._files.entries, self._files.read, picture.size)

    def _point(self, name: str) -> tuple[float, float] | None:
        if _suffix(name) in RASTERS:
            placed = decode_raster(self._data(name), self._where(name), self._options)[1]
            return placed.center if placed else None
        size, point = measure(self._data(name), self._where(name), self._options.settings.max_pixels)
        placed = read_sidecars(name, self._files.entries, self._files.read, size)
        return placed.center if placed else point

    def _data(self, name: str) -> bytes:
        entry, where = self._files.entries.get(name), self._where(name)
        if entry is None:
            raise BadInput(where, "is not part of this source; plan it anew")
        if entry.broken:
            raise BadInput(where, entry.broken)
        # No picture within the limit is larger: 16 bits a channel, four channels.
        limit = 8 * self._options.settings.max_pixels + 2**20
        if entry.size > limit:
            raise BadInput(where, f"{entry.size} bytes are more than a picture within max_pixels can have; raise it")
        return self._files.read(name)

    def _where(self, name: str) -> str:
        return plain_name(f"{self._base}/{name}")

    def _stamp(self, name: str) -> str:
        entries = self._files.entries
        parts = [entries[part].stamp for part in (name, *sidecars(name, entries))]
        if _suffix(name) in RASTERS and self._options.bands:
            parts.append(",".join(map(str, self._options.bands)))
        return " ".join(parts)


class Mixed:
    """A mosaic and the pictures that lie in the same folder, as one TileSource."""

    attribution = ""

    def __init__(self, mosaic: RasterTiles, pictures: Pictures) -> None:
        self.uri, self.layer, self.zoom = pictures.uri, pictures.layer, mosaic.zoom
        self._mosaic, self._pictures = mosaic, pictures

    def plan(self) -> Iterable[TileRef]:
        """The mosaic's tiles and unusable files, then the pictures."""
        yield from self._mosaic.plan()
        yield from self._pictures.plan()

    def read(self, ref: TileRef) -> TileImage:
        """A tile or a picture. Raises BadInput as they do."""
        return self._pictures.read(ref) if ref.key in self._pictures.names else self._mosaic.read(ref)

    def close(self) -> None:
        """Close both."""
        self._mosaic.close()
        self._pictures.close()


def open_folder(uri: str, options: SourceOptions) -> TileSource:
    """A folder of pictures, searched to any depth; its georeferenced rasters are one mosaic.

    Files named .tif, .vrt or .jp2 that say where they lie are cut into tiles of the grid; when a zoom is asked for, so
    are JPEG, PNG, ... with a sidecar. Everything else is a picture as a whole. Vector files are one ref, whose reading
    says how to index them.

    Raises UsageError for bands that make no colour, BadInput when it cannot be listed or holds no picture.
    """
    check_bands(options)
    root = Path(uri)
    files = Folder(root)
    name = source_name(root)
    rasters = [file for file in files.entries if _is_raster(file, files, options)]
    scenes, broken = _open_scenes(root, rasters, files.entries, options)
    pictures = [*_pictures(files, uri), *_passed_over(files)]
    if not scenes:
        return Pictures(uri, name, files, pictures, options)
    members = {*scenes, *broken}
    # A placed JPEG's neighbour whose .aux.xml only keeps statistics is still a picture.
    whole = [file for file in pictures if file not in members]
    mosaic = RasterTiles(uri, name, scenes, broken, options)
    return Mixed(mosaic, Pictures(uri, name, files, whole, options)) if whole else mosaic


def open_tar(uri: str, options: SourceOptions) -> Pictures:
    """A .tar or .tar.gz of pictures, each taken as a whole.

    Raises UsageError when there is no such file, BadInput when it is no tar or holds no picture.
    """
    check_bands(options)
    path = _existing(uri)
    files = Archive(path)
    return Pictures(uri, source_name(path), files, _pictures(files, uri), options)


def open_file(uri: str, options: SourceOptions) -> TileSource:
    """One picture, with the id that it has as part of its folder; cut into tiles when it is placed and a zoom is asked.

    Raises UsageError when there is no such file, or it is hidden.
    """
    path = _existing(uri)
    files = Folder(path.parent, recursive=False)
    if path.name not in files.entries:
        raise UsageError(f"{uri}: names that begin with a dot are passed over; rename the file")
    if _is_raster(path.name, files, options):
        scenes, _ = _open_scenes(path.parent, [path.name], files.entries, options)
        if scenes:
            return RasterTiles(uri, source_name(path), scenes, {}, options)
    return Pictures(uri, source_name(path.parent), files, [path.name], options, base=str(path.parent))


def _open_scenes(
    root: Path, names: Iterable[str], entries: Mapping[str, Entry], options: SourceOptions
) -> tuple[dict[str, Scene], dict[str, BadInput]]:
    """The georeferenced rasters among some files, and those that ought to be and are not."""
    scenes: dict[str, Scene] = {}
    broken: dict[str, BadInput] = {}
    for name in names:
        try:
            if entries[name].broken:
                raise BadInput(str(root / name), entries[name].broken)
            scene = open_scene(root / name, options.bands, offline=options.settings.offline)
        except BadInput as error:
            broken[name] = error
            continue
        if scene.placed is not None:
            scenes[name] = scene
        elif _suffix(name) in RASTERS:
            broken[name] = BadInput(str(root / name), f"{NOT_PLACED}, or keep it apart from those that have one")
    return scenes, broken


def _is_raster(name: str, files: Container, options: SourceOptions) -> bool:
    if _suffix(name) in RASTERS:
        return True
    return options.zoom is not None and _suffix(name) in PICTURES and bool(sidecars(name, files.entries))


def _pictures(files: Container, uri: str) -> list[str]:
    """Names that call themselves pictures, and what could not even be listed. Raises BadInput when there is neither."""
    names = [
        name
        for name, entry in files.entries.items()
        if _suffix(name) in (*PICTURES, *RASTERS) or (entry.broken and not _suffix(name))
    ]
    if not names:
        files.close()
        raise BadInput(uri, f"holds no pictures; those end in {', '.join((*PICTURES, *RASTERS))}")
    return names


def _passed_over(files: Folder) -> list[str]:
    """An entry that stands for the vector files of a folder, so that a build reports them; [] where it has none."""
    vectors = [name for name in files.entries if name.lower().endswith(_VECTORS)]
    if not vectors:
        return []
    name = f"({counted(len(vectors), 'vector file', 'vector files')})"
    first = plain_name(str(files.root / vectors[0]))
    files.entries[name] = Entry(
        name, broken=f"passed over, since of a folder only pictures are read; index each by its own name, like {first}"
    )
    return [name]


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _existing(uri: str) -> Path:
    path = Path(uri)
    if not path.exists():
        raise UsageError(f"{uri}: no such file")
    return path
