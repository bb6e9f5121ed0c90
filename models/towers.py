"""Trainable image towers: a backbone and a head that keeps what is there and, coarsely, where it lies."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from geoanchor.errors import UsageError
from models import mobilenet, resnet


class Head(nn.Module):
    """Linear, GELU, Linear to unit vectors: (n, features) -> (n, dim)."""

    def __init__(self, features: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.inner = nn.Linear(features, hidden)
        self.outer = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(n, features) -> (n, dim), rows of unit length."""
        return normalize(self.outer(nn.functional.gelu(self.inner(x))), dim=-1)


class ImageTower(nn.Module):
    """Pictures of one modality to unit vectors.

    The deepest feature map is averaged over the picture: what is there. The one before it, squeezed to
    `layout_channels` and kept cell by cell, tells where things lie; two layers that show the same ground agree on both.

    Args:
        architecture: any timm name that can give feature maps.
        size_px: side of the square input. dim: length of the vectors. hidden: width of the head.
        layout_channels: 0 leaves the layout out.
    """

    def __init__(self, architecture: str, size_px: int, dim: int, hidden: int, layout_channels: int) -> None:
        super().__init__()
        self.backbone, (shallow, deep), stride = _backbone(architecture)
        cells = (size_px // stride) ** 2
        self.layout = nn.Conv2d(shallow, layout_channels, 1) if layout_channels else None
        self.head = Head(deep + layout_channels * cells, hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, size, size) normalised pixels -> (n, dim), rows of unit length."""
        shallow, deep = self.backbone(x)
        features = deep.mean(dim=(2, 3))
        if self.layout is not None:
            features = torch.cat([features, self.layout(shallow).flatten(1)], dim=1)
        return cast(Tensor, self.head(features))


def _backbone(architecture: str) -> tuple[nn.Module, Sequence[int], int]:
    """A network that gives its last two feature maps; their channels; pixels to a cell of the first."""
    if architecture == mobilenet.NAME:
        return mobilenet.MobileNet(), mobilenet.CHANNELS, mobilenet.STRIDE
    if architecture == resnet.NAME:
        return resnet.ResNet(), resnet.CHANNELS, resnet.STRIDE
    import timm

    try:
        network = timm.create_model(architecture, pretrained=False, features_only=True, out_indices=(-2, -1))
    except RuntimeError as error:
        known = f"{mobilenet.NAME}, {resnet.NAME}, or one that timm gives features of"
        raise UsageError(f"no network is called {architecture!r}; name {known}") from error
    return network, network.feature_info.channels(), network.feature_info.reduction()[0]


def fold_batchnorm(tower: ImageTower, size_px: int) -> ImageTower:
    """A copy for inference with every batch norm that directly follows a convolution folded into it.

    Which follows which is seen by running a picture through, so any architecture will do.
    """
    tower = copy.deepcopy(tower).eval()
    owner: dict[int, nn.Conv2d] = {}
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    kept: list[Tensor] = []

    def after_conv(conv: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        owner[id(out)] = cast(nn.Conv2d, conv)
        kept.append(out)  # so that no id is given out twice

    def before_norm(norm: nn.Module, args: tuple[Tensor, ...]) -> None:
        if id(args[0]) in owner:
            pairs.append((owner[id(args[0])], cast(nn.BatchNorm2d, norm)))

    hooks = [m.register_forward_hook(after_conv) for m in tower.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(before_norm) for m in tower.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.inference_mode():
        tower(torch.zeros(1, 3, size_px, size_px))
    for hook in hooks:
        hook.remove()
    names = {module: name for name, module in tower.named_modules()}
    for conv, norm in pairs:
        fused = fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = fused.weight, fused.bias
        # timm's norms carry the activation that follows them; it stays.
        after = [getattr(norm, part) for part in ("drop", "act") if hasattr(norm, part)]
        tower.set_submodule(names[norm], nn.Sequential(*after))
    return tower
