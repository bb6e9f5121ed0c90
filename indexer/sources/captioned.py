"""A source whose pictures get captions from a list by file name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from unicodedata import normalize

from geoanchor.errors import UsageError
from geoanchor.feature import Feature, FeatureSource
from geoanchor.image import Layer, TileImage
from geoanchor.protocols import TileRef, TileSource
from indexer.names import NamedSource


class CaptionedSource:
    """Another TileSource, its pictures captioned; a changed caption counts as a changed picture.

    Args:
        source: what is captioned; closed together with this.
        captions: path below the source, or bare file name, -> caption.
    """

    def __init__(self, source: TileSource, captions: Mapping[str, str]) -> None:
        self._source = source
        # One name may be written in two ways of Unicode, by the file system and in the list.
        self._captions = {normalize("NFC", name): caption for name, caption in captions.items()}

    @property
    def uri(self) -> str:
        """As named on the command line."""
        return self._source.uri

    @property
    def layer(self) -> Layer:
        """Layer of every picture."""
        return self._source.layer

    @property
    def zoom(self) -> int | None:
        """Zoom of the tile grid, or None."""
        return self._source.zoom

    @property
    def attribution(self) -> str:
        """Text that must be shown with the pictures, or ""."""
        return self._source.attribution

    @property
    def features(self) -> FeatureSource:
        """The source's own. AttributeError where it has none: then this is no source of features either."""
        return self._source.features  # type: ignore[attr-defined, no-any-return]

    def named(self) -> Iterable[Feature]:
        """The source's own."""
        return self._source.named() if isinstance(self._source, NamedSource) else ()

    def plan(self) -> Iterable[TileRef]:
        """The source's own refs. Raises UsageError when not one of them has a caption."""
        found = 0
        for ref in self._source.plan():
            if caption := self._caption(ref):
                found += 1
                mark = hashlib.sha256(caption.encode()).hexdigest()[:8]
                yield replace(ref, stamp=f"{ref.stamp} {mark}")
            else:
                yield ref
        if not found:
            known = next(iter(self._captions), "no picture at all")
            raise UsageError(f"{self.uri}: none of its pictures is in the list of captions, which names {known}")

    def read(self, ref: TileRef) -> TileImage:
        """The source's picture with its caption; pictures without one keep their own."""
        image = self._source.read(ref)
        return replace(image, caption=self._caption(ref) or image.caption)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _caption(self, ref: TileRef) -> str:
        path = normalize("NFC", ref.key or ref.id)
        return self._captions.get(path) or self._captions.get(PurePosixPath(path).name) or ""
