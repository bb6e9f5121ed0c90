"""Composition root: joins sources, encoder, store and searcher; `open` and `build` are the Python interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from app.index import Index
from app.modelname import lasting
from geoanchor.image import Layer
from geoanchor.manifest import FILE_NAME as MANIFEST_NAME
from geoanchor.manifest import model_of, read_manifest
from geoanchor.protocols import TileSource
from geoanchor.settings import Settings, load_settings
from geoanchor.tiling import TILE_SIZE_PX, Bounds
from retrieval.snapshot import derive_serving

if TYPE_CHECKING:
    from indexer.report import BuildReport, Progress

DEFAULT_MODEL = "mini"


def open(folder: str | Path, model: str | None = None, settings: Settings | None = None) -> Index:
    """Open an index.

    Args:
        model: where its bundle lies now; None takes the name in the manifest. A model of another space is refused when
            it is first needed.

    Raises NotAnIndex, IndexCorrupt.
    """
    path = Path(folder)
    manifest = read_manifest(path)
    return Index(path, manifest, model or model_of(path, manifest), settings or load_settings())


def build(
    sources: str | Sequence[str],
    into: str | Path,
    *,
    model: str | None = None,
    layer: Layer | None = None,
    zoom: int | None = None,
    within: Bounds | None = None,
    style: str = "standard",
    bands: tuple[int, ...] | None = None,
    size: int = TILE_SIZE_PX,
    captions: str | Path | None = None,
    segments: str | None = None,
    fuse: float | None = None,
    prune: bool = True,
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> BuildReport:
    """Make an index of some sources, or bring an index in line with them: what is new, changed or gone.

    Args:
        sources: as named on the command line. into: the index folder.
        model: bundle to encode with; None takes the index's own, "mini" for a new one.
        captions: JSON list of {"image", "captions"}; the first caption of each picture is kept with its row.
        segments: how aerial pictures are cut into parts that can be found by themselves: "none", "regions", "polygons"
            or "sam:NAME-OR-FILE"; None takes the index's own, "none" for a new one.
        fuse: share of the segments in a row's own vector, 0..1.
        prune: remove rows that their source no longer lists; where only a box is read, those with their middle in it.

    Raises a GeoAnchorError in one sentence; what one bad picture causes is in the report instead.
    """
    from app.segmenting import segments_for
    from indexer.build import BuildOptions
    from indexer.build import build as build_index
    from indexer.sources.registry import SourceOptions, open_source
    from models.bundle import load_bundle
    from retrieval.index.lance import LanceStore

    settings, folder = settings or load_settings(), Path(into)
    options = SourceOptions(layer, zoom, size, style, bands, within, settings)
    with ExitStack() as stack:
        opened: list[TileSource] = []
        for uri in [sources] if isinstance(sources, str) else sources:
            opened.append(open_source(_as_before(uri, folder), options))
            stack.callback(opened[-1].close)
        if captions is not None:
            opened = _captioned(opened, Path(captions))
        encoder = load_bundle(lasting(model) if model else _model_of(folder) or DEFAULT_MODEL, settings)
        return build_index(
            folder,
            opened,
            encoder,
            LanceStore,
            derive_serving,
            BuildOptions(
                settings.batch_size,
                settings.threads,
                prune=prune,
                within=within,
                own_zoom=zoom is None,
                tile_size_px=size,
            ),
            progress,
            segments_for(folder, segments, fuse, encoder, settings),
        )


def _model_of(folder: Path) -> str | None:
    """The model an index was built with, None where there is no index yet."""
    return model_of(folder, read_manifest(folder)) if (folder / MANIFEST_NAME).is_file() else None


def _as_before(uri: str, folder: Path) -> str:
    """A file or folder as the index has called it until now: "town" where somebody says "./town/"."""
    if not (folder / MANIFEST_NAME).is_file() or not Path(uri).exists():
        return uri
    known = [record.uri for record in read_manifest(folder).sources]
    alike = (name for name in known if Path(name).exists() and Path(name).samefile(uri))
    return uri if uri in known else next(alike, uri)


def _captioned(sources: Sequence[TileSource], path: Path) -> list[TileSource]:
    from indexer.sources.captioned import CaptionedSource
    from training.datasets import read_captions

    captions = {item.image: item.captions[0] for item in read_captions(path)}
    return [CaptionedSource(source, captions) for source in sources]
