"""Numbers to labels: versioned thresholds, so that a tile can be labelled anew without its geometry."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from training.anchors.schema import Attributes

RULES_VERSION = "2"
MAX_CLASS_SHARE = 0.7
"""A class that holds more of a data set's tiles than this tells them too little apart: calibrate."""
WIDE_M = 443.0
"""Side of a tile as large as a circle of 250 m radius: its junctions are told by density, not by number."""
_SMALL_M = 139.0
"""Tiles smaller than this count junctions as a 77 m tile does; the geometric middle of 77 and 250."""

SIZES = ("tiny", "small", "medium", "large", "very_large")
SHAPES = ("rectangular", "elongated", "l_or_u_shaped", "courtyard", "complex")
_LEVELS = ("very_low", "low", "medium", "high", "very_high")

Metrics = Mapping[str, float]
"""What `training.anchors.metrics.measure` gives."""


class Thresholds(BaseModel):
    """Where the classes of the ordered attributes begin.

    Attributes:
        density: built-up share at which low, medium, high, very_high begin. order: R4 of mostly_aligned, aligned.
        junctions_km2: medium, high. junctions_wide, junctions_small: numbers of low, medium, high in tiles of about
            250 m and of about 77 m.
        open_space: open share of fragmented, substantial, dominant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    density: tuple[float, float, float, float] = (0.05, 0.15, 0.30, 0.45)
    order: tuple[float, float] = (0.50, 0.80)
    junctions_km2: tuple[float, float] = (60.0, 140.0)
    junctions_wide: tuple[int, int, int] = (1, 3, 6)
    junctions_small: tuple[int, int, int] = (1, 2, 3)
    open_space: tuple[float, float, float] = (0.10, 0.30, 0.60)

    @property
    def version(self) -> str:
        """Of the rules and of these thresholds; goes into `Anchor.annotator_version`."""
        if self == Thresholds():
            return f"rules-{RULES_VERSION}"
        return f"rules-{RULES_VERSION}-{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]}"


DEFAULT = Thresholds()


def label(metrics: Metrics, thresholds: Thresholds = DEFAULT) -> Attributes:
    """The eleven attributes of a tile from its numbers."""
    m, built = metrics, metrics["buildings"] > 0
    density = _density(m, thresholds)
    size = _majority(m, "size", SIZES) if built else "none"
    shape = _majority(m, "shape", SHAPES) if built else "none"
    arrangement = _arrangement(m)
    road = _road_pattern(m)
    return Attributes.model_validate({
        "building_density": density,
        "block_pattern": _block_pattern(m, size, arrangement, road),
        "dominant_building_size": size,
        "roof_hint": _roof(size, shape),
        "construction_state": _construction(m),
        "building_shape": shape,
        "building_arrangement": arrangement,
        "orientation_order": _orientation(m, thresholds),
        "road_pattern": road,
        "junction_density": _junctions(m, thresholds),
        "open_space": _open_space(m, thresholds),
    })  # fmt: skip


def calibrated(tiles: Sequence[Metrics], thresholds: Thresholds = DEFAULT) -> Thresholds:
    """Thresholds for one data set: quantiles where a class of an ordered attribute holds more than 70 % of the tiles.

    Tiles without a building or a direction keep their "none" and do not count. Junctions are left alone: a tile has a
    few of them, which no quantiles divide.
    """
    ordered: dict[str, tuple[Callable[[Metrics, Thresholds], str], str, int]] = {
        "density": (_density, "built_share", 5),
        "order": (_orientation, "building_order", 3),
        "open_space": (_open_space, "open_share", 4),
    }
    changed: dict[str, tuple[float, ...]] = {}
    for field, (labelled, metric, classes) in ordered.items():
        told = [(name, m[metric]) for m in tiles if (name := labelled(m, thresholds)) != "none"]
        common, numbers = Counter(name for name, _ in told).most_common(1), [number for _, number in told]
        if common and common[0][1] > MAX_CLASS_SHARE * len(told) and len(set(numbers)) >= classes:
            changed[field] = _steps(numbers, classes)[-len(getattr(thresholds, field)) :]
    return thresholds.model_copy(update=changed)


def _steps(numbers: Sequence[float], classes: int) -> tuple[float, ...]:
    return tuple(float(q) for q in np.quantile(numbers, np.arange(1, classes) / classes))


def _density(m: Metrics, t: Thresholds) -> str:
    if not m["buildings"] or m["built_share"] < 0.005:
        return "none"
    return _LEVELS[bisect_right(t.density, m["built_share"])]


def _majority(m: Metrics, group: str, names: Sequence[str]) -> str:
    """The class with the largest share of the footprints, "mixed" where that is below a half."""
    best = max(names, key=lambda name: m[f"{group}_{name}"])
    return best if m[f"{group}_{best}"] >= 0.5 else "mixed"


def _roof(size: str, shape: str) -> str:
    if shape in ("rectangular", "elongated") and size != "mixed":
        return "large_flat_span" if size in ("large", "very_large") else "simple_rectangular"
    return {"none": "none", "courtyard": "courtyard", "l_or_u_shaped": "compound", "complex": "compound"}.get(
        shape, "mixed"
    )


def _construction(m: Metrics) -> str:
    building = m["construction_share"] >= 0.10
    cleared = m["cleared_share"] >= 0.30 and m["built_share"] < 0.05
    if building or cleared:
        return "mixed" if building and cleared else "under_construction" if building else "cleared_land"
    return "established" if m["buildings"] else "none"


def _arrangement(m: Metrics) -> str:
    if m["buildings"] <= 3:
        return "isolated" if m["buildings"] else "none"
    if m["touching"] >= 0.5:
        return "attached_rows"
    return ("clustered", "scattered", "regular_spacing")[bisect_right((0.8, 1.2), m["clark_evans"])]


def _orientation(m: Metrics, t: Thresholds) -> str:
    if m["buildings"] < 3:
        return "none"
    return ("mixed", "mostly_aligned", "aligned")[bisect_right(t.order, m["building_order"])]


def _road_pattern(m: Metrics) -> str:
    if m["road_m"] < 20:
        return "none"
    if m["node_degree_max"] >= 5 or m["roundabouts"]:
        return "radial"
    junctions, order = m["junctions"], m["road_order"]
    if not junctions and m["road_lines"] == 1:
        return "single_road"
    if not junctions and order >= 0.8:
        return "parallel"
    crossings = order >= 0.8 and m["crossing_share"] >= 0.3
    if junctions >= 2 and (crossings or (junctions >= 4 and order >= 0.9)):
        return "grid"
    looping = order < 0.3 and junctions >= 2
    return "loops_and_dead_ends" if m["dead_end_share"] >= 0.3 or looping else "irregular"


def _junctions(m: Metrics, t: Thresholds) -> str:
    count = m["junctions"]
    if m["side_m"] >= WIDE_M:
        steps: tuple[float, ...] = t.junctions_km2
        return ("low", "medium", "high")[bisect_right(steps, count / m["area_m2"] * 1e6)] if count else "none"
    steps = t.junctions_small if m["side_m"] < _SMALL_M else t.junctions_wide
    return ("none", "low", "medium", "high")[bisect_right(steps, count)]


def _open_space(m: Metrics, t: Thresholds) -> str:
    little, substantial, dominant = t.open_space
    share = m["open_share"]
    if share < little or share >= dominant:
        return "little" if share < little else "dominant"
    return "substantial" if share >= substantial and m["open_largest"] >= 0.5 else "fragmented"


def _block_pattern(m: Metrics, size: str, arrangement: str, road: str) -> str:
    """The first rule that holds."""
    if not m["buildings"]:
        # Numbers kept by metrics-2 know of no water.
        return "open_land" if m["open_share"] - m.get("water_share", 0.0) >= 0.6 else "none"
    rules = (
        ("dispersed", m["built_share"] < 0.05),
        ("perimeter_blocks", m["perimeter_fill"] >= 0.8 and m["built_share"] >= 0.25),
        ("row_blocks", arrangement == "attached_rows"),
        ("grid_blocks", road == "grid"),
        ("superblock", m["largest_block"] >= 0.4 and size in ("large", "very_large") and m["buildings"] <= 8),
    )
    return next((name for name, holds in rules if holds), "irregular_blocks")
