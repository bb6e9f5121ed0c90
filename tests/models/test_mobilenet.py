"""The written-out backbone against timm's, which it must equal bit for bit."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from models import mobilenet
from models.towers import ImageTower, fold_batchnorm


@pytest.fixture(scope="module")
def twins() -> tuple[torch.nn.Module, mobilenet.MobileNet]:
    """timm's network with lively weights and norms, and ours with the same."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(1)
    theirs = timm.create_model(mobilenet.NAME, pretrained=False, features_only=True, out_indices=(-2, -1))
    with torch.no_grad():
        for name, values in theirs.state_dict().items():
            if "running_var" in name:
                values.uniform_(0.5, 2.0)
            elif name.split(".")[-2].startswith("bn"):
                values.copy_(values + 0.3 * torch.randn(values.shape)) if values.is_floating_point() else None
    ours = mobilenet.MobileNet()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("size_px", [96, 224])
def test_equals_timm(twins: tuple[torch.nn.Module, mobilenet.MobileNet], mode: str, size_px: int) -> None:
    pictures = torch.randn(3, 3, size_px, size_px)
    maps = []
    for network in twins:
        network.train(mode == "train")
        maps.append(network(pictures))
    for theirs, ours in zip(*maps, strict=True):
        assert float(theirs.detach().std()) > 0.01
        assert torch.equal(theirs, ours)


def test_what_it_says_of_itself(twins: tuple[torch.nn.Module, mobilenet.MobileNet]) -> None:
    info = twins[0].feature_info
    assert tuple(info.channels()) == mobilenet.CHANNELS
    assert info.reduction() == [mobilenet.STRIDE, 2 * mobilenet.STRIDE]


def test_fresh_weights_keep_the_signal_alive() -> None:
    torch.manual_seed(2)
    shallow, deep = mobilenet.MobileNet()(torch.randn(8, 3, 96, 96))
    assert all(0.1 < float(features.detach().std()) < 10 for features in (shallow, deep))


def test_folding_leaves_no_norm_and_changes_nothing() -> None:
    torch.manual_seed(3)
    tower = ImageTower(mobilenet.NAME, 64, 16, 32, 4)
    tower(torch.randn(16, 3, 64, 64))
    folded, pictures = fold_batchnorm(tower, 64), torch.randn(4, 3, 64, 64)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    torch.testing.assert_close(folded(pictures), tower.eval()(pictures), atol=1e-5, rtol=1e-4)


def test_a_tower_of_it_needs_neither_timm_nor_torchs_compiler() -> None:
    code = (
        "import sys, torch; from models.towers import ImageTower, fold_batchnorm;"
        f"fold_batchnorm(ImageTower({mobilenet.NAME!r}, 64, 16, 32, 4), 64)(torch.zeros(1, 3, 64, 64));"
        "print(sorted({'timm', 'torchvision', 'torch._dynamo'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
