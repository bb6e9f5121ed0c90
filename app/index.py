"""An opened index: what Python, the command line, REST and the pages ask."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.answers import Changes, Hits
from app.modelname import model_named_by
from app.mosaic import Mosaic
from app.question import Picture, Question, Where, file_bytes, region_of
from app.rows import Rows
from geoanchor.change import MAX_OFFSET, Decision, Review
from geoanchor.errors import UsageError
from geoanchor.image import Layer, Pixels
from geoanchor.manifest import Manifest, model_of, read_manifest
from geoanchor.phrase import Phrase
from geoanchor.places import Place
from geoanchor.protocols import Encoder, Vectors
from geoanchor.query import Query, Region
from geoanchor.settings import Settings
from indexer.sources.picture import read_picture
from retrieval.calibration import FILE_NAME as RELEVANCE_NAME
from retrieval.calibration import Calibration, read_calibration
from retrieval.cells import CellRows
from retrieval.region import region_rows
from retrieval.searcher import Description, Searcher
from retrieval.serving import Serving

if TYPE_CHECKING:
    from retrieval.gazetteer import Gazetteer
    from retrieval.mismatch import ChangeFinder
    from retrieval.phrases import Reading

_MOST_SUGGESTIONS = 16


class Index:
    """An opened index; safe to ask from several threads.

    Attributes:
        folder: where it lies. manifest: what it holds.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        model: str,
        settings: Settings,
        open_encoder: Callable[[], Encoder] | None = None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.settings = settings
        self._model = model
        self._lock = threading.Lock()
        self._serving = Serving.open(folder, manifest)
        self._searcher = Searcher(
            self._serving,
            open_encoder or self._open_encoder,
            self._open_calibration,
            self._details,
            self._pixels,
        )

    def __len__(self) -> int:
        return self.manifest.rows

    def search(
        self,
        text: str | Sequence[str] | None = None,
        *,
        image: Picture | Sequence[Picture] | None = None,
        map: Picture | Sequence[Picture] | None = None,
        ground: Picture | Sequence[Picture] | None = None,
        at: Sequence[float] | str | None = None,
        like: str | Sequence[str] | None = None,
        segment: int | None = None,
        not_: str | Sequence[str] | None = None,
        within: Where | None = None,
        near: Sequence[float] | str | None = None,
        layer: Layer | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        k: int = 10,
        offset: int = 0,
        relations: bool = True,
        tags: bool = True,
        suppress: float = 0.0,
        spaces: Sequence[str] = (),
        rerank: str | None = None,
        min_probability: float = 0.0,
        weights: Mapping[str, float] | None = None,
        literal: bool = False,
    ) -> Hits:
        """The k best rows, in the words of `geoanchor search`; see `app.question.Question` for each.

        The text is read as `parse` reads it, or with `literal` taken as it is.

        Raises UsageError, BadInput, UnsupportedModality or SpaceMismatch, each in one sentence.
        """
        question = Question(
            text=text, image=image, map=map, ground=ground, at=at, like=like, segment=segment, not_=not_,
            within=within, near=near, layer=layer, since=since, until=until, k=k, offset=offset, relations=relations,
            tags=tags, suppress=suppress, spaces=spaces, rerank=rerank, min_probability=min_probability,
            weights=weights,
        )  # fmt: skip
        with question.naming_files():
            return self.query(question.query(None if literal else self.reader))

    def parse(self, text: str) -> Phrase:
        """What a search box's text means here: the Query, and chips that say which words became what."""
        from retrieval.phrases import understand

        return understand(text, self._gazetteer)

    def reader(self, text: str) -> Reading:
        """The same, to be put together with what else is asked."""
        from retrieval.phrases import read

        return read(text, self._gazetteer)

    def places(self, prefix: str, k: int = 8) -> tuple[Place, ...]:
        """Named places of the index whose names begin so, the most important first; case and accents do not matter."""
        return self._gazetteer.starting(prefix, k)

    def suggest(self, k: int = 6) -> tuple[str, ...]:
        """Texts to try, each of which finds something here: from the index's own tags, captions and names."""
        return self._suggested[:k]

    @cached_property
    def _suggested(self) -> tuple[str, ...]:
        """A text with a true hit that the model does not know is no help: it would be told that nothing matches."""
        from retrieval.suggestions import suggestions

        texts = suggestions(self._serving, self._gazetteer, _MOST_SUGGESTIONS)
        return tuple(text for text in texts if self.search(text, k=1).answer.verdict == "found")

    @cached_property
    def _gazetteer(self) -> Gazetteer:
        from retrieval.gazetteer import Gazetteer

        return Gazetteer.of(self._serving)

    def query(self, query: Query) -> Hits:
        """The answer to a ready-made Query, the same object that REST takes."""
        return Hits(query, self._searcher.search(query))

    def changes(
        self,
        *,
        within: Where | None = None,
        near: Sequence[float] | str | None = None,
        k: int = 50,
        all_dates: bool = False,
        unmapped: bool = True,
        reviewed: bool = False,
        everything: bool = False,
        max_offset: float = MAX_OFFSET,
        progress: Callable[[int, int], None] | None = None,
    ) -> Changes:
        """The k places where the index's maps and imagery disagree most, with cause and outline.

        Args:
            within, near: where to look, as in `search`.
            all_dates: compare every map with every aerial picture of its ground, not the newest alone.
            unmapped: compare aerial pictures that no map shows with an empty map.
            reviewed: also give pairs that were reviewed.
            everything: also give those, and pairs that agree or say too little.
            max_offset: how far the map may lie off, as a share of a tile's side.
            progress: called with pairs judged, and of how many.

        Raises UsageError when there is nothing to compare, UnsupportedModality when the model cannot.
        """
        if k < 1:
            raise UsageError(f"k must be 1 or more, not {k}")
        region = region_of(within, near)
        if region is not None:
            self._require_rows(region)
        found = self._changes.find(
            region, k, all_dates=all_dates, unmapped=unmapped, reviewed=reviewed,
            everything=everything, max_offset=max_offset, progress=progress,
        )  # fmt: skip
        return Changes(found)

    def _require_rows(self, region: Region) -> None:
        """Raises UsageError, which says where the index's pictures lie, when none of them is in a region."""
        if len(region_rows(region, self._serving.places)):
            return
        box = self.mosaic.extent()
        edges = ",".join(f"{edge:.5f}" for edge in box or ())
        where = f"; all of them lie in {edges}: name a place in there, or a larger one" if box else ""
        raise UsageError(
            f"{self.folder}: no map and aerial picture show the same ground in that region, where no picture has its "
            f"middle{where}"
        )

    def review(self, change_id: str, decision: Decision, note: str = "") -> Review:
        """Accept or reject a change; it is remembered in the index and not suggested again while both pictures last.

        "open" takes a decision back: the change is then as if never reviewed.
        """
        return self._changes.review(change_id, decision, note)

    def review_all(self, decisions: Mapping[str, Decision], note: str = "") -> tuple[Review, ...]:
        """Decisions by change id, as `review` keeps them; all of them, or none where one cannot be kept."""
        return self._changes.review_all(decisions, note)

    def reviews(self) -> tuple[Review, ...]:
        """The latest decision on each change, oldest first, without those that were taken back."""
        from retrieval.reviews import Reviews

        return tuple(Reviews(self.folder).latest().values())

    def evidence(self, change_id: str, max_offset: float = MAX_OFFSET) -> Vectors:
        """How much the picture speaks for the map (above 0) or against it, cell by cell.

        Args:
            max_offset: how far the map may first be moved to suit the picture; 0 takes it as it lies.
        Returns:
            (cells, cells) float32 nats, row 0 north.
        """
        cells: Vectors = self._changes.judge(change_id, max_offset).evidence[0]
        return cells

    def describe(self, image: Picture, *, layer: Layer = "aerial", k: int = 5) -> tuple[Description, ...]:
        """The k captions and phrases of the index that suit a picture best, with scores."""
        where = str(image) if isinstance(image, (str, Path)) else "the picture"
        return self._searcher.describe(self._pixels(file_bytes(image), where, layer), layer, k)

    def info(self) -> dict[str, Any]:
        """The manifest as JSON values; `layers` has the rows of each layer."""
        return self.manifest.model_dump(mode="json")

    def thumbnails(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Stored pictures (JPEG, WebP or PNG) by id; rows that have none, and unknown ids, are left out."""
        return self._details(ids, "thumbnail")

    def _details(self, ids: Sequence[str], column: str) -> dict[str, Any]:
        if not ids:
            return {}
        # The store caches its id column; one thread at a time fills it.
        with self._lock:
            table = self._store.fetch(list(ids), ["id", column])
        found = zip(table["id"].to_pylist(), table[column].to_pylist(), strict=True)
        return {name: value for name, value in found if value}

    def heat(self, query: Query, resolution: int | None = None) -> tuple[CellRows, ...]:
        """Scores by H3 cell of all rows that the query's filters let pass, hottest first.

        Args:
            resolution: of the cells, no finer than the index's own; None takes the finest that gives few enough.
        """
        scores, rows = self._searcher.scores(query)
        return self.rows.heat(scores, rows, resolution)

    def renewed(self) -> Index:
        """The index as its folder holds it now; the encoder goes along where the vectors are of the same spaces."""
        manifest = read_manifest(self.folder)
        if manifest.spaces == self.manifest.spaces:
            encoder = self._searcher.encoder
            return Index(self.folder, manifest, self._model, self.settings, lambda: encoder)
        return Index(self.folder, manifest, model_of(self.folder, manifest), self.settings)

    def warm(self) -> None:
        """Open now what the first questions would wait for, so that a version of the index lives without its files."""
        self._serving.load()
        _ = self._searcher.encoder, self.mosaic
        self.thumbnails([""])

    @cached_property
    def rows(self) -> Rows:
        """The rows as they are, without a query."""
        return Rows(self._serving)

    @cached_property
    def mosaic(self) -> Mosaic:
        """The stored tiles as a map of their own."""
        rows = self._serving.rows
        return Mosaic({name: rows.column(name).to_pylist() for name in ("id", "layer", "z", "x", "y")}, self.thumbnails)

    @cached_property
    def attributions(self) -> tuple[str, ...]:
        """Texts that must be shown with the pictures."""
        return tuple(dict.fromkeys(source.attribution for source in self.manifest.sources if source.attribution))

    @cached_property
    def _changes(self) -> ChangeFinder:
        from retrieval.mismatch import ChangeFinder

        return ChangeFinder(self._serving, self._searcher.matcher, self._details)

    @cached_property
    def _store(self) -> Any:
        from retrieval.index.lance import LanceStore

        return LanceStore.open_sealed(self.folder, self.manifest)

    def _pixels(self, data: bytes, where: str, layer: Layer) -> Pixels:
        return read_picture(data, where, self.settings, layer)

    def _open_encoder(self) -> Encoder:
        from models.bundle import load_bundle

        with model_named_by(self.folder, self._model):
            return load_bundle(self._model, self.settings)

    def _open_calibration(self) -> Calibration | None:
        from models.bundle import bundle_folder

        return read_calibration(bundle_folder(self._model) / RELEVANCE_NAME)
