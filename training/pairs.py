"""Writes pairs to judge a model by, from true pairs: swaps, patches, moved windows, and edits of vectors.

A folder gets `aerial/`, `map/` and CSVs for `training.pairlist.read_pairs`: pairs.csv to tell matches from mismatches,
retrieval.csv with the true pairs alone, and of pictures retrieval-moved.csv, whose maps lie off by up to 10 %.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from geoanchor.change import MAX_OFFSET
from geoanchor.errors import UsageError
from geoanchor.feature import FeatureSource
from geoanchor.image import Pixels
from geoanchor.tiling import Tile
from indexer.render import render_map
from models.palette import map_classes
from training.datasets import Pictures
from training.edits import KINDS, edit
from training.pairlist import Pair
from training.patches import Box, moved_windows, paste, patch, quartet, recompressed
from training.swaps import derangement

SHARES = {"50": 0.5, "25": 0.25}
"""Share of the area by what stands behind "patch" and "mixed" in a kind."""
QUALITY = 90
"""Of the JPEG that every patched map goes through, foreign patch or not."""
_FEATHER_PX = 2


def pairs_of_pictures(source: Path, names: Sequence[str], out: Path, seed: int = 0) -> Path:
    """Pairs of true pairs of pictures.

    Kinds: "swap", another place's map; "patch50" and "patch25", a rectangle of that share from another place's map, and
    as a match the same rectangle of the map itself, both blended and compressed alike; "moved", the map's window half a
    window off; "mixed50" and "mixed25", see `patches.quartet`.

    Args:
        source: folder or tar with aerial/NAME and map/NAME, pictures of one size.
        names: three or more. out: where to write. seed: of every choice.
    Returns:
        Path of pairs.csv. Raises BadInput for a picture that cannot be read, UsageError for too few names or two that
        differ in folder or ending alone.
    """
    pictures, writer, stems = Pictures(source), _Writer(out), _stems(names)
    rng = np.random.default_rng(seed)
    others, thirds = derangement(rng, len(names)), derangement(rng, len(names))

    def place(row: int) -> tuple[Pixels, Pixels]:
        return pictures.read(f"aerial/{names[row]}"), pictures.read(f"map/{names[row]}")

    for row, stem in enumerate(stems):
        own, other = place(row), place(int(others[row]))
        strangers = (int(thirds[row]), *_after(int(others[row]), len(names)))
        third = place(next(stranger for stranger in strangers if stranger not in (row, others[row])))
        writer.match(stem, *own)
        writer.pair(f"aerial/{stem}.png", f"map/{stems[others[row]]}.png", 0, "swap")
        for label, share in SHARES.items():
            box = patch(rng, share, own[1].shape[:2])
            _patched(writer, f"{stem}-patch{label}", stem, own[1], other[1], box, f"patch{label}")
            _mixed(writer, f"{stem}-mixed{label}", own, other, third, box, f"mixed{label}")
        _moved(writer, stem, own, rng)
        _offset(writer, stem, own, rng)
    return writer.close()


def pairs_of_tiles(
    features: FeatureSource,
    tiles: Sequence[Tile],
    aerial: Callable[[Tile], Pixels],
    out: Path,
    seed: int = 0,
    style: str = "standard",
) -> Path:
    """Pairs of tiles of a map that is there as vectors, with "swap" and every kind of `training.edits`.

    Args:
        features: the true map. tiles: two or more. style: of the maps.
        aerial: the picture of a tile, e.g. from `indexer.city.aerial.render_aerial`; maps are as large.
        out: where to write. seed: of every choice, strengths among them (evenly between 0 and 1).
    Returns:
        Path of pairs.csv. An edit that would change nothing is left out.
    """
    writer, rng = _Writer(out), np.random.default_rng(seed)
    others = derangement(rng, len(tiles))
    for row, tile in enumerate(tiles):
        stem, picture = _stem(tile), aerial(tile)
        writer.match(stem, picture, render_map(features, tile, len(picture), style))
        writer.pair(f"aerial/{stem}.png", f"map/{_stem(tiles[others[row]])}.png", 0, "swap")
        for kind in KINDS:
            donor = tiles[int(rng.permutation(np.delete(np.arange(len(tiles)), row))[0])]
            made = edit(kind, features, tile, donor, seed, float(rng.random()), len(picture))
            if made:
                edited = writer.save(f"map/{stem}-{kind}.png", render_map(made.features, tile, len(picture), style))
                writer.pair(f"aerial/{stem}.png", edited, 0, kind, made.changed)
    return writer.close()


class _Writer:
    """Pictures of one folder and the rows of its CSVs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[str, list[Pair]] = {"pairs": [], "retrieval": [], "retrieval-moved": []}

    def match(self, stem: str, aerial: Pixels, drawn: Pixels) -> None:
        """A true pair, for matching and for retrieval."""
        pair = Pair(
            aerial=Path(self.save(f"aerial/{stem}.png", aerial)), map=Path(self.save(f"map/{stem}.png", drawn)), label=1
        )
        self._rows["pairs"].append(pair)
        self._rows["retrieval"].append(pair)

    def pair(self, aerial: str, drawn: str, label: int, kind: str, changed: float | None = None) -> None:
        """A pair of saved pictures, for matching."""
        self._rows["pairs"].append(Pair(aerial=Path(aerial), map=Path(drawn), label=label, kind=kind, changed=changed))

    def moved(self, aerial: str, drawn: str, dx: float, dy: float) -> None:
        """A true pair whose map lies off, for retrieval."""
        pair = Pair(aerial=Path(aerial), map=Path(drawn), label=1, kind="moved", dx=dx, dy=dy)
        self._rows["retrieval-moved"].append(pair)

    def save(self, name: str, pixels: Pixels) -> str:
        """Write a picture; its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=1)
        return name

    def close(self) -> Path:
        """Write the CSVs that have rows."""
        for name, rows in self._rows.items():
            if rows:
                with open(self.folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
                    table = csv.DictWriter(file, list(Pair.model_fields))
                    table.writeheader()
                    table.writerows(pair.model_dump() for pair in rows)
        return self.folder / "pairs.csv"


def _stems(names: Sequence[str]) -> list[str]:
    """What the files of each picture are named by."""
    if len(names) < 3:
        raise UsageError(f"pairs need three pictures or more, and there are {len(names)}; name more")
    named: dict[str, str] = {}
    for name in names:
        if (stem := Path(name).stem) in named:
            raise UsageError(f"{named[stem]} and {name} would be written to one file; rename one of the two")
        named[stem] = name
    return list(named)


def _after(row: int, count: int) -> list[int]:
    """The other rows, from the next one round."""
    return [(row + step) % count for step in range(1, count)]


def _stem(tile: Tile) -> str:
    return str(tile).replace("/", "-")


def _patched(writer: _Writer, name: str, stem: str, own: Pixels, other: Pixels, box: Box, kind: str) -> None:
    """Both go through the same blend and the same two compressions."""
    foreign, itself = (
        recompressed(paste(own, recompressed(donor, QUALITY), box, _FEATHER_PX), QUALITY) for donor in (other, own)
    )
    changed = float((map_classes(paste(own, other, box)) != map_classes(own)).mean())
    writer.pair(f"aerial/{stem}.png", writer.save(f"map/{name}.png", foreign), 0, kind, changed)
    writer.pair(f"aerial/{stem}.png", writer.save(f"map/{name}-own.png", itself), 1, kind)


def _mixed(
    writer: _Writer,
    name: str,
    own: tuple[Pixels, Pixels],
    other: tuple[Pixels, Pixels],
    third: tuple[Pixels, Pixels],
    box: Box,
    kind: str,
) -> None:
    (aerial, agreeing), (_, foreign) = quartet(own, other, third, box)
    changed = float((map_classes(agreeing) != map_classes(foreign)).mean())
    seen = writer.save(f"aerial/{name}.png", aerial)
    writer.pair(seen, writer.save(f"map/{name}-own.png", agreeing), 1, kind)
    writer.pair(seen, writer.save(f"map/{name}.png", foreign), 0, kind, changed)


def _moved(writer: _Writer, stem: str, own: tuple[Pixels, Pixels], rng: np.random.Generator) -> None:
    near, far = moved_windows(rng, own[1].shape[:2])
    seen = writer.save(f"aerial/{stem}-moved.png", near.cut(own[0]))
    writer.pair(seen, writer.save(f"map/{stem}-moved-own.png", near.cut(own[1])), 1, "moved")
    writer.pair(seen, writer.save(f"map/{stem}-moved.png", far.cut(own[1])), 0, "moved")


def _offset(writer: _Writer, stem: str, own: tuple[Pixels, Pixels], rng: np.random.Generator) -> None:
    """The aerial picture without its rim, and a map whose window lies up to 10 % of that off."""
    height, width = own[1].shape[:2]
    rows, columns = (int(side / (1 + 2 * MAX_OFFSET)) for side in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    down, right = (int(rng.integers(-room, room + 1)) for room in (min(top, rows // 10), min(left, columns // 10)))
    middle = Box(top, left, top + rows, left + columns)
    off = Box(top + down, left + right, top + down + rows, left + right + columns)
    seen = writer.save(f"aerial/{stem}-middle.png", middle.cut(own[0]))
    drawn = writer.save(f"map/{stem}-off.png", off.cut(own[1]))
    # A window further east shows the same thing further west.
    writer.moved(seen, drawn, dx=-right / columns, dy=-down / rows)
