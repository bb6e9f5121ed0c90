"""Whether words find the right kind of place: scene precision of queries in plain words and in other words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from geoanchor.errors import UsageError, reason_of
from geoanchor.protocols import Encoder
from retrieval import metrics
from training.datasets import Captioned, Pictures
from training.encoding import Progress, encode_readable, encode_texts, shared_space, silent, untold

_K = 10


class Paraphrase(BaseModel):
    """One question asked twice: `plain`, as captions put it, and `paraphrase`; `scenes` that answer it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plain: str
    paraphrase: str
    scenes: tuple[str, ...] = Field(min_length=1)


def read_paraphrases(path: Path) -> list[Paraphrase]:
    """A JSON list of them. Raises UsageError when the file is none."""
    try:
        return TypeAdapter(list[Paraphrase]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(f"{path}: not a list of paraphrases ({reason_of(error)})") from error


def scene_precision(
    encoder: Encoder,
    pictures: Pictures,
    captioned: Sequence[Captioned],
    queries: Sequence[Paraphrase],
    batch_size: int = 64,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Scene precision@10 of both phrasings, percent, with chance: the share of right scenes in the gallery.

    Returns:
        {"plain": mean, "paraphrase": mean, "chance": mean, "intervals": {...}, "images": n, "queries": [{"plain",
        "paraphrase", "scenes", "plain_precision", "paraphrase_precision", "chance"}]}; ties in expectation, intervals
        95 % bootstrap over queries.

    Raises UsageError when a picture has no scene, or a query's scene is not in the gallery.
    """
    scene_of = {item.image: item.scene for item in captioned}
    if missing := next((image for image, scene in scene_of.items() if scene is None), None):
        raise UsageError(f"{missing} has no scene class, so nothing can be said of scenes")
    space = shared_space(encoder, "aerial", "text")
    vectors, kept = encode_readable(
        encoder, list(scene_of), pictures.read, "aerial", (space,), batch_size, progress, untold
    )
    scenes = np.array([scene_of[name] for name in kept])
    right = np.stack([np.isin(scenes, query.scenes) for query in queries])
    if (nowhere := ~right.any(axis=1)).any():
        raise UsageError(f"no picture shows {queries[int(np.argmax(nowhere))].scenes[0]}, which a query asks for")
    chance = 100 * right.mean(axis=1)
    found = {}
    for phrasing in ("plain", "paraphrase"):
        texts = encode_texts(encoder, [getattr(query, phrasing) for query in queries], space)
        found[phrasing] = 100 * metrics.expected_precision(texts @ vectors[space].T, right, _K)
    return {
        **{phrasing: round(float(own.mean()), 1) for phrasing, own in found.items()},
        "chance": round(float(chance.mean()), 1),
        "intervals": {name: [round(end, 1) for end in metrics.interval(own)] for name, own in found.items()},
        "images": len(kept),
        "queries": [
            query.model_dump(mode="json")
            | {f"{phrasing}_precision": round(float(own[row]), 1) for phrasing, own in found.items()}
            | {"chance": round(float(chance[row]), 1)}
            for row, query in enumerate(queries)
        ],
    }
