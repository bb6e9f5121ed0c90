"""Composition root of captioning: joins sources, vectors, a captioning model and the index that gets the words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geoanchor.errors import BadInput
from geoanchor.image import Layer
from geoanchor.manifest import FILE_NAME as MANIFEST_NAME
from geoanchor.settings import Settings
from geoanchor.tiling import Bounds
from retrieval.snapshot import derive_serving

if TYPE_CHECKING:
    from geoanchor.feature import FeatureSource
    from geoanchor.protocols import TileSource
    from training.captions.subjects import Subject
    from training.captions.write import Asking, Written

TEMPLATES = "templates"
"""The model that is none: sentences made from tags."""


@dataclass(frozen=True, slots=True)
class CaptionOptions:
    """What captions are made of, and how.

    Attributes:
        model: "templates", "instructblip", the hub's name of an image-to-text model, or a folder.
        vectors: source whose features say what is there; "" takes what the pictures' own source or index knows.
        count, seed: paraphrases of templates, and the choice of their words.
        prompts: variants by name, () for all. judge: bundle that also judges captions by their pictures, or "".
        layer, zoom, within: as for an index. limit: at most so many pictures of a source.
        batch_size: pictures that the model sees at once.
    """

    model: str = TEMPLATES
    vectors: str = ""
    count: int = 5
    seed: int = 0
    prompts: tuple[str, ...] = ()
    judge: str = ""
    layer: Layer | None = None
    zoom: int | None = None
    within: Bounds | None = None
    limit: int | None = None
    batch_size: int = 8


def caption(
    sources: Sequence[str],
    options: CaptionOptions,
    settings: Settings,
    on_bad: Callable[[BadInput], None],
    advance: Callable[[int], None] = lambda _: None,
) -> list[Written]:
    """Captions of pictures of sources and indexes; each source may be an index folder.

    Raises a GeoAnchorError in one sentence; what one bad picture causes is told to `on_bad` instead.
    """
    from training.captions.write import write_captions, write_templates

    with ExitStack() as opened:
        subjects = _subjects(sources, options, settings, on_bad, opened)
        if options.model == TEMPLATES:
            return write_templates(subjects, on_bad)
        from models.bundle import load_bundle

        asking = _asking(options, settings)
        encoder = load_bundle(options.judge, settings) if options.judge else None
        return write_captions(subjects, asking, encoder, on_bad, advance)


def put_into(folder: Path, written: Sequence[Written], options: CaptionOptions, settings: Settings) -> int:
    """Give rows of an index the first caption of their pictures, and their tags where vectors were named; how many."""
    from geoanchor.manifest import model_of, read_manifest
    from indexer.upkeep import Words, rephrase
    from models.bundle import load_bundle
    from retrieval.index.lance import LanceStore

    words = [
        Words(item.subject.row, item.captions[0], item.subject.tags if options.vectors else None) for item in written
    ]
    encoder = load_bundle(model_of(folder, read_manifest(folder)), settings)
    return rephrase(folder, words, encoder, LanceStore, derive_serving)


def _subjects(
    uris: Sequence[str],
    options: CaptionOptions,
    settings: Settings,
    on_bad: Callable[[BadInput], None],
    opened: ExitStack,
) -> Iterator[Subject]:
    from retrieval.index.lance import LanceStore
    from training.captions.subjects import Wording, features_of, rows_of, subjects_of

    wording = Wording(options.count, options.seed)
    vectors: FeatureSource | None = None
    if options.vectors:
        vectors = features_of(_open(options.vectors, "map", options, settings, opened))
    for uri in uris:
        if (Path(uri) / MANIFEST_NAME).is_file():
            yield from rows_of(Path(uri), LanceStore, vectors, wording, options.limit)
        else:
            source = _open(uri, options.layer, options, settings, opened)
            yield from subjects_of(source, vectors, wording, on_bad, options.limit)


def _open(uri: str, layer: Layer | None, options: CaptionOptions, settings: Settings, opened: ExitStack) -> TileSource:
    from indexer.sources.registry import SourceOptions, open_source

    source = open_source(uri, SourceOptions(layer=layer, zoom=options.zoom, within=options.within, settings=settings))
    opened.callback(source.close)
    return source


def _asking(options: CaptionOptions, settings: Settings) -> Asking:
    from models.captioner import INSTRUCTBLIP, ImageCaptioner
    from training.captions.prompts import prompts_for
    from training.captions.write import Answer, Asking
    from training.memory import Memory

    model = ImageCaptioner(INSTRUCTBLIP if options.model == "instructblip" else options.model, settings)
    prompts = prompts_for(model.form, options.prompts)
    return Asking(model, prompts, Memory(settings.cache_dir / "captions", Answer), options.batch_size)
