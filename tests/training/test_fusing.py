"""Right and wrong maps of real pairs, by which one calibration weighs structure, discriminator and prototypes."""

from __future__ import annotations

import numpy as np

from geoanchor.tiling import tiles_in
from indexer.city.city import City
from indexer.render import render_map
from training.structure.fusing import KINDS, JointPairs, joint_pairs

TOWN = City(5, "A")
MAPS = np.stack([render_map(TOWN, tile) for tile in list(tiles_in(TOWN.extent, 17))[40:46]])


def made(seed: int = 0) -> JointPairs:
    return joint_pairs(MAPS, np.random.default_rng(seed))


def changed(pairs: JointPairs, row: int) -> np.ndarray:
    return (pairs.maps[row] != MAPS[pairs.place[row]]).any(axis=-1)


def test_each_map_is_right_once_and_wrong_in_every_way() -> None:
    pairs = made()
    assert (pairs.agree == (pairs.kind == "same")).all()
    for place in range(len(MAPS)):
        kinds = pairs.kind[pairs.place == place].tolist()
        assert kinds == ["same", "swap", "patch", "patch"]
    for row in np.flatnonzero(pairs.agree):
        assert not changed(pairs, row).any()
    assert set(pairs.kind.tolist()) == set(KINDS)
    for row, share in zip(np.flatnonzero(pairs.kind == "patch"), (0.5, 0.25) * len(MAPS), strict=True):
        y, x = np.nonzero(changed(pairs, row))
        assert (np.ptp(y) + 1) * (np.ptp(x) + 1) <= 1.02 * share * changed(pairs, row).size
    for row in np.flatnonzero(pairs.kind == "swap"):
        assert any(np.array_equal(pairs.maps[row], other) for other in np.delete(MAPS, pairs.place[row], axis=0))
