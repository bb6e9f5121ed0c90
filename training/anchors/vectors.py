"""Anchors from vector features, of a real extract and of the procedural city through the same code."""

from __future__ import annotations

from collections.abc import Sequence

from geoanchor.feature import Feature, FeatureSource
from geoanchor.tiling import Tile
from training.anchors.ground import ground_of, window
from training.anchors.metrics import METRICS_VERSION, measure
from training.anchors.rules import DEFAULT, Thresholds, calibrated, label
from training.anchors.schema import Anchor, AnchorSource, sentence


def annotate(features: FeatureSource | Sequence[Feature], tile: Tile, id: str = "") -> Anchor:
    """The anchor of one tile, deterministic.

    Args:
        features: what knows the place, or the features of the tile and 50 m around it, degrees, unclipped.
        id: of the tile's picture; its grid address where none is given.
    """
    if not isinstance(features, Sequence):
        features = features.features(window(tile.bounds))
    return anchor_of(measure(ground_of(features, tile.bounds)), id or str(tile), "osm")


def anchor_of(metrics: dict[str, float], id: str, source: AnchorSource, thresholds: Thresholds = DEFAULT) -> Anchor:
    """The anchor that a tile's numbers make: labels, and the sentence that tells them."""
    attributes = label(metrics, thresholds)
    return Anchor(
        id=id,
        attributes=attributes,
        summary=sentence(attributes, id, water_share=metrics.get("water_share", 0.0)),
        source=source,
        annotator_version=version_of(thresholds),
        metrics=metrics,
    )


def version_of(thresholds: Thresholds = DEFAULT) -> str:
    """What anchors measured and labelled now are marked with."""
    return f"metrics-{METRICS_VERSION}.{thresholds.version}"


def recalibrated(anchors: Sequence[Anchor]) -> list[Anchor]:
    """The anchors of one data set labelled anew by thresholds of its own (`rules.calibrated`), from the numbers that
    they keep; those that a model saw stay as they are."""
    thresholds = calibrated([anchor.metrics for anchor in anchors if _measured(anchor)])
    return [_relabelled(anchor, thresholds) if _measured(anchor) else anchor for anchor in anchors]


def _measured(anchor: Anchor) -> bool:
    """Whether it keeps the numbers that labels are made of; a model's tell only how far its two sides agree."""
    return "buildings" in anchor.metrics


def _relabelled(anchor: Anchor, thresholds: Thresholds) -> Anchor:
    made = anchor_of(anchor.metrics, anchor.id, anchor.source, thresholds)
    labels = {name: getattr(made, name) for name in ("attributes", "summary", "annotator_version")}
    return anchor.model_copy(update=labels)
