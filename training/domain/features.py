"""Pictures as a network's own features, worked out once, and batch statistics measured anew on another domain."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.domain.batches import Side, Views
from training.domain.network import SmallTowers, TwoTowers
from training.domain.pictures import DomainPictures, Rows

_BATCH = 128


class FeatureViews(Views):
    """A domain's pictures as features of the whole picture; no view differs from another.

    Args:
        features: (n, f) of every picture.
    """

    def __init__(self, pictures: DomainPictures, words: Tensor, features: Tensor) -> None:
        super().__init__(pictures, words, 1)
        self._features = features

    def whole(self, rows: Rows) -> Tensor:
        """(n, f)."""
        return self._features[torch.from_numpy(rows)]

    def _seen(self, rows: Rows, _turnable: Tensor, _generator: torch.Generator) -> Tensor:
        return self.whole(rows)


@torch.inference_mode()
def featured(views: Views, network: SmallTowers) -> FeatureViews:
    """The same domain as features of a network that stays as it is."""
    network.eval()
    rows = torch.arange(len(views.pictures)).split(_BATCH)  # type: ignore[no-untyped-call]
    features = torch.cat([network.features(views.whole(some.numpy())) for some in rows])
    return FeatureViews(views.pictures, views.words, features.clone())


@torch.no_grad()
def measure_statistics(network: TwoTowers, side: Side) -> None:
    """Replace means and variances of batch normalisation by those over a side's whole pictures (Li et al. 2017)."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    former = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    for start in range(0, len(side.rows), _BATCH):
        network.pictures(side.views.whole(side.rows[start : start + _BATCH]))
    for norm, momentum in zip(norms, former, strict=True):
        norm.momentum = momentum
    network.eval()
