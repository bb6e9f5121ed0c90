"""The adaptation matrix as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.markdown import line

BASE = "no adaptation"


def matrix_table(result: Mapping[str, Any]) -> str:
    """The result of `training.domain.matrix.run_matrix` as Markdown: a row for each way, a column for each transfer.

    A cell is mean recall in percent, its spread over the seeds and, in brackets, how many times that of no adaptation.
    """
    transfers = result["transfers"]
    rows = list(dict.fromkeys(row for own in transfers.values() for row in own))
    lines = [line(["", *transfers]), line(["---"] * (1 + len(transfers)))]
    lines += [line([row, *(_cell(own, row) for own in transfers.values())]) for row in rows]
    lines.append(line(["chance", *(f"{own[BASE]['chance']:.2f}" for own in transfers.values())]))
    lines.append(line(["pictures, captions", *(_counted(own) for own in transfers.values())]))
    return "\n".join([_head(result), "", *lines])


def _head(result: Mapping[str, Any]) -> str:
    said = f"Mean recall in percent on the target's test; {len(result['seeds'])} seeds; "
    said += f"target text: {result['target_text']}."
    within = [
        f"{row}, {name}"
        for name, own in result["transfers"].items()
        for row in own
        if row != BASE and own[row]["sd"] is not None and _within(own[row], own[BASE])
    ]
    if within:
        said += f" Within one standard deviation of no adaptation: {'; '.join(within)}."
    if result["absent"]:
        said += f" Left out, since its pictures are not there: {', '.join(result['absent'])}."
    return said


def _within(row: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    return bool(abs(row["mean_recall"] - base["mean_recall"]) < max(row["sd"], base["sd"]))


def _cell(own: Mapping[str, Any], row: str) -> str:
    mean, spread, base = own[row]["mean_recall"], own[row]["sd"], own[BASE]["mean_recall"]
    told = f"{mean:.2f}" + (f" ± {spread:.2f}" if spread is not None else "")
    return told if row == BASE or not base else f"{told} ({mean / base:.2f})"


def _counted(own: Mapping[str, Any]) -> str:
    return f"{own[BASE]['images']}, {own[BASE]['captions']}"
