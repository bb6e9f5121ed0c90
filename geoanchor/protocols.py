"""The seams: what a source, an encoder, a row store, a vector index and a reranker must be able to do.

Array shapes use the same letters everywhere: n items, q queries, g gallery rows, d dimensions, k hits. Vectors are
float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from geoanchor.change import MAX_OFFSET
from geoanchor.gaps import Gaps
from geoanchor.image import Layer, Pixels, TileImage
from geoanchor.query import Hit, Query
from geoanchor.segment import Cut, Mask, Segment
from geoanchor.space import EmbeddingSpace, Modality
from geoanchor.tiling import Tile

if TYPE_CHECKING:
    import pyarrow as pa

Vectors = NDArray[np.float32]
RowVectors = NDArray[Any]
"""As a row keeps them, float32 or uint8: in the number type of their space."""
RowIds = NDArray[np.int64]
Role = Literal["query", "gallery"]


@dataclass(frozen=True, slots=True)
class TileRef:
    """One picture a source can read, before any pixel is read.

    Attributes:
        id: id of the TileImage that `read` will give; unique within an index.
        key: the source's own handle (a path, an offset, ""); plain text, so that a ref can cross processes.
        tile: grid address, or None.
        stamp: changes when the content may have changed (size and mtime, an ETag, a version); equal stamps mean that an
            incremental build need not read it again.
        point: (lng, lat) for ordering where there is no tile but the position is cheap to know.
    """

    id: str
    key: str = ""
    tile: Tile | None = None
    stamp: str = ""
    point: tuple[float, float] | None = None


class TileSource(Protocol):
    """Something that pictures come from. Making one opens and checks it; `plan` is cheap; `read` does the work."""

    @property
    def uri(self) -> str:
        """As named on the command line."""

    @property
    def layer(self) -> Layer:
        """Layer of every picture."""

    @property
    def zoom(self) -> int | None:
        """Zoom of the tile grid, None where pictures lie on none."""

    @property
    def attribution(self) -> str:
        """Text that must be shown with the pictures, or ""."""

    def plan(self) -> Iterable[TileRef]:
        """Everything there is to read, in a deterministic order, without reading pixels."""

    def read(self, ref: TileRef) -> TileImage:
        """Pixels of one ref; thread-safe. Raises BadInput when this one cannot be used."""

    def close(self) -> None:
        """Let go of files and connections; may be called twice."""


class Encoder(Protocol):
    """Turns pictures and words into vectors of one or more embedding spaces; deterministic, thread-safe."""

    @property
    def name(self) -> str:
        """What `load_bundle` was asked for; stored in the manifest."""

    @property
    def spaces(self) -> Mapping[str, EmbeddingSpace]:
        """By name, e.g. {"semantic": ...}."""

    @property
    def matcher(self) -> Matcher | None:
        """What judges pairs of rows that this encoder made, None where it cannot."""

    def neutral(self, modality: Modality) -> tuple[int, int, int]:
        """The RGB colour 0..255 that says nothing to the model: its mean. Raises UnsupportedModality."""

    def prepare(self, pixels: Pixels, modality: Modality) -> Pixels:
        """Shrink (h, w, 3) uint8 to what `encode` wants, still uint8; numpy and Pillow only, so readers can do it in
        parallel; idempotent."""

    def encode(
        self, items: Sequence[Pixels] | Sequence[str], modality: Modality, role: Role = "gallery"
    ) -> dict[str, RowVectors]:
        """Vectors (n, d) of every space that knows the modality, by space name, in the space's number type; unit length
        where the metric is cosine.

        items: prepared (or raw) pixels, or strings for "text". Raises UnsupportedModality.
        """


class Segmenter(Protocol):
    """Finds the parts of a picture; deterministic, thread-safe."""

    def segment(self, pixels: Pixels) -> Sequence[Mask]:
        """Parts of (h, w, 3) uint8, in any order; they may overlap, and there may be none."""


class SegmentEncoder(Protocol):
    """Gives a picture's parts vectors in the space of the picture's own."""

    @property
    def method(self) -> str:
        """How parts are found, as named on the command line."""

    @property
    def space(self) -> str:
        """Name of the space that the vectors are of."""

    @property
    def fuse(self) -> float:
        """Share of the segments in a row's own vector, 0..1."""

    def cut(self, pixels: Pixels, masks: Sequence[Mask] | None = None) -> tuple[Cut, ...]:
        """The parts of an aerial picture worth keeping, among `masks` where they are known; () where there are none.
        Thread-safe."""

    def encode(self, cuts: Sequence[Sequence[Cut]], pictures: Vectors) -> list[tuple[Segment, ...]]:
        """Segments of n pictures, at least one each; pictures: (n, d) their own vectors."""

    def fused(self, picture: Vectors, segments: Sequence[Segment]) -> Vectors:
        """A picture's own vector (d,) with its segments' share, of unit length."""


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What a matcher says of n map and aerial pictures of the same frame.

    Attributes:
        probability: (n,) float32 in 0..1, calibrated: map and ground agree.
        offset: (n, 2) float32, how far the map lies too far east and too far south, as a share of the side.
        content: (n,) float32, nats a cell: how much the map says at all; near 0 for all water or all meadow.
        evidence: (n, cells, cells) float32, nats a cell in the map's frame at that offset: how much the picture speaks
            for the map (above 0) or against it. Row 0 is north.
        shares: (n, cells, cells, 7) float32, classes of `geoanchor.structure` on the map.
        beliefs: (n, cells, cells, 7) float32, classes in the picture, moved into the map's frame; a cell's sum is 1, or
            0 where the picture has a gap or the move left none.
        parts: the calibrated terms of the probability by name, each (n,) float32, in standard deviations.
    """

    probability: Vectors
    offset: Vectors
    content: Vectors
    evidence: Vectors
    shares: Vectors
    beliefs: Vectors
    parts: Mapping[str, Vectors]


class Matcher(Protocol):
    """Says whether a map and an aerial picture of the same frame show the same ground, and where they do not."""

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the spaces whose vectors it needs of both sides."""

    @property
    def cells(self) -> int:
        """Side of the grid that it judges by; 0 for one that judges pairs as wholes and finds no place in them."""

    @property
    def registrar(self) -> Registrar | None:
        """What tells offsets from pictures, where the model has it."""

    def judge(
        self,
        maps: Mapping[str, RowVectors],
        aerials: Mapping[str, RowVectors],
        max_offset: float = MAX_OFFSET,
        expected: Vectors | None = None,
        gaps: Gaps | None = None,
    ) -> Judgement:
        """Judge n pairs.

        Args:
            maps, aerials: vectors by space, n rows each; one row on either side stands for n.
            max_offset: how far the map may lie off what is expected, as a share of the side; 0 takes it as it is. So is
                a map that says too little (`geoanchor.structure.informative`), whatever it is.
            expected: (n, 2) the offsets at which the maps are known to lie, as in `Judgement`: only what departs from
                them counts against a map. None for none.
            gaps: (n, cells, cells) bool, where the pictures hold no data and so say nothing. None for nowhere.
        """

    def rank(
        self,
        maps: Mapping[str, RowVectors],
        aerials: Mapping[str, RowVectors],
        max_offset: float = MAX_OFFSET,
        compared: int | None = None,
        hidden: Mapping[Layer, Gaps] | None = None,
    ) -> tuple[Vectors, Vectors]:
        """How well each of q maps suits each of g aerial pictures, to order either by the other.

        Args:
            compared: so many of each map's pictures, and of each picture's maps, are looked at closely, where there are
                more than that; None for all.
            hidden: (q, cells, cells) bool of the maps, (g, cells, cells) of the pictures: where they show nothing; a
                layer that is left out shows everything.
        Returns:
            scores (q, g) float32, higher is better; offsets (q, g, 2) float32 as in `Judgement`, NaN where a pair tells
            none.
        """

    def probes(self, layer: Layer, side: Mapping[str, RowVectors], max_offset: float = MAX_OFFSET) -> Vectors:
        """Coarse vectors (s, d) float32 of one map or picture as it would be, lay it off by up to `max_offset`: what a
        row of the other layer has most in common with any of them tells whether it is worth comparing.

        Args:
            side: its vectors by space, (1, d) each.
        """


