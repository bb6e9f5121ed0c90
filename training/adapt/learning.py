"""Decoders that go on learning from a few hundred pairs, and what they are worth on ground they never saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from geoanchor.structure import CLASSES
from models.codes import CELLS
from models.decoding import Decoder
from models.structure import StructureNet
from retrieval.metrics import auroc_gain_error
from training.adapt.ground import OwnGround
from training.structure.base import Base
from training.structure.batches import Ground
from training.structure.calibrate import Examples, balanced, fit_calibration, judged_by_kind, make_examples
from training.structure.fit import StructureSession
from training.structure.fusing import KINDS as CALIBRATED
from training.structure.recipe import Decoder as DecoderShape
from training.structure.recipe import StructureSchedule
from training.structure.variants import Variants

Advance = Callable[[int, int], None]
"""Called with steps done, and of how many."""
_BATCH, _CROP_PX = 8, 192
_RATE, _TRIMMED, _EMA = 5e-4, 0.1, 0.95
_TAKEN = 0.3
"""How far the weights go from the base's to the adapted ones (Wortsman et al. 2022): all the way forgets too much."""
_LOG_EVERY = 5
_JUDGED = 400
"""Pairs that before and after are measured on."""
LEAST_STEPS, MOST_STEPS = 60, 300


@dataclass(frozen=True, slots=True)
class AdaptOptions:
    """How to adapt: folds, at least 2; steps of each decoder, 0 for one a pair within bounds; seed of everything."""

    folds: int = 4
    steps: int = 0
    seed: int = 0

    def steps_for(self, pairs: int) -> int:
        """Steps of each decoder."""
        return self.steps or min(MOST_STEPS, max(LEAST_STEPS, pairs))


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What the critic says of right and wrong maps: examples, (n,) logits, AUROC by kind of wrong map."""

    examples: Examples
    logits: Vectors

    @property
    def auroc(self) -> dict[str, float]:
        """By kind of wrong map."""
        return judged_by_kind(self.examples, self.logits)

    def error_over(self, before: Judged, seed: int) -> float:
        """Standard error of the mean AUROC's rise over what was said of the same maps before."""
        examples = self.examples
        then, now, weights = (some.astype(float) for some in (before.logits, self.logits, balanced(examples.kind)))
        return auroc_gain_error(then, now, examples.agree, examples.place, weights, seed)

    def line(self) -> Vectors:
        """(2,) bias and slope of the logistic curve that suits best.

        By the kinds that the base's own was fitted on, which are plain to see: by single houses, which seldom are,
        every mismatch would become a middling one, and would mean something else than before.
        """
        rows = np.isin(self.examples.kind, CALIBRATED)
        return fit_calibration(self.logits[rows, None], self.examples.agree[rows], self.examples.kind[rows])


def continued(
    base: Base, ground: OwnGround, rows: NDArray[np.int64], steps: int, seed: int, stepped: Callable[[int], None]
) -> StructureNet:
    """The base's decoder, moved towards what some steps on some of the pairs make of it."""
    spec = base.spec
    schedule = StructureSchedule(
        steps=steps, batch=_BATCH, crop_px=min(_CROP_PX, spec.size_px), learning_rate=_RATE, warmup=steps // 10,
        ema=_EMA, log_every=_LOG_EVERY, checkpoint_s=float("inf"), seed=seed, trimmed=_TRIMMED,
    )  # fmt: skip
    shape = DecoderShape(widths=spec.widths, pyramid=spec.pyramid, size_px=spec.size_px)
    with TemporaryDirectory() as run:
        grounds = [Ground(ground.aerial[rows], ground.classes[rows], 1.0)]
        session = StructureSession(shape, schedule, grounds, Path(run))
        session.start_from(base.decoder_weights)
        network = session.fit(lambda line: stepped(json.loads(line)["step"]))
    for name, tensor in network.state_dict().items():
        if tensor.dtype.is_floating_point:
            tensor.copy_(base.decoder_weights[name].lerp(tensor, _TAKEN))
    return network


def beliefs(decoders: Sequence[Decoder], fold: NDArray[np.int64], pictures: Sequence[Pixels]) -> Vectors:
    """Log-beliefs (n, CELLS, CELLS, 7) of pictures, each by the decoder of its fold (n,)."""
    found = np.zeros((len(pictures), CELLS, CELLS, len(CLASSES)), np.float32)
    for number, decoder in enumerate(decoders):
        rows = np.flatnonzero(fold == number).tolist()
        found[rows] = decoder.log_beliefs([pictures[row] for row in rows])
    return found


def judge(base: Base, ground: OwnGround, log_beliefs: Vectors, seed: int) -> Judged:
    """Right and wrong maps of the pairs, the same ones whatever is believed, told apart by the base's critic."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(ground))[:_JUDGED])
    none = np.full(len(rows), -1)
    variants = Variants(np.zeros_like(rows), np.arange(len(rows)), none, ground.classes[rows], log_beliefs[rows])
    examples = make_examples(variants, base.encoder.books, seed)
    return Judged(examples, base.critic(examples.features))
