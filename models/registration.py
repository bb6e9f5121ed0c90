"""How far a map lies off a picture: the shift at which both show the same structure (S_dense).

Evidence summed over cells as if they were independent lets a lake outvote every street around it. So both grids are
sharpened first: most of what neighbouring cells have in common is taken away, and each grid is brought to a like size.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from geoanchor.protocols import RowVectors, Vectors

_BLUR = 0.1
"""Standard deviation of the blur, as a share of the side."""
TAKEN = 0.8
"""Share of the blurred grid that is taken away. All of it would leave nothing of a map that is one class throughout."""
MAP_FLOOR, PICTURE_FLOOR = 3.0, 20.0
"""Added to the length of a sharpened grid before it is divided by it, so that a map that says nothing stays quiet."""
_SHIFT_COST = 0.003
"""A shift of one cell of codes must gain that much in likeness: most maps lie true."""
_AT_REST, _WAY_COST = 0.01, 0.00075
"""The same of a map whose place is asked for: to share the picture's frame is worth something, and else most lies are
about as likely; what a cell costs keeps a street's map from sliding along it."""
_STEPS_A_CELL = 10
_LEAST_OVERLAP = 0.1
"""Share of a side; where frames overlap by less, what is left cannot stand for the whole."""
Shares = NDArray[np.float64]
Shown = tuple[Shares, Shares]
"""Of maps (m,) and pictures (p,), the side of what each shows, in its middle, by that of its frame."""
Cells = NDArray[np.generic]
"""Shifts along one axis, whole or not."""
_LEAST_CONTRAST = 0.06
"""Likeness at the best shift, less that at the usual one, without which a pair tells no shift: open water, a meadow."""


def sharpened(grids: Vectors, floor: float) -> Vectors:
    """Grids (n, h, w, c) without most of what their neighbourhood shares, divided by their length plus `floor`."""
    n, height, width, classes = grids.shape
    blurred = blur(height) @ grids.reshape(n, height, width * classes)
    blurred = blur(width) @ blurred.reshape(n * height, width, classes)
    sharp = (grids - TAKEN * blurred.reshape(grids.shape)).reshape(n, height * width * classes)
    length = np.sqrt(np.einsum("nk,nk->n", sharp, sharp))
    return np.asarray((sharp / (length + floor)[:, None]).reshape(grids.shape), np.float32)


@cache
def blur(side: int) -> Vectors:
    """(side, side) Gaussian means of neighbours; beyond an edge the edge goes on."""
    cells = _BLUR * side
    reach = int(4 * cells)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / cells) ** 2)
    matrix = np.zeros((side, side))
    for step, weight in zip(range(-reach, reach + 1), weights / weights.sum(), strict=True):
        matrix[np.arange(side), np.clip(np.arange(side) + step, 0, side - 1)] += weight
    return matrix.astype(np.float32)


