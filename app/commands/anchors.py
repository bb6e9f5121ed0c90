"""`geoanchor anchors`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.commands.options import Config, LayerName, Offline, settings_of
from app.commands.output import emit, say, say_some
from geoanchor.errors import BadInput, GeoAnchorError

if TYPE_CHECKING:
    from geoanchor.protocols import TileSource
    from geoanchor.settings import Settings
    from training.anchors.make import NamedRefs
    from training.anchors.qwen import PairAnnotator
    from training.anchors.schema import Anchor

AnnotatorName = Literal["vectors", "raster", "qwen"]


def anchors(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE", help="Vector files, map pictures, city:7, ...", show_default=False)
    ],
    *,
    out: Annotated[Path, typer.Option(help="Where the anchors go, one JSON object a line.", metavar="FILE.jsonl")],
    annotator: Annotated[
        AnnotatorName | None,
        typer.Option(
            help="vectors measures geometry; raster reads it from the colours of a map first; qwen asks a "
            "vision-language model about IMAGERY and MAP, two sources of the same ground (vectors stand for both).",
            show_default="vectors where there are any, else raster",
        ),
    ] = None,
    zoom: Annotated[int | None, typer.Option(help="Tile zoom.", min=0, max=24, show_default="the source's own")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many tiles of a source.", min=1)] = None,
    gsd: Annotated[float, typer.Option(help="Metres a pixel where a picture does not tell.", min=0.01)] = 0.6,
    model: Annotated[str, typer.Option(help="For qwen: the hub's name, or a folder.")] = "Qwen/Qwen2.5-VL-7B-Instruct",
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="Where a class would hold more than 70 % of the tiles, let classes begin at quantiles."
        ),
    ] = False,
    agreement: Annotated[
        Path | None, typer.Option(help="Compare with these anchors; print a table.", metavar="OTHER.jsonl")
    ] = None,
    offline: Offline = False,
    config: Config = None,
) -> None:
    """Say of each tile in eleven closed words what it is: density, blocks, buildings, roads, open space.

    Anchors are what map and imagery are trained to agree on. Pairs whose two sides the model finds too different
    (fewer than 9 equal words) are left out.
    """
    from training.anchors.agreement import compare
    from training.anchors.records import read_anchors, write_anchors
    from training.anchors.vectors import recalibrated

    other = read_anchors(agreement) if agreement else []
    settings = settings_of(config, offline=offline)
    bad: list[BadInput] = []
    with ExitStack() as opened:
        work = _Work(annotator, zoom, limit, gsd, model, settings, opened, bad)
        made = list(work.anchors(sources))
    say_some([f"not usable: {item.where}: {item.reason}" for item in bad], "not usable")
    made = recalibrated(made) if calibrate else made
    if not made:
        raise GeoAnchorError(f"{out}: is not written, since nothing in the sources could be annotated")
    write_anchors(made, out)
    counts = ", ".join(f"{count} {source}" for source, count in Counter(a.source for a in made).items())
    left_out = f"{work.disagreeing} pairs too different, {len(bad)} not usable"
    say(f"{out}: {len(made)} anchors ({counts}), {left_out}")
    if agreement:
        emit(compare(made, other).markdown())


class _Work:
    """One run over the sources."""

    def __init__(
        self, annotator: AnnotatorName | None, zoom: int | None, limit: int | None, gsd: float, model: str,
        settings: Settings, opened: ExitStack, bad: list[BadInput],
    ) -> None:  # fmt: skip
        self.annotator, self.zoom, self.limit, self.gsd, self.model = annotator, zoom, limit, gsd, model
        self.settings, self.opened, self.bad = settings, opened, bad
        self.disagreeing = 0

    def anchors(self, uris: list[str]) -> Iterator[Anchor]:
        """In the order of the sources."""
        if self.annotator == "qwen":
            yield from self._by_model(uris)
            return
        from training.anchors.make import named_refs

        sources = [self._open(uri, "map") for uri in uris]
        for source, refs in zip(sources, named_refs(sources, self.limit), strict=True):
            yield from self._by_geometry(source, refs)

    def _by_geometry(self, source: TileSource, refs: NamedRefs) -> Iterator[Anchor]:
        from indexer.sources.vector import VectorTiles
        from training.anchors.make import raster_anchors, vector_anchors

        if self.annotator == "vectors" or (self.annotator is None and isinstance(source, VectorTiles)):
            return vector_anchors(source, refs)
        return raster_anchors(source, refs, self.gsd, self.bad.append)

    def _by_model(self, uris: list[str]) -> Iterator[Anchor]:
        from geoanchor.errors import UsageError
        from indexer.sources.vector import VectorTiles
        from training.anchors.make import pair_anchors
        from training.anchors.qwen import usable

        if len(uris) > 2:
            raise UsageError("the annotator qwen takes two sources, IMAGERY and MAP, or one of vectors")
        aerial, drawn = self._open(uris[0], "aerial"), self._open(uris[-1], "map")
        if len(uris) == 1 and not isinstance(drawn, VectorTiles):
            raise UsageError(f"{uris[0]}: name the map of the same ground too: the annotator qwen looks at both")
        for anchor in pair_anchors(aerial, drawn, self._model(), self.gsd, self.bad.append, self.limit):
            if usable(anchor):
                yield anchor
            else:
                self.disagreeing += 1

    def _model(self) -> PairAnnotator:
        from training.anchors.qwen import PairAnnotator, QwenGenerator

        return PairAnnotator(QwenGenerator(self.model, self.settings), self.settings.cache_dir / "anchors")

    def _open(self, uri: str, layer: LayerName) -> TileSource:
        from indexer.sources.registry import SourceOptions, open_source

        source = open_source(uri, SourceOptions(layer=layer, zoom=self.zoom, settings=self.settings))
        self.opened.callback(source.close)
        return source
