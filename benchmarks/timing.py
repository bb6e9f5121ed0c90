"""Times rivals in turn in one process, so that a change in the machine's speed hits them alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median


def in_turn(runs: Mapping[str, Callable[[], object]], rounds: int = 5, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of every run, by name: A B A B ..., after `warm_up` rounds that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(warm_up + rounds):
        for name, run in runs.items():
            gc.collect()
            start = time.perf_counter()
            run()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(over: list[float], under: list[float]) -> tuple[float, float, float]:
    """Median, lowest and highest of the pairwise ratios over / under."""
    ratios = [a / b for a, b in zip(over, under, strict=True)]
    return median(ratios), min(ratios), max(ratios)


def percentile_ms(seconds: list[float], share: float) -> float:
    """Milliseconds below which `share` of the timings lie."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]
