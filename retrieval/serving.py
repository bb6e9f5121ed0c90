"""What a search needs, derived from the store of record and memory-mapped: rows in H3 order, vectors, texts.

serving/<table version>-<texts version>/
  rows.arrow              facts of each row, sorted by (cell, layer, id); rows without position come first
  vectors.<space>.npy     (g, d) in the space's number type, the same order; zero where a row has no vector of it
  missing.<space>.npy     positions of those rows, where there are any
  faiss.<space>.index     for large galleries
  segments.*              parts of the rows, where the index has them; see `retrieval.segments`
  texts.arrow, texts.<space>.npy   captions and phrases with their vectors
  names.arrow             names of places, where the sources know any
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from geoanchor.errors import IndexCorrupt
from geoanchor.image import LAYERS, Layer
from geoanchor.manifest import Manifest
from geoanchor.places import FILE_NAME as NAMES
from geoanchor.protocols import RowIds, VectorIndex, Vectors
from retrieval.index.flat import FlatIndex
from retrieval.neighbours import spill, tile_neighbours
from retrieval.region import Places
from retrieval.segments import SegmentGallery

UNDATED = int(np.iinfo(np.int64).min)
ROW_COLUMNS = (
    "id", "layer", "z", "x", "y", "west", "south", "east", "north", "lng", "lat", "cell", "gsd_m", "acquired",
    "source", "attribution", "tags", "caption",
)  # fmt: skip


def serving_folder(folder: Path, manifest: Manifest) -> Path:
    """Where the snapshot that a manifest speaks of lies."""
    return folder / "serving" / f"{manifest.table_version}-{manifest.texts_version}"


class Serving:
    """An opened snapshot; everything in it is memory-mapped and read on first use.

    Attributes:
        folder: of the index; manifest: what it holds; rows: facts in serving order.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._path = serving_folder(folder, manifest)
        self.rows = _read_batch(self._path / "rows.arrow")
        self._found_rows: dict[str, int] = {}
        self._exact: dict[str, FlatIndex] = {}
        self._codes: dict[str, NDArray[np.uint8]] = {}
        self._approximate: dict[str, VectorIndex] = {}
        self._present: dict[str, RowIds | None] = {}
        self._texts: dict[str, tuple[Sequence[str], FlatIndex]] = {}
        if self.rows.num_rows != manifest.rows:
            raise IndexCorrupt(
                f"{self._path}: {self.rows.num_rows} rows where the manifest says {manifest.rows}; "
                "`geoanchor doctor --repair` rebuilds the serving files"
            )

    @classmethod
    def open(cls, folder: Path, manifest: Manifest) -> Serving:
        """Open the snapshot of an index. Raises IndexCorrupt when it is missing, stale or damaged: derive it anew."""
        damaged = _damaged(folder, manifest)
        if damaged or not serving_folder(folder, manifest).is_dir():
            what = damaged or f"serving/{serving_folder(folder, manifest).name}"
            raise IndexCorrupt(
                f"{folder / what}: missing or damaged; `geoanchor doctor --repair` rebuilds the serving files"
            )
        return cls(folder, manifest)

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def load(self) -> None:
        """Open every file now, so that the snapshot can be read to its end even when its folder is gone."""
        _ = self.places, self.layers, self.acquired_us, self.spill, self.names, self.segments
        for name, space in self.manifest.spaces.items():
            self.present(name)
            if not space.searchable:
                self.codes(name)
                continue
            self.exact(name), self.index(name)
            if "text" in space.modalities:
                self.texts(name)

    @cached_property
    def places(self) -> Places:
        """Positions of the rows."""
        cells = self.rows.column("cell").fill_null(0).to_numpy(zero_copy_only=False)
        return Places(cells, self.numbers("lng"), self.numbers("lat"))

    @cached_property
    def layers(self) -> Mapping[Layer, RowIds]:
        """Sorted positions of each layer's rows."""
        column = self.rows.column("layer")
        return {layer: np.flatnonzero(pc.equal(column, layer).to_numpy(zero_copy_only=False)) for layer in LAYERS}

    @cached_property
    def spill(self) -> csr_array:
        """What each row is given of the scores of the adjacent tiles of its layer; see `retrieval.neighbours.spill`."""
        z, x, y = (self.numbers(name) for name in ("z", "x", "y"))
        return spill(np.max([tile_neighbours(z, x, y, rows) for rows in self.layers.values()], axis=0))

    @cached_property
    def acquired_us(self) -> NDArray[np.int64]:
        """Acquisition times (g,) in microseconds since 1970 UTC, `UNDATED` where unknown."""
        times = self.rows.column("acquired").cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        return np.asarray(times.fill_null(UNDATED).to_numpy(zero_copy_only=False))

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column as (g,) float64, NaN where unknown."""
        return np.asarray(self.rows.column(column).to_numpy(zero_copy_only=False), np.float64)

    @cached_property
    def nodata(self) -> NDArray[np.float64]:
        """Share (g,) of each row's picture that holds no data, 0 where a snapshot of before tells none."""
        told = "nodata" in self.rows.schema.names
        return np.nan_to_num(self.numbers("nodata")) if told else np.zeros(len(self), np.float64)

    def edges(self, rows: RowIds) -> tuple[NDArray[np.float64], ...]:
        """West, south, east and north (n,) of rows' boxes, degrees, NaN where unknown; west > east over the
        antimeridian."""
        return tuple(edge[rows] for edge in self._edges)

    @cached_property
    def _edges(self) -> tuple[NDArray[np.float64], ...]:
        return tuple(self.numbers(name) for name in ("west", "south", "east", "north"))

    def row_of(self, row_id: str) -> int | None:
        """Position of a row by id."""
        if row_id not in self._found_rows:
            position = pc.index(self.rows.column("id"), row_id).as_py()
            if position < 0:
                return None
            self._found_rows[row_id] = int(position)
        return self._found_rows[row_id]

    def facts(self, rows: RowIds, columns: Sequence[str] = ROW_COLUMNS) -> list[dict[str, Any]]:
        """Columns of some rows, in their order."""
        taken: list[dict[str, Any]] = self.rows.select(list(columns)).take(pa.array(rows)).to_pylist()
        return taken

    def by_layer(self, rows: RowIds) -> Iterator[tuple[Layer, NDArray[np.intp]]]:
        """The layers that some rows are of, and which of the rows, as places in `rows`."""
        for layer, of_layer in self.layers.items():
            at = np.minimum(np.searchsorted(of_layer, rows), len(of_layer) - 1)
            if len(of_layer) and len(places := np.flatnonzero(of_layer[at] == rows)):
                yield layer, places

    def exact(self, space: str) -> FlatIndex:
        """Every vector of a space."""
        if space not in self._exact:
            self._exact[space] = FlatIndex(self._matrix(f"vectors.{space}.npy"))
        return self._exact[space]

    def index(self, space: str) -> VectorIndex:
        """The quickest index of a space: FAISS where the snapshot has its file, else exact."""
        path = self._path / f"faiss.{space}.index"
        if not path.is_file():
            return self.exact(space)
        if space not in self._approximate:
            from retrieval.index.faiss import open_faiss

            self._approximate[space] = open_faiss(path, self.exact(space).vectors)
        return self._approximate[space]

    def vector(self, space: str, row: int) -> Vectors:
        """A row's own vector (d,)."""
        return np.asarray(self.exact(space).vectors[row])

    def codes(self, space: str) -> NDArray[np.uint8]:
        """Codes (g, d) of every row, memory-mapped."""
        if space not in self._codes:
            self._codes[space] = self._matrix(f"vectors.{space}.npy")
        return self._codes[space]

    def present(self, space: str) -> RowIds | None:
        """Sorted positions of the rows that have a vector of a space, None for all."""
        if space not in self._present:
            path, everything = self._path / f"missing.{space}.npy", np.arange(len(self))
            missing = np.load(path, allow_pickle=False) if path.is_file() else None
            self._present[space] = None if missing is None else np.setdiff1d(everything, missing, assume_unique=True)
        return self._present[space]

    @cached_property
    def segments(self) -> SegmentGallery | None:
        """Parts of the rows, None in an index without."""
        return SegmentGallery.open(self._path) if self.manifest.segments is not None else None

    def texts(self, space: str) -> tuple[Sequence[str], FlatIndex]:
        """Texts of the image-to-text gallery and the index over their vectors, row for row."""
        if space not in self._texts:
            texts = _read_batch(self._path / "texts.arrow").column("text")
            self._texts[space] = texts, FlatIndex(self._matrix(f"texts.{space}.npy"))
        return self._texts[space]

    @cached_property
    def vocabulary(self) -> Mapping[str, int]:
        """Each tag of the rows and how many bear it, the most frequent first, then by name."""
        counted = pc.value_counts(pc.list_flatten(self.rows.column("tags")))
        pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    def bearing(self, tag: str) -> RowIds:
        """Sorted positions of the rows that bear a tag."""
        rows, places = self._bearers
        return rows[places.get(tag, slice(0))]

    @cached_property
    def _bearers(self) -> tuple[RowIds, dict[str, slice]]:
        """Rows of every tag, those of one after those of another; and where each tag's lie."""
        column = self.rows.column("tags")
        tags = pc.list_flatten(column).dictionary_encode()
        codes = tags.indices.to_numpy(zero_copy_only=False)
        ends = np.cumsum(np.bincount(codes, minlength=len(tags.dictionary))).tolist()
        places = {
            tag: slice(start, end)
            for tag, start, end in zip(tags.dictionary.to_pylist(), [0, *ends], ends, strict=False)
        }
        rows = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        return rows[np.argsort(codes, kind="stable")], places

    @cached_property
    def names(self) -> pa.RecordBatch | None:
        """Names of places in order of their keys, None where the index was built without any."""
        path = self._path / NAMES
        return _read_batch(path) if path.is_file() else None

    def _matrix(self, name: str) -> Any:
        try:
            return np.asarray(np.load(self._path / name, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise IndexCorrupt(
                f"{self._path / name}: cannot be read ({error}); `geoanchor doctor --repair` rebuilds it"
            ) from error


def _read_batch(path: Path) -> pa.RecordBatch:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    except (OSError, pa.ArrowInvalid) as error:
        raise IndexCorrupt(f"{path}: cannot be read ({error}); `geoanchor doctor --repair` rebuilds it") from error


def _damaged(folder: Path, manifest: Manifest) -> str:
    """Name of a serving file of the manifest that is missing or of another size, or ""."""
    for name, mark in manifest.checksums.items():
        if name.startswith("serving/"):
            path = folder / name
            if not path.is_file() or (mark.startswith("bytes:") and path.stat().st_size != int(mark[6:])):
                return name
    return ""