class Registrar(Protocol):
    """Tells from pictures how far maps lie off, more finely than vectors that are small enough to be kept can."""

    def offsets(self, maps: Sequence[Pixels], aerials: Sequence[Pixels], max_offset: float = MAX_OFFSET) -> Vectors:
        """Offsets (n, 2) of n pairs of pictures, as in `Judgement`; one picture on either side stands for n.

        NaN where a pair shows nothing that an offset could be told by, such as open water.
        """

    def likeness(
        self, maps: Sequence[Pixels], aerials: Sequence[Pixels], shown: tuple[NDArray[np.float64], NDArray[np.float64]]
    ) -> tuple[Vectors, Vectors]:
        """How well every map suits every aerial picture where it suits best, and how far off it then lies.

        Args:
            shown: of maps (m,) and pictures (a,), side of what each shows, in its middle, by that of its frame, 0..1.
        Returns:
            Likeness (m, a), some .05 to .4; offsets (m, a, 2) in shares of the frame's side, NaN where nothing tells.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row of the store of record: a picture's facts, its thumbnail and its vectors by space name.

    `origin` is the uri of the TileSource that the picture came through: `image.source` may be one file of many.
    `segments` is empty in an index without segments.
    """

    image: TileImage
    cell: int
    stamp: str
    content_hash: str
    thumbnail: bytes
    vectors: Mapping[str, RowVectors]
    origin: str = ""
    segments: Sequence[Segment] = ()


class RowColumns(Protocol):
    """Whole columns of all rows, as of one committed version: what a serving snapshot is derived from."""

    @property
    def version(self) -> int:
        """Version of the table, grows with every commit."""

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Whole columns, in table order."""


class RowStore(RowColumns, Protocol):
    """The store of record (LanceDB). One writer at a time; readers see the last committed version."""

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows in one commit; a row whose id exists replaces it."""

    def delete(self, ids: Sequence[str]) -> int:
        """Remove rows by id in one commit; how many there were."""

    def count(self) -> int:
        """Rows."""

    def fetch(self, ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Columns of some rows by id, in the order of `ids`; ids that do not exist are left out."""


Details = Callable[[Sequence[str], str], Mapping[str, Any]]
"""Ids and a column of the store of record -> values by id; rows without one are left out."""


class VectorIndex(Protocol):
    """Finds the best rows of one embedding space; rows are positions 0..g-1 of the serving order."""

    def search(self, vectors: Vectors, k: int, rows: RowIds | None = None) -> tuple[Vectors, RowIds]:
        """The k best rows for each query.

        Args:
            vectors: (q, d) float32 in this index's space.
            rows: sorted positions that may be returned, or None for all.
        Returns:
            scores (q, k), best first, higher is better, ties by lower row; row positions (q, k) int64, -1 (score -inf)
            where fewer than k exist.
        """


class Reranker(Protocol):
    """Reorders the best hits of a query.

    Attributes:
        layer: of the rows that it can reorder; a query that asks for no layer is asked of these.
    """

    layer: Layer

    def rerank(self, query: Query, hits: Sequence[Hit]) -> Sequence[Hit]:
        """The same hits, new scores and order; may add to `why`."""
