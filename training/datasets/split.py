"""Which pictures belong together: by the data set's own word, by the hash of their names, or by blocks of ground."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from geoanchor.errors import UsageError, first_fault
from geoanchor.tiling import cell_at, cell_name
from training.datasets.captioned import Captioned

BLOCK_RESOLUTION = 6
"""H3 cells of some 36 km2: neighbours, which look alike, stay on one side."""
ADAPTATION = {"validation": 1, "adapt": 2, "test": 7}
"""Tenths of the target; validation comes first, so that it is the tenth `hash:0/10`."""
_HASH = re.compile(r"hash:(\d+)(?:-(\d+))?/(\d+)")

By = Literal["name", "block"]


def of_split(items: list[Captioned], split: str | None, path: Path) -> list[Captioned]:
    """Those of one split, all for None.

    Args:
        split: the data set's own name of it; "hash:R/N" or "hash:R-S/N", those whose name's SHA-256 as a number leaves
            the remainder R (to S) when divided by N; or "FILE.json:NAME", a part of a split manifest.
        path: the captions file, named in messages.

    Raises UsageError when nothing is left.
    """
    if split is None:
        chosen = items
    elif split.startswith("hash:"):
        first, last, parts = _hash_split(split)
        chosen = [item for item in items if first <= bucket(item.image, parts) <= last]
    elif ".json:" in split:
        file, _, name = split.rpartition(":")
        chosen = read_manifest(Path(file)).part(items, name)
    else:
        chosen = [item for item in items if item.split == split]
    if not items:
        raise UsageError(f"{path}: holds no captioned picture")
    if not chosen:
        known = ", ".join(sorted({item.split or "none" for item in items})) or "none"
        raise UsageError(f"{path}: no picture of split {split!r}; splits in it: {known}")
    return chosen


def bucket(key: str, parts: int) -> int:
    """0..parts-1, by the SHA-256 of a key: the same everywhere, whatever else a data set holds."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % parts


def _hash_split(split: str) -> tuple[int, int, int]:
    found = _HASH.fullmatch(split)
    first, last, parts = (int(found[1]), int(found[2] or found[1]), int(found[3])) if found else (0, 0, 0)
    if not first <= last < parts:
        raise UsageError(f"{split!r}: a hash split is hash:R/N or hash:R-S/N with R <= S < N, such as hash:0/10")
    return first, last, parts


class SplitManifest(BaseModel):
    """Which picture is in which part, written down once and read by whoever trains or judges.

    Attributes:
        by: what was hashed: the name, or the H3 cell (`resolution`) that the picture lies in.
        shares: part -> how many of sum(shares) it gets.
        images: part -> names, sorted. No name is in two parts: what says otherwise is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    by: By
    resolution: int | None = Field(default=None, ge=0, le=15)
    shares: dict[str, int]
    images: dict[str, tuple[str, ...]]

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        part_of: dict[str, str] = {}
        for part, names in self.images.items():
            for name in names:
                if name in part_of:
                    raise ValueError(f"{name} is in {part_of[name]!r} and again in {part!r}")
                part_of[name] = part
        return self

    def part(self, items: Sequence[Captioned], name: str) -> list[Captioned]:
        """Items of one part. Raises UsageError for an unknown part, or an item that the manifest does not know."""
        if name not in self.images:
            raise UsageError(f"no part {name!r} in the split manifest; its parts: {', '.join(self.images)}")
        known = {image for names in self.images.values() for image in names}
        if strange := next((item.image for item in items if item.image not in known), None):
            raise UsageError(f"{strange} is not in the split manifest, which is of other pictures; make it anew")
        wanted = set(self.images[name])
        return [item for item in items if item.image in wanted]


def divide(
    items: Sequence[Captioned],
    by: By = "name",
    shares: dict[str, int] | None = None,
) -> SplitManifest:
    """Share pictures out, 2:1:7 where nothing else is said; adding pictures moves none from one part to another.

    Raises UsageError when blocks are asked for and a picture has no position.
    """
    shares = shares or ADAPTATION
    order = [part for part, share in shares.items() for _ in range(share)]
    images: dict[str, list[str]] = {part: [] for part in shares}
    for item in items:
        images[order[bucket(_key(item, by), len(order))]].append(item.image)
    kept = {part: tuple(sorted(names)) for part, names in images.items()}
    return SplitManifest(by=by, resolution=BLOCK_RESOLUTION if by == "block" else None, shares=shares, images=kept)


def _key(item: Captioned, by: By) -> str:
    if by == "name":
        return item.image
    if item.lng is None or item.lat is None:
        raise UsageError(f"{item.image} has no lng and lat, so it lies in no block; split by name")
    return cell_name(cell_at(item.lng, item.lat, BLOCK_RESOLUTION))


def read_manifest(path: Path) -> SplitManifest:
    """Read a manifest. Raises UsageError when it is none, or a picture is in two of its parts."""
    try:
        return SplitManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot read the split manifest ({error.strerror})") from error
    except ValidationError as error:
        raise UsageError(f"{path}: not a split manifest that can be used: {first_fault(error)}") from error
