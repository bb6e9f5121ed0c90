"""Captions as the plain file that everything here reads, and what to say of how they were made."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from geoanchor.errors import UsageError
from training.captions.quality import Quality
from training.captions.write import TEMPLATES, Written


def write_file(written: Sequence[Written], path: Path) -> None:
    """Write a JSON list [{"image", "captions", "tags", "by", "prompt", "score"}, ...], whole or not at all.

    Readers need the first two only. Raises UsageError where the file cannot be written.
    """
    records = [
        {
            "image": item.subject.name, "captions": list(item.captions), "tags": list(item.subject.tags),
            "by": item.by, "prompt": item.prompt, "score": round(item.quality.score, 4),
        }
        for item in written
    ]  # fmt: skip
    partial = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(records, ensure_ascii=False, indent=1) + "\n", "utf-8")
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error


def summary(written: Sequence[Written]) -> dict[str, Any]:
    """Figures of a run: how many captions, by whom, how long and how good, and each prompt's share in them."""
    prompts = sorted({name for item in written for name in item.variants})
    rows = []
    for name in prompts:
        judged = [item.variants[name] for item in written if name in item.variants]
        kept = sum(item.by != TEMPLATES and item.prompt == name for item in written)
        rows.append({"prompt": name, "answers": len(judged), "kept": kept} | _means(judged))
    told = [item.quality for item in written if item.by == TEMPLATES]
    if told:
        rows.append({"prompt": TEMPLATES, "answers": len(told), "kept": len(told)} | _means(told))
    words = [len(item.captions[0].split()) for item in written]
    return {
        "pictures": len(written),
        "captions": sum(len(item.captions) for item in written),
        "by": dict(Counter(item.by for item in written)),
        "mean_words": round(mean(words), 1) if words else 0.0,
        "prompts": rows,
    }


def _means(judged: Sequence[Quality]) -> dict[str, float | None]:
    """Mean of each measure over the captions that have it."""
    columns = ("score", "coverage", "support", "variety", "length", "likeness")
    values = {name: [value for item in judged if (value := getattr(item, name)) is not None] for name in columns}
    return {name: round(mean(own), 3) if own else None for name, own in values.items()}
