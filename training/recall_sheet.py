"""The best and the worst answered captions of an evaluation, with what was found, as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.datasets import Pictures
from training.recall import EncodedSet

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}
FORMATS = tuple(_FORMATS)
_SIDE, _GAP, _TEXT, _TITLE = 128, 10, 250, 30
_RIGHT, _SAME_WORDS, _WRONG = (30, 140, 60), (215, 160, 20), (190, 190, 190)
_CHUNK = 2048


@dataclass(frozen=True, slots=True)
class Asked:
    """A caption that was asked: its row, the rank of its own picture (1 is best), the pictures found, best first."""

    caption: int
    rank: int
    found: tuple[int, ...]


def best_and_worst(encoded: EncodedSet, count: int = 5, hits: int = 5) -> tuple[list[Asked], list[Asked]]:
    """Captions whose picture stands out most from all others, and those whose picture lies deepest; a picture once."""
    rank, margin = _standing(encoded)
    best = _distinct(np.lexsort((np.arange(len(rank)), -margin)), encoded.owner, count)
    worst = _distinct(np.lexsort((margin, -rank)), encoded.owner, count)
    return [_asked(encoded, row, rank, hits) for row in best], [_asked(encoded, row, rank, hits) for row in worst]


def query_sheet(encoded: EncodedSet, pictures: Pictures, suffix: str = ".png", count: int = 5, hits: int = 5) -> bytes:
    """A row for each caption: its words and rank, its own picture, then what was found; a file of one of `FORMATS`.

    Frames: green for its own picture, amber for one that carries the very same words, grey for another.
    """
    best, worst = best_and_worst(encoded, count, hits)
    rows = [("Best: the right picture stands out most", best), ("Worst: the right picture lies deepest", worst)]
    width = _TEXT + (hits + 1) * (_SIDE + _GAP) + 5 * _GAP
    height = sum(_TITLE + len(half) * (_SIDE + _GAP) + _GAP for _, half in rows)
    sheet = Image.new("RGB", (width, height), "white")
    top, alike = 0, encoded.equal_images()
    for title, half in rows:
        _draw_title(sheet, top, title)
        top += _TITLE
        for asked in half:
            _draw_row(sheet, top, asked, encoded, pictures, alike[asked.caption])
            top += _SIDE + _GAP
        top += _GAP
    buffer = BytesIO()
    sheet.save(buffer, _FORMATS[suffix.lower()], quality=90)
    return buffer.getvalue()


def _draw_title(sheet: Image.Image, top: int, title: str) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, top + 8), title, "black", ImageFont.load_default(15))
    for left, words in ((_TEXT + 2 * _GAP, "its own"), (_TEXT + _SIDE + 5 * _GAP, "found, best first")):
        draw.text((left, top + 10), words, "#555555", ImageFont.load_default(12))


def _draw_row(
    sheet: Image.Image, top: int, asked: Asked, encoded: EncodedSet, pictures: Pictures, alike: NDArray[np.int64]
) -> None:
    draw = ImageDraw.Draw(sheet)
    words = textwrap.fill(encoded.texts[asked.caption], 34, max_lines=6, placeholder=" ...")
    draw.multiline_text((_GAP, top), f"{words}\nrank {asked.rank}", "black", ImageFont.load_default(13), spacing=3)
    owner = int(encoded.owner[asked.caption])
    for place, image in enumerate((owner, *asked.found)):
        colour = _RIGHT if image == owner else _SAME_WORDS if image in alike else _WRONG
        left = _TEXT + 2 * _GAP + place * (_SIDE + _GAP) + (2 * _GAP if place else 0)
        draw.rectangle((left - 4, top - 4, left + _SIDE + 3, top + _SIDE + 3), fill=colour)
        picture = Image.fromarray(pictures.read(encoded.names[image]))
        sheet.paste(picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), (left, top))


def _standing(encoded: EncodedSet) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each caption the rank of its own picture, tied ones first, and how far it is above the best other."""
    ranks, margins = [], []
    for start in range(0, len(encoded.texts), _CHUNK):
        scores = encoded.captions[start : start + _CHUNK] @ encoded.images.T
        line, owner = np.arange(len(scores)), encoded.owner[start : start + _CHUNK]
        own = scores[line, owner].copy()
        scores[line, owner] = -np.inf
        ranks.append(1 + (scores >= own[:, None]).sum(axis=1))
        margins.append(own - scores.max(axis=1, initial=-1.0))
    return np.concatenate(ranks), np.concatenate(margins)


def _distinct(order: Iterable[np.int64], owner: NDArray[np.int64], count: int) -> list[int]:
    """The first rows of an order that are of different pictures."""
    chosen: dict[int, int] = {}
    for row in order:
        chosen.setdefault(int(owner[row]), int(row))
        if len(chosen) == count:
            break
    return list(chosen.values())


def _asked(encoded: EncodedSet, row: int, rank: NDArray[np.int64], hits: int) -> Asked:
    scores = encoded.images @ encoded.captions[row]
    found = np.argsort(-scores, kind="stable")[:hits]
    return Asked(row, int(rank[row]), tuple(found.tolist()))