class Spectra:
    """Fourier transforms of maps and pictures, so that any map is soon compared with any picture at every shift.

    Args:
        maps: (m, h, w, c); pictures: (p, h, w, c); sharpened. reach: the farthest shift, cells.
        shown: of maps and pictures; None where all show all of their frames.
    """

    def __init__(self, maps: Vectors, pictures: Vectors, reach: int, shown: Shown | None = None) -> None:
        self._sides = maps.shape[1:3]
        self._size = [fft.next_fast_len(side + reach + 1, real=True) for side in self._sides]
        self._shifts = np.arange(-reach, reach + 1)
        self._shown = shown or (np.ones(len(maps)), np.ones(len(pictures)))
        # Classes first: a transform wants its axes together.
        self._maps, self._pictures = (
            fft.rfft2(np.moveaxis(_middles(grids, shares), -1, 1).copy(), self._size)
            for grids, shares in zip((maps, pictures), self._shown, strict=True)
        )

    def likeness(self, maps: NDArray[np.int64], pictures: NDArray[np.int64]) -> Vectors:
        """Likeness of n pairs of rows at every whole shift.

        Returns:
            (n, 2 reach + 1, 2 reach + 1); [:, reach + dy, reach + dx] holds the map that lies dx cells too far east and
            dy too far south. Where the frames overlap in part, the part stands for the whole.
        """
        sums = fft.irfft2(self._product(maps, pictures), self._size)[:, self._shifts[:, None], self._shifts[None, :]]
        return np.asarray(sums / self._overlap(maps, pictures, self._shifts, self._shifts), np.float32)

    def refined(self, maps: NDArray[np.int64], pictures: NDArray[np.int64], whole: NDArray[np.int64]) -> Vectors:
        """Shifts (n, 2) to a tenth of a cell, the likeliest within a cell of whole ones (n, 2); float32 dx, dy.

        Between the cells the likeness is what its spectrum says (Guizar-Sicairos et al. 2008).
        """
        steps = np.arange(-_STEPS_A_CELL, _STEPS_A_CELL + 1) / _STEPS_A_CELL
        product = self._product(maps, pictures)
        down, along = (fft.fftfreq(self._size[0]), fft.rfftfreq(self._size[1]))
        # Of a real signal's spectrum only half is kept; all but its ends count twice.
        twice = np.where((along == 0) | (along == 0.5), 1.0, 2.0)
        out = np.zeros((len(whole), 2), np.float32)
        for row, (dx, dy) in enumerate(whole.tolist()):
            turn_y = np.exp(2j * np.pi * np.outer(dy + steps, down))
            turn_x = np.exp(2j * np.pi * np.outer(along, dx + steps)) * twice[:, None]
            overlap = self._overlap(maps[row : row + 1], pictures[row : row + 1], dy + steps, dx + steps)[0]
            table = (turn_y @ product[row] @ turn_x).real / overlap
            south, east = np.unravel_index(int(table.argmax()), table.shape)
            out[row] = dx + steps[east], dy + steps[south]
        return out

    def _product(self, maps: NDArray[np.int64], pictures: NDArray[np.int64]) -> NDArray[np.complex64]:
        product: NDArray[np.complex64] = np.einsum("nchw,nchw->nhw", self._maps[maps], self._pictures[pictures].conj())
        return product

    def _overlap(
        self, maps: NDArray[np.int64], pictures: NDArray[np.int64], down: Cells, along: Cells
    ) -> NDArray[np.float64]:
        """Share (n, len(down), len(along)) of a frame that n pairs have in common."""
        ours, theirs = self._shown[0][maps, None], self._shown[1][pictures, None]
        south, east = (
            np.minimum(np.minimum(ours, theirs), (ours + theirs) / 2 - np.abs(shifts) / side)
            for shifts, side in zip((down, along), self._sides, strict=True)
        )
        south, east = np.maximum(south, _LEAST_OVERLAP), np.maximum(east, _LEAST_OVERLAP)
        return np.asarray(south[:, :, None] * east[:, None, :])


def _middles(grids: Vectors, shares: Shares) -> Vectors:
    """Grids (n, h, w, c) with zeros around so much of their middles."""
    if (shares >= 1).all():
        return grids
    kept = grids.copy()
    for grid, share in zip(kept, shares.tolist(), strict=True):
        for rows in (grid, grid.swapaxes(0, 1)):
            rim = round(len(rows) * (1 - min(share, 1.0)) / 2)
            rows[:rim] = rows[len(rows) - rim :] = 0
    return kept


def reach_cells(max_offset: float, cells: int) -> int:
    """Whole cells to look around for a shift; one more than the farthest, so that its peak is seen from both sides."""
    return round(max_offset * cells) + 1 if max_offset else 0


def best_shift(
    table: Vectors, expected: Vectors | None = None, farthest: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], Vectors]:
    """Where the likeness of n pairs is greatest, shifts near the expected ones preferred.

    Args:
        table: (n, s, s) of `Spectra.likeness`. expected: (n, 2) shifts dx, dy in cells; None for none.
        farthest: (n,) cells that a shift may lie from the expected one on either axis; None for as far as the table
            goes.
    Returns:
        (n, 2) whole shifts dx, dy; (n,) the likeness there, less what the way from the expected shift costs.
    """
    reach = table.shape[1] // 2
    shifts = np.arange(-reach, reach + 1, dtype=np.float32)
    east, south = np.zeros((2, 1), np.float32) if expected is None else expected.T
    down, along = shifts[None, :, None] - south[:, None, None], shifts[None, None, :] - east[:, None, None]
    cost = _SHIFT_COST * np.hypot(down, along)
    if farthest is not None:
        cost = np.where(np.maximum(np.abs(down), np.abs(along)) <= farthest[:, None, None] + 0.5, cost, np.inf)
    return _greatest(table - cost)


