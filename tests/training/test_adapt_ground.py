"""The ground that an index is adapted to: of its own pairs, what both pictures show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import geoanchor
from geoanchor.manifest import read_manifest
from geoanchor.structure import VOID
from models.palette import map_classes
from retrieval.index.lance import LanceStore
from retrieval.serving import Serving
from training.adapt.ground import OwnGround, read_ground


def ground_of(folder: Path, side: int) -> OwnGround:
    return read_ground(Serving.open(folder, read_manifest(folder)), LanceStore.open(folder), side, 0)


def test_frames_that_differ_are_cut_to_the_ground_they_share(tmp_path: Path) -> None:
    """The picture is painted like a map, so that its own classes say what its map must show there."""
    town = np.full((220, 220, 3), (242, 239, 233), np.uint8)
    for left, top in np.random.default_rng(0).integers(0, 200, (40, 2)).tolist():
        town[top : top + 16, left : left + 16] = (217, 208, 201)
    for layer, east, south in (("aerial", 0, 0), ("map", 12, 8)):
        frame = tmp_path / layer / "a.png"
        frame.parent.mkdir()
        Image.fromarray(town[south : south + 200, east : east + 200]).save(frame)
        corner = (11 + (east + 0.5) * 1e-5, 48 - (south + 0.5) * 1e-5)
        frame.with_suffix(".pgw").write_text("\n".join(map(str, (1e-5, 0, 0, -1e-5, *corner))))
        geoanchor.build(str(frame.parent), tmp_path / "t.index", layer=layer)
    ground = ground_of(tmp_path / "t.index", 188)
    assert len(ground) == 1
    assert (map_classes(ground.aerial[0]) == ground.classes[0]).mean() > 0.95


def test_beyond_the_edge_of_a_map_nothing_is_learned(tmp_path: Path) -> None:
    town = np.full((200, 200, 4), (242, 239, 233, 255), np.uint8)
    for left, top in np.random.default_rng(0).integers(0, 180, (60, 2)).tolist():
        town[top : top + 16, left : left + 16, :3] = (217, 208, 201)
    for layer, end in (("aerial", 200), ("map", 140)):
        town[:, end:, 3] = 0
        frame = tmp_path / layer / "a.png"
        frame.parent.mkdir()
        Image.fromarray(town).save(frame)
        frame.with_suffix(".pgw").write_text("\n".join(map(str, (1e-5, 0, 0, -1e-5, 11, 48))))
        geoanchor.build(str(frame.parent), tmp_path / "t.index", layer=layer)
    (classes,) = ground_of(tmp_path / "t.index", 200).classes
    assert (classes[:, 140:] == VOID).all()
    assert (classes[:, :138] != VOID).mean() > 0.99
