"""A matching evaluation as Markdown: a row for each score, a column for each measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.markdown import line

_WHOLE = ("auroc", "f1_match", "f1_mismatch", "auroc_imagery_swapped")


def matching_table(result: Mapping[str, Any]) -> str:
    """The result of `training.evaluate.evaluate_matching` as Markdown; intervals in brackets are 95 % bootstrap."""
    rows = {result["score"]: result} | dict(result["baselines"])
    kinds, changed = list(result["kinds"]), [name for name, own in result["changed"].items() if "auroc" in own]
    header = ["score", *_WHOLE, *(f"AUROC {name}" for name in (*kinds, *changed))]
    lines = [line(header), line(["---"] * len(header))]
    for name, row in rows.items():
        whole = [_cell(row[measure], row["intervals"].get(measure)) for measure in _WHOLE]
        parts = [_cell(row["kinds"][kind]["auroc"], row["kinds"][kind]["interval"]) for kind in kinds]
        parts += [_cell(row["changed"][share]["auroc"], None) for share in changed]
        lines.append(line([name, *whole, *parts]))
    counted = f"{result['pairs']} pairs, {result['skipped']} skipped"
    return "\n".join([f"{counted}, model {result['model']}, threshold {result['threshold']}", "", *lines])


def _cell(value: float | None, interval: list[float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
