"""Stage two over freshly trained towers: vectors of every cached tile and of its wrong maps, then fit and calibrate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.fusion import Calibration, FusionScorer
from training.anchorcache import read_anchors
from training.data import TilePairs
from training.matching.calibrate import calibrate
from training.matching.examples import Encode, Examples, joined
from training.matching.fit import CHECKPOINT, MatchingSession
from training.matching.judge import cosine, judged, trials
from training.matching.pictures import composed_pictures, drawn_pictures
from training.places import Split
from training.realpairs import PLACE
from training.recipe import Matching
from training.runlog import Log


def match(
    encoders: tuple[Encode, Encode],
    shape: Matching,
    tiles: Path,
    run: Path,
    log: Log,
    places: Sequence[str] | None = None,
) -> FusionScorer:
    """Fit the [matching] of a recipe on frozen towers; goes on from the run's checkpoint where there is one.

    Args:
        encoders: of aerial and map pictures. tiles: the cache, annotated and with wrong maps. run: folder of the
            checkpoint and of matching.json. places: names of those to learn from; None for all.
    """
    train = examples_of(tiles, "train", encoders, shape.views, places)
    held_out = examples_of(tiles, "val", encoders, 1)
    session = MatchingSession(shape, train)
    if (run / CHECKPOINT).is_file():
        session.load(run)
    net = session.fit(run)
    scorer = net.scorer(calibrate(net.scorer(Calibration()), held_out, shape))
    tests = trials(held_out)
    figures = {"matcher": judged(scorer.probability, tests, tests), "cosine": judged(cosine, tests, tests)}
    (run / "matching.json").write_text(json.dumps({"epochs": session.history, "validation": figures}, indent=1))
    log(json.dumps(figures))
    return scorer


def examples_of(
    tiles: Path, split: Split, encoders: tuple[Encode, Encode], views: int, places: Sequence[str] | None = None
) -> Examples:
    """Vectors of a split of the cache: drawn places with their edited maps, real pairs with composites of their own.

    Args:
        encoders: of aerial and map pictures. places: names of those to take; None for all.
    Raises:
        UsageError: nothing there, or a place without anchors.
    """
    names = TilePairs(tiles, split, places).names
    drawn = [name for name in names if name != PLACE]
    parts = []
    if drawn:
        pairs = TilePairs(tiles, split, drawn)
        parts.append(drawn_pictures(pairs, np.arange(len(drawn)), _attributes(pairs)))
    if PLACE in names:
        pairs = TilePairs(tiles, split, [PLACE])
        rows = range(len(pairs))
        parts.append(composed_pictures(pairs.aerial(rows), pairs.map(rows, [0] * len(rows)), _attributes(pairs), 1))
    return joined([part.encoded(*encoders, views) for part in parts])


def _attributes(pairs: TilePairs) -> np.ndarray:
    return read_anchors(pairs.shards, "listing").attributes
