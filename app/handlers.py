"""What the page and REST do with an index, free of both: limits, request words to queries, answers to JSON.

Nothing here opens a path or an address that came with a request.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.answers import Hits
from app.index import Index
from app.live import LiveIndex
from app.overlay import evidence_png
from app.question import Question, inline_region
from geoanchor.change import MAX_OFFSET, ChangeList
from geoanchor.errors import BadInput, GeoAnchorError, UsageError, first_fault
from geoanchor.image import LAYERS, Layer
from geoanchor.picture import UnknownTiff, measure
from geoanchor.query import Answer, Hit, ImagePart, PolygonRegion, Query, Region, RowFacts, picture_called
from geoanchor.tiling import Tile
from retrieval.cells import CellRows
from retrieval.searcher import Description

MAX_HITS = 10_000
"""Most hits of one request; further ones are asked for by `offset`."""
MAX_DEPTH = 1_000_000
"""How far down a ranking a page may lie."""
MAX_PARTS = 64
_BATCH = 2_000
"""Hits in memory at once while all are written."""
_PICTURES = 2
"""Requests that decode and encode pictures at a time: each may need a few hundred megabytes."""
_PATIENCE_S = 30.0
_OBJECT = TypeAdapter(dict[str, Any])


class NotFound(UsageError):
    """The index has no such picture, row or tile."""


class Forbidden(UsageError):
    """The service was not started to do that."""


class Busy(GeoAnchorError):
    """Too much is asked at once."""


class Handlers:
    """The use cases of the service, over an index that may be replaced by a newer version between two calls."""

    def __init__(self, index: Index | LiveIndex) -> None:
        self._live = index if isinstance(index, LiveIndex) else LiveIndex(index)
        self._pictures = threading.BoundedSemaphore(_PICTURES)

    @property
    def index(self) -> Index:
        """The newest version; a use case asks for it once."""
        return self._live.current

    def search(self, query: Query) -> Answer:
        """A page of hits. Raises UsageError beyond the limits, and as the search itself does."""
        return self._ask(query).answer

    def search_words(
        self,
        *,
        q: str = "",
        not_: str = "",
        at: str = "",
        like: str = "",
        segment: int | None = None,
        near: str = "",
        within: str = "",
        layer: str = "",
        since: str = "",
        until: str = "",
        k: int = 10,
        offset: int = 0,
        suppress: float = 0.0,
        min_probability: float = 0.0,
        rerank: str = "",
        relations: bool = True,
        tags: bool = True,
        literal: bool = False,
        image: bytes | None = None,
        map: bytes | None = None,
        ground: bytes | None = None,
        index: Index | None = None,
    ) -> Hits:
        """A page of hits from the fields of a form; an empty field asks nothing.

        Args:
            at: "lat,lng". near: "lat,lng,metres". within: "west,south,east,north", H3 cells, or a GeoJSON polygon.
            index: a version of the index, for who asks it more than this; None for the newest.
        """
        question = Question(
            text=q.strip() or None, not_=not_.strip() or None, at=at.strip() or None, like=like.strip() or None,
            segment=segment, near=near.strip() or None, within=_place(within),
            layer=self._layer(layer), since=since.strip() or None, until=until.strip() or None, k=k, offset=offset,
            suppress=suppress, min_probability=min_probability, rerank=rerank or None, relations=relations, tags=tags,
            image=image, map=map, ground=ground,
        )  # fmt: skip
        index = index or self.index
        return self._ask(question.query(None if literal else index.reader), index)

    def describe(
        self, picture: bytes, layer: str = "aerial", k: int = 5, index: Index | None = None
    ) -> Sequence[Description]:
        """Texts of the index that suit a picture."""
        index = index or self.index
        self._check_picture(index, picture, "the picture")
        with self._one_of_few():
            return index.describe(picture, layer=self._layer(layer) or "aerial", k=min(max(k, 1), MAX_HITS))

    def describe_row(self, row_id: str, k: int = 5) -> Sequence[Description]:
        """Texts of the index that suit a row's picture. Raises NotFound."""
        index = self.index
        return self.describe(self.thumbnail(row_id, index), self._row(row_id, index).layer, k, index)

    def all_hits(self, query: Query) -> Iterator[Sequence[Hit]]:
        """The hits of a query, however many, some at a time, all from one version of the index."""
        index, end = self.index, min(query.offset + query.k, MAX_DEPTH)
        _require_depth(query)
        for offset in range(query.offset, end, _BATCH):
            page = query.model_copy(update={"k": min(_BATCH, end - offset), "offset": offset})
            hits = self._ask(page, index)
            yield hits.answer.hits
            if hits.answer.taken < page.k:
                return

    def heat(self, query: Query, resolution: int | None) -> Sequence[CellRows]:
        """A query's scores by H3 cell."""
        index = self.index
        with self._checked(index, query):
            return index.heat(query, resolution)

    def row(self, row_id: str) -> RowFacts:
        """What is known of a row. Raises NotFound."""
        return self._row(row_id, self.index)

    def changes(
        self,
        *,
        within: str = "",
        near: str = "",
        k: int = 50,
        all_dates: bool = False,
        unmapped: bool = True,
        reviewed: bool = False,
        everything: bool = False,
        max_offset: float = MAX_OFFSET,
    ) -> ChangeList:
        """The worst places of a region, from the fields of a form, as in `search_words`."""
        if k > MAX_HITS:
            raise UsageError(f"k must be at most {MAX_HITS} here")
        return self.index.changes(
            within=_place(within), near=near.strip() or None, k=k,
            all_dates=all_dates, unmapped=unmapped, reviewed=reviewed, everything=everything, max_offset=max_offset,
        ).answer  # fmt: skip

    def heat_png(self, change_id: str, max_offset: float) -> bytes:
        """Where a pair disagrees, as a picture to lay over it. Raises UsageError when there is no such pair."""
        return evidence_png(self.index.evidence(change_id, max_offset))

    def thumbnail(self, row_id: str, index: Index) -> bytes:
        """A row's picture, stored in a version of the index. Raises NotFound."""
        found = index.thumbnails([row_id])
        if row_id not in found:
            raise NotFound(f"no picture of a row {row_id!r}")
        return found[row_id]

    def tile(self, layer: str, z: int, x: int, y: int, index: Index) -> bytes:
        """A tile of the pictures of a version of the index. Raises NotFound, UsageError for an address that cannot
        be."""
        known = self._layer(layer)
        data = index.mosaic.tile(known, Tile(z, x, y)) if known else None
        if data is None:
            raise NotFound(f"no tile {layer}/{z}/{x}/{y}")
        return data

    def _ask(self, query: Query, index: Index | None = None) -> Hits:
        index = index or self.index
        if query.k > MAX_HITS:
            raise UsageError(f"k must be at most {MAX_HITS} here; ask for further pages by offset")
        with self._checked(index, query):
            return index.query(query)

    @contextmanager
    def _checked(self, index: Index, query: Query) -> Iterator[None]:
        """Refuse what would cost too much; pictures wait for each other."""
        _require_depth(query)
        if len(query.parts) > MAX_PARTS:
            raise UsageError(f"a query has at most {MAX_PARTS} parts here, not {len(query.parts)}")
        pictures = [part for part in query.parts if isinstance(part, ImagePart)]
        for part in pictures:
            self._check_picture(index, part.data, picture_called(part.layer))
        if not pictures:
            yield
            return
        with self._one_of_few():
            yield

    @contextmanager
    def _one_of_few(self) -> Iterator[None]:
        if not self._pictures.acquire(timeout=_PATIENCE_S):
            raise Busy("too many pictures are being looked at; try again in a moment")
        try:
            yield
        finally:
            self._pictures.release()

    @staticmethod
    def _row(row_id: str, index: Index) -> RowFacts:
        row = index.rows.one(row_id)
        if row is None:
            raise NotFound(f"no row has the id {row_id!r}")
        return row

    @staticmethod
    def _check_picture(index: Index, data: bytes, where: str) -> None:
        """Refuse by size before anything is decoded."""
        settings = index.settings
        if len(data) > settings.max_upload_bytes:
            raise BadInput(where, f"{len(data)} bytes are more than the {settings.max_upload_bytes} allowed")
        # A raster is measured when it is read, before any pixel is.
        with suppress(UnknownTiff):
            measure(data, where, settings.max_pixels)

    @staticmethod
    def _layer(name: str) -> Layer | None:
        if name in ("", "all"):
            return None
        for layer in LAYERS:
            if layer == name:
                return layer
        raise UsageError(f"no layer {name!r}; layers: {', '.join(LAYERS)}")


def _place(within: str) -> Region | None:
    """The region that a field names, None where it is empty. Raises UsageError."""
    if not within.strip():
        return None
    if not within.lstrip().startswith("{"):
        return inline_region(within)
    try:
        return PolygonRegion(geometry=_OBJECT.validate_json(within))
    except ValidationError as error:
        raise UsageError(f"within: {first_fault(error)}") from error


def _require_depth(query: Query) -> None:
    if query.offset >= MAX_DEPTH:
        raise UsageError(f"offset must be below {MAX_DEPTH} here; narrow the query by a region or a layer")
