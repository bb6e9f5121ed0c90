"""Segments on and off, by picture alone, fused and by late interaction, on a frozen bundle: RSICD and the city."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from geoanchor.protocols import Encoder
from geoanchor.settings import Settings
from models.bundle import load_bundle
from models.segments import PartEncoder, open_segments
from training.datasets import Pictures, read_captions
from training.datasets.split import bucket
from training.segments.features import FrozenSet, freeze
from training.segments.fit import FitOptions, fit
from training.segments.judge import WAYS, judge
from training.transfer import country_tiles

RSICD = Path("../shared/data/rsicd")
CACHE = Path("runs/segments")
TRAIN_IMAGES = 2500
"""Of RSICD, to learn from; those whose name hashes to 0 modulo ten are for judging alone."""
TRAIN_TOWNS, HELD_OUT_TOWNS, TILES_A_TOWN = range(101, 109), range(301, 309), 40
SEEDS = (0, 1, 2)
SHARES = (0.1, 0.5)


def run(model: str = "mini") -> dict[str, Any]:
    """Mean recall in percent, mean and spread over the seeds, of each data set, training and way of asking."""
    encoder = load_bundle(model)
    parts = open_segments("regions", encoder, Settings())
    figures: dict[str, Any] = {"model": model, "space": encoder.spaces[parts.space].fingerprint}
    sets: dict[str, Callable[[bool], FrozenSet]] = {
        "RSICD": lambda train: _rsicd(encoder, parts, train),
        "city": lambda train: _city(encoder, parts, train),
    }
    for name, make in sets.items():
        train, held_out = (
            _cached(encoder, parts, f"{name}-{half}", make, half == "train") for half in ("train", "val")
        )
        figures[f"{name}: pictures learned from, judged on, captions"] = (
            f"{len(train.images)}, {len(held_out.images)}, {len(held_out.owner)}"
        )
        figures |= _figures(name, train, held_out)
    return figures


def _figures(name: str, train: FrozenSet, held_out: FrozenSet) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    frozen = judge(fit(train, FitOptions(epochs=0), 0), held_out)
    figures |= {f"{name}: bundle as it is, {way}": frozen[way] for way in WAYS}
    for told, weight in (("off", 0.0), ("on", 1.0)):
        options = FitOptions(segment_weight=weight, batch=min(256, max(16, len(train.images) // 10)))
        models = [fit(train, options, seed) for seed in SEEDS]
        judged = [judge(model, held_out) for model in models]
        figures |= {
            f"{name}: segment-text loss {told}, {way}": _spread([found[way] for found in judged]) for way in WAYS
        }
        for share in SHARES:
            found = judge(models[0], held_out, share)
            figures |= {
                f"{name}: segment-text loss {told}, {way}, share {share}, one seed": found[way] for way in WAYS[1:]
            }
    return figures


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def _rsicd(encoder: Encoder, parts: PartEncoder, train: bool) -> FrozenSet:
    items = [item for item in read_captions(RSICD / "captions.json") if bool(bucket(item.image, 10)) == train]
    items = sorted(items, key=lambda item: hashlib.sha256(item.image.encode()).digest())
    items = items[:TRAIN_IMAGES] if train else items
    pictures = Pictures(RSICD / "images.tar")
    return freeze(encoder, parts, (pictures.read(item.image) for item in items), [item.captions for item in items])


def _city(encoder: Encoder, parts: PartEncoder, train: bool) -> FrozenSet:
    tiles = country_tiles("A", TRAIN_TOWNS if train else HELD_OUT_TOWNS, TILES_A_TOWN)
    return freeze(encoder, parts, tiles.pictures, tiles.captions)


def _cached(
    encoder: Encoder, parts: PartEncoder, name: str, make: Callable[[bool], FrozenSet], train: bool
) -> FrozenSet:
    path = CACHE / f"{name}-{encoder.spaces[parts.space].fingerprint}.npz"
    if not path.is_file():
        make(train).save(path)
    return FrozenSet.load(path)
