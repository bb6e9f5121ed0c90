"""Recall as Markdown: one evaluation by itself, or rows of ours beside published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.markdown import line
from training.published import Row, other_protocol, published

_KS = ("R@1", "R@5", "R@10")
_WAYS = {"image_to_text": "image to text", "text_to_image": "text to image"}
_HEAD = (
    "model", "mean recall", "I→T R@1", "R@5", "R@10", "T→I R@1", "R@5", "R@10",
    "trained on", "image weights before", "gallery", "source",
)  # fmt: skip


def recall_report(result: Mapping[str, Any]) -> str:
    """A result of `training.evaluate.evaluate_retrieval` as Markdown: exact, text-equivalent and chance."""
    lines = [
        f"# Retrieval: {result['model']}",
        "",
        f"Mean recall **{result['mean_recall']:.2f}** {_ends(result['intervals']['mean_recall'])} over "
        f"{result['images']} images with {result['captions']} captions; {result['skipped']} images skipped.",
        "",
        line(("", *_KS)),
        line(("---", *("---:" for _ in _KS))),
    ]
    for way, title in _WAYS.items():
        ends = result["intervals"][way]
        lines.append(line((title, *(f"{result[way][k]:.2f} {_ends(ends[k])}" for k in _KS))))
        alike = result["text_equivalent"][way]
        lines.append(line((f"{title}, the same words count", *(f"{alike[k]:.2f}" for k in _KS))))
        lines.append(line((f"{title}, by chance", *(f"{result['chance'][way][k]:.2f}" for k in _KS))))
    return "\n".join([
        *lines, "",
        f"Percent; brackets: 95 % bootstrap over images (seed {result['seed']}); {result['ties']}. "
        f"Space {result['space']}, fingerprint {result['fingerprint']}.", "",
    ])  # fmt: skip


def comparison(dataset: str, results: Sequence[Row]) -> str:
    """Published rows of a data set and ours, by mean recall, as Markdown; ours are bold."""
    rows = sorted([*published(dataset), *results], key=lambda row: row.mean)
    lines = [f"# {dataset.upper()}", "", line(_HEAD), line(("---", *("---:" for _ in range(7)), *("---",) * 4))]
    lines += [line(_cells(row)) for row in rows]
    lines += ["", "Recall in percent. I→T: image to text, T→I: text to image. Brackets: 95 % bootstrap over images."]
    if ours := [row for row in results if "official" not in row.gallery]:
        lines.append(f"{', '.join(row.name for row in ours)}: not on the official test half; see the gallery.")
    if others := other_protocol(dataset):
        lines += ["", "Under another averaging of captions, so comparable with one another only (I→T, T→I):", ""]
        lines += [f"- {name}: {to_text:.2f}, {to_image:.2f} ({source})" for name, to_text, to_image, source in others]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    figures = [f"{value:.2f}" for way in (row.to_text, row.to_image) for value in way] if row.to_text else []
    if len(row.to_text) == 1:
        figures = [figures[0], "", "", figures[1], "", ""]
    mean = f"{row.mean:.2f}" + (f" {_ends(row.interval)}" if row.interval else "")
    source = f"{row.source} ({row.doubt})" if row.doubt else row.source
    name, mean = (f"**{row.name}**", f"**{mean}**") if row.ours else (row.name, mean)
    return name, mean, *(figures or [""] * 6), row.trained_on, row.image_weights, row.gallery, source


def _ends(interval: Sequence[float]) -> str:
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"