def _greatest(table: Vectors) -> tuple[NDArray[np.int64], Vectors]:
    """Whole shifts (n, 2) dx, dy where tables (n, s, s) are greatest, and what they hold there."""
    side = table.shape[1]
    flat = table.reshape(len(table), side**2)
    south, east = np.divmod(flat.argmax(axis=1), side)
    return np.stack([east, south], axis=1) - side // 2, flat.max(axis=1)


def told_shifts(
    maps: Vectors,
    pictures: Vectors,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    max_offset: float,
    shown: Shown | None = None,
) -> tuple[Vectors, Vectors]:
    """Shifts (n, 2) of n pairs of rows, shares of the side, none beyond `max_offset` on either axis, and the likeness
    there (n,), less what the way costs; float32.

    A shift is NaN where one suits a pair hardly better than another.

    Args:
        maps: (m, h, w, c); pictures: (p, h, w, c); sharpened. shown: see `Spectra`.
    """
    cells = maps.shape[1]
    spectra = Spectra(maps, pictures, reach_cells(max_offset, cells), shown)
    table = spectra.likeness(rows, columns)
    whole, likeness = _greatest(table - _way(table.shape[1] // 2))
    # A map whose own ground lies a little off the picture's seems farther off than it can be.
    shifts = np.clip(spectra.refined(rows, columns, whole) / cells, -max_offset, max_offset)
    return np.asarray(np.where(contrast(table)[:, None] >= _LEAST_CONTRAST, shifts, np.nan), np.float32), likeness


def _way(reach: int) -> Vectors:
    """What (s, s) whole shifts up to `reach` cells must gain in likeness over no shift."""
    shifts = np.arange(-reach, reach + 1, dtype=np.float32)
    cost = _AT_REST + _WAY_COST * np.hypot(shifts[:, None], shifts[None, :])
    cost[reach, reach] = 0
    return np.asarray(cost, np.float32)


def contrast(table: Vectors) -> Vectors:
    """By how much the best of all shifts suits each of n pairs better than the usual one."""
    flat = table.reshape(len(table), math.prod(table.shape[1:]))
    return np.asarray(flat.max(axis=1) - np.median(flat, axis=1))


def moved(grids: RowVectors, shifts: NDArray[np.int64]) -> tuple[RowVectors, NDArray[np.bool_]]:
    """Pictures' grids (n, h, w, c), of any number type, in the frame of maps that lie (n, 2) cells off; zeros where
    nothing is left.

    Returns:
        (n, h, w, c) and (n, h, w) bool, which cells have a picture.
    """
    out, seen = np.zeros_like(grids), np.zeros(grids.shape[:3], bool)
    for dx, dy in np.unique(shifts, axis=0).tolist():
        rows = np.flatnonzero((shifts == (dx, dy)).all(axis=1))
        # What the map shows at u lies at u - shift in the picture.
        to, of = frames(grids.shape[1:3], (dx, dy))
        out[(rows, *to)] = grids[(rows, *of)]
        seen[(rows, *to)] = True
    return out, seen


def frames(sides: tuple[int, ...], shift: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns of the map, and of the picture, that lie on one another when the map is `shift` dx, dy off; none
    where it lies beyond."""
    dx, dy = shift
    steps = (dy, dx)
    ours = tuple(slice(max(0, step), max(0, side + min(0, step))) for side, step in zip(sides, steps, strict=True))
    theirs = tuple(slice(max(0, -step), max(0, side - max(0, step))) for side, step in zip(sides, steps, strict=True))
    return (ours[0], ours[1]), (theirs[0], theirs[1])
