"""The texts of a domain as a network reads them, kept beside its pictures: reading them is slow."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.domain.network import TwoTowers
from training.domain.pictures import DomainPictures
from training.domain.recipe import NetworkSpec


def words_of(pictures: DomainPictures, network: TwoTowers, spec: NetworkSpec, cache: Path) -> Tensor:
    """(t, ...) what `network.read` makes of the texts, which depends on nothing that is learned."""
    reader = "all-MiniLM-L6-v2" if spec.kind == "mini" else spec.architecture
    key = hashlib.sha256(json.dumps([reader, pictures.texts]).encode()).hexdigest()[:12]
    file = cache / f"words-{key}.npy"
    if not file.is_file():
        partial = cache / f"words-{key}.part.npy"
        np.save(partial, network.read(pictures.texts).numpy())
        partial.replace(file)
    return torch.from_numpy(np.load(file))
