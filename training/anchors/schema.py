"""The eleven attributes of a tile, their record, and the words they are told in (after U-CSA section 3.1)."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_WORDS = 40
"""Of a summary."""

Branch = Literal["aerial", "map"]
"""Whose text: the aerial side is told all, the map side only what a map shows."""
AnchorSource = Literal["osm", "raster", "qwen", "osm_fallback"]
"""Who made an anchor; osm_fallback: the geometry, where the language model gave no valid answer."""


class Attributes(BaseModel):
    """What a tile is; every value is one of a closed list, whose order is the index of the class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    building_density: Literal["none", "very_low", "low", "medium", "high", "very_high"]
    block_pattern: Literal[
        "none", "open_land", "dispersed", "grid_blocks", "perimeter_blocks", "row_blocks", "superblock",
        "irregular_blocks",
    ]  # fmt: skip
    dominant_building_size: Literal["none", "tiny", "small", "medium", "large", "very_large", "mixed"]
    roof_hint: Literal["none", "simple_rectangular", "compound", "large_flat_span", "courtyard", "mixed", "unknown"]
    construction_state: Literal["none", "established", "under_construction", "cleared_land", "mixed", "unknown"]
    building_shape: Literal["none", "rectangular", "elongated", "l_or_u_shaped", "courtyard", "complex", "mixed"]
    building_arrangement: Literal["none", "isolated", "clustered", "scattered", "regular_spacing", "attached_rows"]
    orientation_order: Literal["none", "aligned", "mostly_aligned", "mixed"]
    road_pattern: Literal["none", "single_road", "parallel", "grid", "loops_and_dead_ends", "radial", "irregular"]
    junction_density: Literal["none", "low", "medium", "high"]
    open_space: Literal["little", "fragmented", "substantial", "dominant"]

    def values(self) -> dict[str, str]:
        """Attribute -> value, in the order of the list."""
        return {name: getattr(self, name) for name in ATTRIBUTES}

    def codes(self) -> tuple[int, ...]:
        """Index of each value in its vocabulary, in the order of `ATTRIBUTES`."""
        return tuple(VOCABULARY[name].index(value) for name, value in self.values().items())


VOCABULARY: Mapping[str, tuple[str, ...]] = {
    name: get_args(field.annotation) for name, field in Attributes.model_fields.items()
}
"""Attribute -> its values, in index order."""
ATTRIBUTES = tuple(VOCABULARY)
MAP_ATTRIBUTES = tuple(name for name in ATTRIBUTES if name not in ("roof_hint", "construction_state"))
"""Those that a map shows."""
_WATER = (0.1, 0.5, 0.9)
"""Shares of water at which a tile has some, is mostly water, and is open water."""
_UNSAID = ("none", "unknown")


def _short(summary: str) -> str:
    count = len(summary.split())
    if count > MAX_WORDS:
        raise ValueError(f"a summary has at most {MAX_WORDS} words, not {count}")
    return summary


Summary = Annotated[str, AfterValidator(_short)]


class Anchor(BaseModel):
    """The anchor of one tile, a line of a JSONL file.

    Attributes:
        id: of the tile's picture, or its grid address.
        attributes, summary: the anchor itself; at most 40 words.
        source: who made it; annotator_version: by which rules or prompt and model.
        metrics: the numbers behind the labels, so that they can be labelled anew without geometry.
        retries: turns that a language model needed beyond the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    attributes: Attributes
    summary: Summary
    source: AnchorSource
    annotator_version: str
    metrics: dict[str, float] = Field(default_factory=dict)
    retries: int = Field(default=0, ge=0)


def agreement(one: Attributes, other: Attributes) -> int:
    """How many of the eleven attributes are equal, 0..11."""
    return sum(a == b for a, b in zip(one.codes(), other.codes(), strict=True))


def listing(attributes: Attributes, branch: Branch = "aerial") -> str:
    """The attributes as "key: value" list, e.g. "building density: low, block pattern: dispersed, ..."."""
    said = _said(attributes, branch)
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in said.items())


def sentence(attributes: Attributes, tile_id: str, branch: Branch = "aerial", water_share: float = 0.0) -> str:
    """The attributes as one sentence of at most 40 words; the same tile is always told in the same of three ways.

    Args:
        water_share: of the tile's area; told last where it is a tenth or more, since no attribute tells it.
    """
    said = _said(attributes, branch)
    template = _TEMPLATES[hashlib.sha256(tile_id.encode()).digest()[0] % len(_TEMPLATES)]
    clauses = (" ".join(word for slot in clause if (word := _phrase(said, slot))) for clause in template)
    text = "; ".join(clause for clause in (*clauses, _water(water_share)) if clause) + "."
    assert len(text.split()) <= MAX_WORDS, text
    return text


def _water(share: float) -> str:
    return ("", "some water", "mostly water", "open water")[bisect_right(_WATER, share)]


def _said(attributes: Attributes, branch: Branch) -> dict[str, str]:
    """Attribute -> words, without those that say nothing or that the branch cannot see."""
    seen = ATTRIBUTES if branch == "aerial" else MAP_ATTRIBUTES
    values = attributes.values()
    return {name: values[name].replace("_", " ") for name in seen if values[name] not in _UNSAID}


def _phrase(said: Mapping[str, str], slot: str) -> str:
    """ "attribute|words with {}" -> the words, or "" where there is nothing to be said of that attribute."""
    name, _, words = slot.partition("|")
    return words.format(said[name]) if name in said else ""


_TEMPLATES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (
        ("building_density|{} built-up area", "dominant_building_size|of {}", "building_shape|{} buildings"),
        ("building_arrangement|{}", "orientation_order|{}"),
        ("block_pattern|{}",),
        ("road_pattern|roads: {}", "junction_density|with {} junctions"),
        ("open_space|{} open space",),
        ("roof_hint|{} roofs", "construction_state|{}"),
    ),
    (
        ("block_pattern|{}", "building_density|at {} density"),
        ("dominant_building_size|{} buildings", "building_shape|{} in outline", "building_arrangement|{}"),
        ("orientation_order|orientation {}",),
        ("open_space|open space {}",),
        ("road_pattern|{} road network", "junction_density|{} junction density"),
        ("construction_state|{}", "roof_hint|roofs {}"),
    ),
    (
        ("open_space|open space {}", "road_pattern|roads {}", "junction_density|junctions {}"),
        ("dominant_building_size|{}", "building_shape|{}", "building_arrangement|footprints {}"),
        ("orientation_order|{}", "block_pattern|{}"),
        ("building_density|built-up share {}",),
        ("roof_hint|{} roofs", "construction_state|{}"),
    ),
)  # fmt: skip
"""Three ways to tell a tile: clauses of slots, each "attribute|words with {}"."""
