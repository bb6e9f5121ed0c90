"""The real Segment Anything, made tiny: its own classes, its own mask generator, random weights in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from tiny_sam import tiny_sam

from geoanchor.errors import BadInput, ModelNotFound, OfflineError
from geoanchor.settings import Settings
from models.sam import SamSegmenter, build_sam, open_sam
from models.segments import PartEncoder
from models.toy import ToyEncoder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sam") / "tiny.pth"
    torch.save(tiny_sam().state_dict(), path)
    return path


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (100, 140, 3)).astype(np.uint8)


def test_the_shape_is_read_off_the_weights(checkpoint: Path) -> None:
    ours, theirs = build_sam(torch.load(checkpoint, weights_only=True)).eval(), tiny_sam()
    image = torch.from_numpy(pixels()).permute(2, 0, 1).float()
    asked = {"image": image, "original_size": (100, 140), "point_coords": torch.tensor([[[30.0, 40.0]]]),
             "point_labels": torch.ones(1, 1)}  # fmt: skip
    image = torch.nn.functional.interpolate(image[None], (91, 128))[0]
    with torch.inference_mode():
        a, b = (sam([asked | {"image": image}], multimask_output=True)[0]["low_res_logits"] for sam in (ours, theirs))
    assert torch.equal(a, b)


def test_vit_b_is_rebuilt_as_its_own_library_builds_it() -> None:
    with torch.device("meta"):
        published = sam_model_registry["vit_b"]()
        shapes = {name: value.shape for name, value in published.state_dict().items()}
        attention = [block.window_size for block in published.image_encoder.blocks]
        ours = build_sam_shapes(published)
    assert {name: value.shape for name, value in ours.state_dict().items()} == shapes
    assert [block.window_size for block in ours.image_encoder.blocks] == attention
    assert ours.image_encoder.blocks[0].attn.num_heads == published.image_encoder.blocks[0].attn.num_heads


def build_sam_shapes(published: Sam) -> Sam:
    """`build_sam` on weights that take no memory."""
    real = Sam.load_state_dict
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sam, "load_state_dict", lambda self, state: real(self, state, assign=True))
        return build_sam(published.state_dict())


def test_masks_become_segments(checkpoint: Path) -> None:
    segmenter = SamSegmenter(
        checkpoint, device="cpu", points_per_side=4, pred_iou_thresh=-100.0, stability_score_thresh=0.0
    )
    masks = segmenter.segment(pixels())
    assert masks
    assert all(mask.pixels.shape == (100, 140) and 0 <= mask.stability <= 1 for mask in masks)
    again = segmenter.segment(pixels())
    assert all((a.pixels == b.pixels).all() for a, b in zip(masks, again, strict=True))
    encoder = ToyEncoder()
    parts = PartEncoder("sam:tiny", segmenter, encoder)
    [segments] = parts.encode([parts.cut(pixels())], encoder.encode([pixels()], "aerial")["semantic"])
    assert sum(segment.weight for segment in segments) == pytest.approx(1, abs=1e-6)


def test_the_published_thresholds_leave_random_weights_nothing_and_the_picture_stands_for_itself(
    checkpoint: Path,
) -> None:
    parts = PartEncoder("sam:tiny", open_sam(str(checkpoint), Settings()), ToyEncoder())
    assert parts.cut(pixels()) == ()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="neither a file nor one of vit_b, vit_l, vit_h"):
        open_sam("vit_x", Settings())
    with pytest.raises(OfflineError, match=r"put it at .*sam-vit_b.pth"):
        open_sam("vit_b", Settings(offline=True, cache_dir=tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "sam-vit_b.pth").write_bytes(b"no weights")
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(2)}, other)
    runs_code = tmp_path / "code.pth"
    torch.save({"weight": Path("anything")}, runs_code)
    for broken in (open_sam("vit_b", Settings(offline=True, cache_dir=tmp_path)), SamSegmenter(other)):
        with pytest.raises(BadInput):
            broken.segment(pixels())
    with pytest.raises(BadInput, match="could run code"):
        SamSegmenter(runs_code).segment(pixels())
