"""Sketches: what they add to the likeness of the classes, and a bundle's file of them, whole or not."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from streets import ground

from geoanchor.errors import BadInput
from geoanchor.image import Pixels
from geoanchor.structure import shares
from models.bundle import SHIPPED, SKETCHES_NAME, load_bundle, read_bundle
from models.registration import Spectra
from models.sketches import Sketches
from models.text import file_sha256
from training.export import write_manifest

CHANNELS, WIDTH = 5, 6
FEATURES, CELLS, REACH = 4, 24, 3


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def sketches() -> Sketches:
    torch.manual_seed(1)
    return Sketches(FEATURES, CHANNELS, WIDTH).eval()


def inputs(count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(count, CELLS, CELLS, FEATURES)).astype(np.float32)
    return features, np.stack([shares(ground(row, 4 * CELLS), CELLS) for row in range(count)])


def test_both_sides_are_drawn_with_as_many_channels(sketches: Sketches) -> None:
    features, maps = inputs()
    for drawn in (sketches.draw_pictures(features), sketches.draw_maps(maps)):
        assert drawn.shape == (3, CELLS, CELLS, CHANNELS)
        assert drawn.dtype == np.float32
        assert np.isfinite(drawn).all()


def test_a_row_is_drawn_alike_whoever_stands_beside_it(sketches: Sketches) -> None:
    features, maps = inputs()
    np.testing.assert_allclose(sketches.draw_pictures(features)[1], sketches.draw_pictures(features[1:2])[0], atol=1e-6)
    np.testing.assert_allclose(sketches.draw_maps(maps)[2], sketches.draw_maps(maps[2:])[0], atol=1e-6)


def test_the_weight_is_what_drawn_channels_count_beside_the_plain_ones(sketches: Sketches) -> None:
    """Channels side by side: the likeness of all is that of the plain ones plus exp(weight) times that of the drawn."""
    features, maps = inputs()
    plain_maps, plain_pictures = (np.random.default_rng(n).normal(size=(3, CELLS, CELLS, 7)) for n in (3, 4))

    def table(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        rows = np.arange(3)
        return Spectra(ours.astype(np.float32), theirs.astype(np.float32), REACH).likeness(rows, rows)

    plain = table(plain_maps, plain_pictures)
    once = table(sketches.draw_maps(maps), sketches.draw_pictures(features))
    with torch.no_grad():
        sketches.weight.fill_(np.log(3.0))
    drawn_maps, drawn_pictures = sketches.draw_maps(maps), sketches.draw_pictures(features)
    joined = table(
        np.concatenate([plain_maps, drawn_maps], axis=-1), np.concatenate([plain_pictures, drawn_pictures], axis=-1)
    )
    np.testing.assert_allclose(joined, plain + 3 * once, atol=1e-3)
    assert np.abs(3 * once).max() > 0.01


# -- the shipped bundle's ----------------------------------------------------------------------------------------------


def copied(folder: Path) -> Path:
    shutil.copytree(SHIPPED / "mini", folder)
    return folder


def pictures(count: int = 1) -> list[Pixels]:
    return list(np.random.default_rng(1).integers(0, 256, (count, 160, 160, 3), np.uint8))


def told(folder: Path) -> np.ndarray:
    matcher = load_bundle(folder).matcher
    assert matcher is not None
    assert matcher.registrar is not None
    return matcher.registrar.offsets(pictures(), pictures())


def test_a_bundle_without_sketches_tells_shifts_by_its_classes(tmp_path: Path) -> None:
    folder = copied(tmp_path / "plain")
    manifest = read_bundle(folder)
    assert manifest.sketches is not None
    (folder / SKETCHES_NAME).unlink()
    write_manifest(folder, manifest.model_copy(update={"sketches": None}))
    assert told(folder).shape == (1, 2)
    # No vector hangs on them, so an index of the one is an index of the other.
    assert read_bundle(folder).embedding_spaces() == manifest.embedding_spaces()


def test_missing_foreign_and_misshapen_sketches_are_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = copied(tmp_path / "broken")
    file, manifest = folder / SKETCHES_NAME, read_bundle(folder)
    assert manifest.sketches is not None
    tensors = load_file(file)
    file.unlink()
    with pytest.raises(BadInput, match="are missing"):
        told(folder)
    tensors["sketches.quiet"] = np.zeros(3, np.float16)
    save_file(tensors, file)
    with pytest.raises(BadInput, match="SHA-256 differs"):
        told(folder)
    spec = manifest.sketches.model_copy(update={"weights_sha256": file_sha256(file)})
    write_manifest(folder, manifest.model_copy(update={"sketches": spec}))
    with pytest.raises(BadInput, match="does not hold the sketches"):
        told(folder)


def test_vectors_need_no_sketches(tmp_path: Path) -> None:
    """Whoever only searches by vectors never reads them."""
    folder = copied(tmp_path / "vectors")
    (folder / SKETCHES_NAME).unlink()
    found = load_bundle(folder).encode(pictures(), "aerial")
    assert set(found) == {"semantic", "structure", "structure_grid"}
