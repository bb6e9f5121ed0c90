"""Pairs of a map and an aerial picture as users have them: a CSV, or folders of pictures of the same names."""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from geoanchor.errors import UsageError, first_fault, reason_of
from training.sheet import Row, rows_of
from training.swaps import derangement

_AERIAL = ("aerial", "aerials", "image", "images", "imagery", "sat", "satellite")
_MAP = ("map", "maps", "osm")
_NEEDED = ("aerial", "map", "label")
_LABELS = {"true": 1, "yes": 1, "false": 0, "no": 0}
"""Words for labels, in any case."""
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


class Pair(BaseModel):
    """An aerial and a map picture.

    Attributes:
        aerial, map: paths. label: 1 where they show the same, unchanged place, else 0.
        kind: how the pair was made ("swap", "patch25", "delete", ...), "" where nobody says.
        changed: share of the picture that does not agree, 0..1.
        dx, dy: how far the map lies too far east and too far south, as shares of the side.
    """

    model_config = ConfigDict(frozen=True)

    aerial: Path
    map: Path
    label: int = Field(ge=0, le=1)
    kind: str = ""
    changed: float | None = Field(default=None, ge=0, le=1)
    dx: float | None = Field(default=None, ge=-1, le=1)
    dy: float | None = Field(default=None, ge=-1, le=1)

    @field_validator("label", mode="wrap")
    @classmethod
    def _number(cls, given: object, checked: ValidatorFunctionWrapHandler) -> int:
        try:
            return int(checked(_LABELS.get(str(given).lower(), given)))
        except ValidationError:
            allowed = "1, true or yes for the same, unchanged place, else 0, false or no"
            raise ValueError(f"{str(given)!r} is none; give {allowed}") from None


def read_pairs(path: Path, split: str | None = None, seed: int = 0) -> list[Pair]:
    """Pairs of a CSV, or of a folder of pictures.

    A CSV has the columns aerial, map, label (1, true, yes or 0, false, no) and, as far as known, kind, changed, dx, dy;
    relative paths count from its own folder, and may have been written on Windows.

    Of a folder every two subfolders side by side, one of aerial pictures (`aerial`, `image`, `imagery`, `sat`, ...),
    one of maps (`map`, `maps`, `osm`), pair their files by name, whatever the ending; the MSTcons layout
    <subset>/<city>/{train,val,test}/{image,map}/NAME.png is one such, {image,map}/{train,val,test}/NAME.png another.
    Each pair has label 1, and each map once more label 0 and kind "swap" beside an aerial picture of another place of
    the same two folders.

    Args:
        split: only files below a folder of this name, which may be `path` itself. seed: of the swaps.
    Raises:
        UsageError: naming the line that is wrong, or what a folder lacks.
    """
    if path.is_dir():
        return _of_folder(path, split, seed)
    if path.is_file() and tarfile.is_tarfile(path):
        raise UsageError(f"{path}: pairs are a CSV or a folder, not a tar; unpack it and name its folder")
    if split is not None:
        raise UsageError(f"{path}: a CSV of pairs has no splits; leave --split out")
    try:
        pairs = [_resolved(pair, path.parent) for pair in _pairs(rows_of(path.read_bytes()), path)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot read pairs ({reason_of(error)})") from error
    if not pairs:
        raise UsageError(f"{path}: holds no pairs")
    return pairs


def _pairs(rows: Iterator[Row], path: Path) -> Iterator[Pair]:
    header = [name.strip().lower() for name in next(rows, (0, []))[1]]
    if missing := sorted({*_NEEDED} - {*header}):
        raise UsageError(f"{path}: column {', '.join(missing)} is missing; needs {', '.join(_NEEDED)}")
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise UsageError(f"{path}: column {', '.join(twice)} is there more than once")
    for line, fields in rows:
        row = dict(zip(header, map(str.strip, fields), strict=False))
        if empty := [name for name in _NEEDED if not row.get(name)]:
            raise UsageError(f"{path}, line {line}: {', '.join(empty)} is empty; each pair needs {', '.join(_NEEDED)}")
        try:
            yield Pair.model_validate({name: row[name] for name in Pair.model_fields if row.get(name)})
        except ValidationError as error:
            raise UsageError(f"{path}, line {line}: {first_fault(error)}") from error


def _resolved(pair: Pair, folder: Path) -> Pair:
    """With both paths in the one way that each file has, however it is named: a picture is one gallery item."""
    return pair.model_copy(update={"aerial": _file(folder, pair.aerial), "map": _file(folder, pair.map)})


def _file(folder: Path, written: Path) -> Path:
    """The file of a path; backslashes part folders where only that leads to a file, as in lists made on Windows."""
    path, other = folder / written, folder / str(written).replace("\\", "/")
    return (other if other != path and not path.exists() and other.exists() else path).resolve()


def _of_folder(root: Path, split: str | None, seed: int) -> list[Pair]:
    rng = np.random.default_rng(seed)
    pairs: list[Pair] = []
    for folder in sorted(path for path in (root, *root.rglob("*")) if path.is_dir()):
        below = split is None or split in (root.name, *folder.relative_to(root).parts)
        pairs += _of_siblings(folder, rng, None if below else split)
    if not pairs:
        asked = f" of split {split!r}" if split else ""
        raise UsageError(
            f"{root}: holds no pairs{asked}; needs a folder of aerial pictures ({', '.join(_AERIAL)}) and one of maps "
            f"({', '.join(_MAP)}) side by side, with files of the same names"
        )
    return pairs


def _of_siblings(folder: Path, rng: np.random.Generator, split: str | None) -> list[Pair]:
    """Matches and swaps of the two subfolders of one folder, none where it lacks either."""
    aerials, maps = _pictures(folder, _AERIAL, split), _pictures(folder, _MAP, split)
    names = sorted(aerials.keys() & maps.keys())
    matches = [Pair(aerial=aerials[name], map=maps[name], label=1) for name in names]
    if len(names) < 2:
        return matches
    others = derangement(rng, len(names))
    swaps = [
        Pair(aerial=aerials[names[other]], map=maps[name], label=0, kind="swap")
        for name, other in zip(names, others, strict=True)
    ]
    return matches + swaps


def _hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _pictures(folder: Path, called: tuple[str, ...], split: str | None) -> dict[Path, Path]:
    """Pictures by their path below the first subfolder that is called so, without ending.

    Args:
        split: only those below a folder of this name.
    """
    found = {path.name.lower(): path for path in folder.iterdir() if path.is_dir()}
    chosen = next((found[name] for name in called if name in found), None)
    if chosen is None:
        return {}
    files = {file.relative_to(chosen): file for file in sorted(chosen.rglob("*")) if file.suffix.lower() in _ENDINGS}
    below = {name.with_suffix(""): file for name, file in files.items() if not _hidden(name)}
    return {name: file for name, file in below.items() if split is None or split in name.parent.parts}
