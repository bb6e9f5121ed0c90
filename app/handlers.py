"""What the page and REST do with an index, free of both: limits, request words to queries, answers to JSON.

Nothing here opens a path or an address that came with a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image, UnidentifiedImageError

from app import render
from app.overlay import evidence_png
from app.question import Question, inline_region
from app.wiring import Hits, Index
from geoanchor.change import ChangeList
from geoanchor.errors import BadInput, UsageError
from geoanchor.image import LAYERS, Layer
from geoanchor.query import Answer, ImagePart, Query
from geoanchor.tiling import Tile
from retrieval.searcher import Description

MAX_HITS = 10_000
"""Most hits of one request; further ones are asked for by `offset`."""


class NotFound(UsageError):
    """The index has no such picture or tile."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """The use cases of the service, over one opened index."""

    index: Index

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
        near: str = "",
        within: str = "",
        layer: str = "",
        since: str = "",
        until: str = "",
        k: int = 10,
        offset: int = 0,
        suppress: float = 0.0,
        relations: bool = True,
        image: bytes | None = None,
        map: bytes | None = None,
        ground: bytes | None = None,
    ) -> Hits:
        """A page of hits from the fields of a form; an empty field asks nothing.

        Args:
            at: "lat,lng". near: "lat,lng,metres". within: "west,south,east,north" or H3 cells.
        """
        question = Question(
            text=q.strip() or None, not_=not_.strip() or None, at=at.strip() or None, like=like.strip() or None,
            near=near.strip() or None, within=inline_region(within) if within.strip() else None,
            layer=self._layer(layer), since=since.strip() or None, until=until.strip() or None, k=k, offset=offset,
            suppress=suppress, relations=relations, image=image, map=map, ground=ground,
        )  # fmt: skip
        return self._ask(question.query())

    def describe(self, picture: bytes, layer: str = "aerial", k: int = 5) -> Sequence[Description]:
        """Texts of the index that suit a picture."""
        self._check_picture(picture, "the picture")
        return self.index.describe(picture, layer=self._layer(layer) or "aerial", k=min(max(k, 1), MAX_HITS))

    def changes(
        self,
        *,
        within: str = "",
        near: str = "",
        k: int = 50,
        offset: float = 0.1,
        all_dates: bool = False,
        unmapped: bool = True,
        everything: bool = False,
    ) -> ChangeList:
        """The worst places of a region, from the fields of a form; an empty field asks nothing."""
        if k > MAX_HITS:
            raise UsageError(f"k must be at most {MAX_HITS} here")
        return self.index.changes(
            within=inline_region(within) if within.strip() else None, near=near.strip() or None, k=k,
            max_offset=offset, all_dates=all_dates, unmapped=unmapped, everything=everything,
        ).answer  # fmt: skip

    def heat_png(self, change_id: str, max_offset: float) -> bytes:
        """Where a pair disagrees, as a picture to lay over it. Raises UsageError when there is no such pair."""
        return evidence_png(self.index.evidence(change_id, max_offset))

    def thumbnail(self, row_id: str) -> bytes:
        """A row's stored picture. Raises NotFound."""
        found = self.index.thumbnails([row_id])
        if row_id not in found:
            raise NotFound(f"no picture of a row {row_id!r}")
        return found[row_id]

    def tile(self, layer: str, z: int, x: int, y: int) -> bytes:
        """A tile of the index's own pictures. Raises NotFound, UsageError for an address that cannot be."""
        known = self._layer(layer)
        data = self.index.mosaic.tile(known, Tile(z, x, y)) if known else None
        if data is None:
            raise NotFound(f"no tile {layer}/{z}/{x}/{y}")
        return data

    def geojson(self, answer: Answer) -> str:
        """Hits as a FeatureCollection."""
        return render.to_geojson(answer)

    def map_view(self) -> dict[str, Any]:
        """What a map needs to begin with: the extent and the zooms of each layer that has tiles."""
        mosaic = self.index.mosaic
        extent = mosaic.extent()
        return {
            "extent": list(extent) if extent else None,
            "layers": {layer: mosaic.zooms(layer) for layer in mosaic.layers},
            "attribution": " · ".join(self.index.attributions),
        }

    def _ask(self, query: Query) -> Hits:
        if query.k > MAX_HITS:
            raise UsageError(f"k must be at most {MAX_HITS} here; ask for further pages by offset")
        for part in query.parts:
            if isinstance(part, ImagePart):
                self._check_picture(part.data, f"the {part.layer} picture")
        return self.index.query(query)

    def _check_picture(self, data: bytes, where: str) -> None:
        """Refuse by size before anything is decoded."""
        settings = self.index.settings
        if len(data) > settings.max_upload_bytes:
            raise BadInput(where, f"{len(data)} bytes are more than the {settings.max_upload_bytes} allowed")
        try:
            with Image.open(BytesIO(data)) as image:
                width, height = image.size
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise BadInput(where, "cannot be read as a picture; give JPEG, PNG, WebP or TIFF") from error
        if width * height > settings.max_pixels:
            raise BadInput(where, f"{width} x {height} pixels are more than the {settings.max_pixels} allowed")

    @staticmethod
    def _layer(name: str) -> Layer | None:
        if name in ("", "all"):
            return None
        for layer in LAYERS:
            if layer == name:
                return layer
        raise UsageError(f"no layer {name!r}; layers: {', '.join(LAYERS)}")
