"""How far two annotators agree: accuracy and Cohen's kappa for each attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from geoanchor.errors import UsageError
from training.anchors.schema import ATTRIBUTES, VOCABULARY, Anchor


class Agreement(BaseModel):
    """Two annotators' labels of the same tiles, compared.

    Attributes:
        tiles: annotated by both; accuracy: share of equal labels by attribute; kappa: the same beyond chance
            (Cohen 1960), None where both only ever gave one and the same label.
    """

    model_config = ConfigDict(frozen=True)

    tiles: int
    accuracy: Mapping[str, float]
    kappa: Mapping[str, float | None]

    def markdown(self) -> str:
        """A table, the mean last."""
        rows = [f"| {name} | {self.accuracy[name]:.3f} | {_number(self.kappa[name])} |" for name in ATTRIBUTES]
        known = [kappa for kappa in self.kappa.values() if kappa is not None]
        mean = float(np.mean(known)) if known else None
        rows.append(f"| **mean of {self.tiles} tiles** | {self.mean_accuracy:.3f} | {_number(mean)} |")
        return "\n".join(["| attribute | accuracy | Cohen's kappa |", "| --- | --- | --- |", *rows])

    @property
    def mean_accuracy(self) -> float:
        """Over the attributes."""
        return float(np.mean(list(self.accuracy.values())))


def compare(one: Sequence[Anchor], other: Sequence[Anchor]) -> Agreement:
    """Compare the anchors of the tiles that both have, by id. Raises UsageError when there are none."""
    others = {anchor.id: anchor for anchor in other}
    pairs = [(anchor, others[anchor.id]) for anchor in one if anchor.id in others]
    if not pairs:
        raise UsageError("the two sets of anchors have no tile in common: their ids are all different")
    codes = np.array([[a.attributes.codes(), b.attributes.codes()] for a, b in pairs])
    columns = {name: codes[:, :, n] for n, name in enumerate(ATTRIBUTES)}
    return Agreement(
        tiles=len(pairs),
        accuracy={name: float((own[:, 0] == own[:, 1]).mean()) for name, own in columns.items()},
        kappa={name: _kappa(own, len(VOCABULARY[name])) for name, own in columns.items()},
    )


def _kappa(codes: np.ndarray, classes: int) -> float | None:
    """(n, 2) codes -> (observed - chance) / (1 - chance)."""
    one, other = (np.bincount(codes[:, i], minlength=classes) / len(codes) for i in (0, 1))
    observed, chance = float((codes[:, 0] == codes[:, 1]).mean()), float(one @ other)
    return None if chance >= 1 else (observed - chance) / (1 - chance)


def _number(kappa: float | None) -> str:
    return "-" if kappa is None else f"{kappa:.3f}"
