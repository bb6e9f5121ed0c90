"""Words that nobody trained on: 40 queries in a caption's words and in other words, over real scenes set apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.bundle import load_bundle
from training.datasets import Pictures, read_captions
from training.scene_precision import read_paraphrases, scene_precision

REAL = Path("../shared/data/rsicd")
SPLIT = "hash:0/10"
"""The validation tenth, which no recipe learns from."""
QUERIES = Path(__file__).with_suffix(".json")


def run(model: str = "mini") -> dict[str, Any]:
    """Scene precision@10 of both phrasings, and of each query."""
    if not REAL.exists():
        return {"real scenes": f"{REAL} is not there"}
    captioned = read_captions(REAL / "captions.json", SPLIT)
    found = scene_precision(load_bundle(model), Pictures(REAL / "images.tar"), captioned, read_paraphrases(QUERIES))
    figures = {
        f"scene precision@10, {phrasing}, %": f"{found[phrasing]} {found['intervals'][phrasing]}"
        for phrasing in ("plain", "paraphrase")
    }
    each = {
        f"{query['plain']} / {query['paraphrase']}": f"{query['plain_precision']} / {query['paraphrase_precision']}"
        for query in found["queries"]
    }
    return {"model": model, "scenes searched": found["images"], **figures, "by chance, %": found["chance"], **each}
