"""Training on the source: pictures and segments against captions (UrbanCross stage 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from geoanchor.errors import TrainingFailed, UsageError
from training.domain.batches import Batch, Side, in_turn
from training.domain.contrast import contrast
from training.domain.judge import Judge
from training.domain.network import TwoTowers
from training.domain.recipe import Pretraining, SegmentSpec
from training.fitting import Fitting
from training.segments.weights import caption_weights, pooled

CHECKPOINT = "source.pt"


def pair_loss(network: TwoTowers, batch: Batch, shape: Pretraining, segments: SegmentSpec) -> Tensor:
    """L_img2text + lambda_s L_seg2text (+ segments against pictures) of one batch; a scalar."""
    pictures, words, scale = network.pictures(batch.pictures), network.words(batch.words), network.scale()
    positive, there = batch.positive.to(network.device), batch.there.to(network.device)
    total = contrast(shape.contrast, pictures, words, scale, positive, shape.margin)
    if not segments.count:
        return total
    crops = network.pictures(batch.crops[batch.there])
    vectors = crops.new_zeros(*there.shape, network.dim)
    vectors[there] = crops
    weights = caption_weights(vectors, there, words, segments.weighting, segments.temperature)
    fused = pooled(vectors, there, weights)
    total = total + segments.weight * contrast(
        shape.contrast, fused, words, scale, positive, shape.margin
    )  # fmt: skip
    if segments.image_weight:
        own = torch.eye(len(pictures), device=network.device)
        total = total + segments.image_weight * contrast(
            shape.contrast, fused, pictures, scale, own, shape.margin
        )  # fmt: skip
    return total


class Pretrainer(Fitting[TwoTowers]):
    """A network at one step of the training on the source."""

    def __init__(
        self,
        network: TwoTowers,
        source: Side,
        judge: Judge,
        shape: Pretraining,
        segments: SegmentSpec,
        run: Path,
    ) -> None:
        if len(source.rows) < shape.batch:
            raise UsageError(
                f"the source has {len(source.rows)} pictures to learn from, fewer than a batch of {shape.batch}"
            )
        schedule = shape.model_copy(update={"steps": shape.steps_over(len(source.rows)), "epochs": 0})
        super().__init__(network, schedule, run / CHECKPOINT, run / "source.jsonl")
        self._source, self._judge = source, judge
        self._shape, self._segments = shape, segments

    def loss(self, step: int) -> Tensor:
        """Of the batch of one step. Raises TrainingFailed where it is no number any more."""
        shape = self._shape
        rows = in_turn(self._source.rows, shape.batch, step, shape.seed)
        batch = self._source.views(rows, np.random.default_rng([shape.seed, 1, step]))
        with self.model.arithmetic():
            loss = pair_loss(self.model, batch, shape, self._segments).float()
        if not math.isfinite(float(loss.detach())):
            raise TrainingFailed(
                f"the loss is {float(loss.detach())} at step {step}; lower pretraining.learning_rate and start again"
            )
        return loss

    def bound(self) -> None:
        """Keep the factor on cosines in range."""
        self.model.clamp()

    def figures(self) -> Mapping[str, float]:
        """Mean recall on the source's validation tenth."""
        return {"validation": self._judge.mean_recall(self.average)}
