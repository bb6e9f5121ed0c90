"""Plots of a data report, drawn by matplotlib: as SVG whose colours follow the page's theme, or as files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from app.datareport.census import Box, Record
from app.datareport.statistics import Clusters, Counts

INK, SOFT, LINE, PAPER, ACCENT, WARM = "#1d2526", "#5d6a6b", "#dfe3e0", "#ffffff", "#0b7a75", "#c2410c"
_THEME = {INK: "--ink", SOFT: "--soft", LINE: "--line", PAPER: "--card", ACCENT: "--accent", WARM: "--warm"}
"""Colours of the light page and the names by which the style sheet knows them."""
GROUPS = (
    "#0b7a75", "#c2410c", "#4667b0", "#9a6b00", "#8a4fa3", "#4d8a2b", "#b23a6a", "#5d6a6b", "#0f8fb3", "#a65a3a",
    "#6f6fd0", "#7b8a1f",
)  # fmt: skip
LAYERS = {"map": GROUPS[3], "aerial": GROUPS[0], "ground": GROUPS[4]}
_WIDTH_IN = 5.2
_MOST_BOXES = 2500
_STYLE = {
    "svg.fonttype": "none", "font.size": 10, "font.family": "sans-serif", "text.color": INK, "axes.labelcolor": SOFT,
    "xtick.color": SOFT, "ytick.color": SOFT, "axes.edgecolor": LINE, "axes.facecolor": PAPER, "axes.spines.top": False,
    "axes.spines.right": False, "grid.color": LINE, "grid.linewidth": 0.8, "axes.axisbelow": True,
    "xtick.major.size": 0, "ytick.major.size": 0, "legend.frameon": False, "legend.fontsize": 9,
    "figure.facecolor": PAPER, "savefig.transparent": True,
}  # fmt: skip

Draw = Callable[[Any], None]
"""Draws into matplotlib axes."""


class Plot:
    """One plot.

    Args:
        name: for files and ids. draw: draws into the axes. height_in: inches; the width is the same for all.
    """

    def __init__(self, name: str, draw: Draw, height_in: float = 3.1) -> None:
        self.name = name
        with mpl.rc_context(_STYLE):
            self._figure = Figure((_WIDTH_IN, height_in), layout="constrained")
            draw(self._figure.add_subplot())

    def svg(self) -> str:
        """Markup for a page that defines the theme's colours; the same for the same data."""
        text = self._bytes("svg").decode()
        # Names of groups repeat from plot to plot, and nothing refers to them.
        text = re.sub(r'<g id="[^"]*"', "<g", text[text.index("<svg") :])
        for colour, name in _THEME.items():
            text = text.replace(colour, f"var({name})")
        head, _, rest = text.partition(">")
        size = " ".join(part for part in head.split() if not part.startswith(('width="', 'height="')))
        return f'{size} role="img">{rest}'

    def save(self, folder: Path) -> None:
        """Write NAME.svg and NAME.png in the colours of the light page."""
        folder.mkdir(parents=True, exist_ok=True)
        for kind in ("svg", "png"):
            (folder / f"{self.name}.{kind}").write_bytes(self._bytes(kind))

    def _bytes(self, kind: str) -> bytes:
        buffer = BytesIO()
        # Ids are hashed with the name, so that two plots of one page share none.
        with mpl.rc_context(_STYLE | {"svg.hashsalt": self.name, "savefig.transparent": kind == "svg"}):
            metadata = {"Date": None} if kind == "svg" else {}
            self._figure.savefig(buffer, format=kind, dpi=160, metadata=metadata)
        return buffer.getvalue()


def bars(name: str, counts: Counts, most: int = 20) -> Plot:
    """The commonest of something, as horizontal bars with their counts."""
    shown = counts[:most][::-1]

    def draw(axes: Any) -> None:
        drawn = axes.barh([_short(text) for text, _ in shown], [count for _, count in shown], color=ACCENT, height=0.68)
        axes.bar_label(drawn, [f"{count:,}" for _, count in shown], padding=3, color=SOFT, fontsize=9)
        axes.margins(x=0.14, y=0.01)
        axes.xaxis.set_visible(False)
        axes.spines[["bottom", "left"]].set_visible(False)
        axes.tick_params(axis="y", labelcolor=INK)
        for words in axes.get_yticklabels():
            words.set_parse_math(False)  # a tag or a caption may hold a dollar sign

    return Plot(name, draw, 0.5 + 0.215 * len(shown))


def histogram(name: str, values: Sequence[float], label: str, whole: bool = False, log: bool = False) -> Plot:
    """How often values occur; the median is marked.

    Args:
        whole: values are whole numbers of few kinds. log: bins grow by a factor.
    """
    data = np.asarray(values, float)
    low, high = float(data.min()), float(data.max())
    edges: Any = np.linspace(low, high + (high == low), 31)
    if whole and high - low <= 40:
        edges = np.arange(low - 0.5, high + 1)
    elif log and low > 0 and high / low > 20:
        edges = np.geomspace(low, high, 31)

    def draw(axes: Any) -> None:
        axes.hist(data, edges, color=ACCENT, rwidth=0.86)
        if log and low > 0 and high / low > 20:
            axes.set_xscale("log")
        median = float(np.median(data))
        axes.axvline(median, color=WARM, linewidth=1.2)
        axes.annotate(
            f"median {median:.3g}", (median, 1), (0, 3), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", color=WARM, fontsize=9,
        )  # fmt: skip
        axes.set_xlabel(label)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y")
        axes.spines["left"].set_visible(False)

    return Plot(name, draw)


def matrix(name: str, tags: Sequence[str], values: NDArray[np.float64]) -> Plot:
    """Which tags occur together: the fuller a square, the more of the pictures with either have both."""
    count = len(tags)
    squares, strengths = [], []
    for row in range(count):
        for column in range(row):
            side = 0.46
            x, y = column, row
            squares.append([(x - side, y - side), (x + side, y - side), (x + side, y + side), (x - side, y + side)])
            strengths.append(float(values[row, column]))

    def draw(axes: Any) -> None:
        axes.add_collection(PolyCollection(squares, facecolors=[LINE], linewidths=0, alpha=0.35))
        shades = [(ACCENT, min(1.0, strength)) for strength in strengths]
        axes.add_collection(PolyCollection(squares, facecolors=shades, linewidths=0))
        axes.set(xlim=(-0.5, count - 1.5), ylim=(count - 0.5, 0.5), aspect="equal")
        axes.set_xticks(range(count - 1), [_short(tag, 18) for tag in tags[:-1]], rotation=90)
        axes.set_yticks(range(1, count), [_short(tag, 18) for tag in tags[1:]])
        axes.tick_params(labelsize=8.5, labelcolor=INK)
        axes.spines[:].set_visible(False)

    return Plot(name, draw, 4.6)


def scatter(name: str, found: Clusters) -> Plot:
    """Pictures by their first two principal components, groups in colours."""
    rows = np.random.default_rng(0).permutation(len(found.rows))[:_MOST_BOXES]

    def draw(axes: Any) -> None:
        for group in range(len(found.tags)):
            points = found.points[rows[found.labels[rows] == group]]
            axes.scatter(*points.T, s=14, color=GROUPS[group], alpha=0.65, linewidths=0, label=str(group + 1))
        axes.legend(
            ncols=6,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.08),
            handletextpad=0.1,
            columnspacing=1.1,
            markerscale=1.8,
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"two principal components, {found.explained:.0%} of the variance", labelpad=6)
        axes.xaxis.set_label_position("top")
        axes.spines[:].set_visible(False)

    return Plot(name, draw, 4.2)


def silhouettes(name: str, found: Clusters) -> Plot:
    """Mean silhouette by number of groups; the number taken is marked."""
    counts, values = list(found.silhouettes), list(found.silhouettes.values())

    def draw(axes: Any) -> None:
        axes.plot(counts, values, color=ACCENT, marker="o", markersize=4)
        axes.axvline(len(found.tags), color=WARM, linewidth=1.2)
        axes.set_xlabel("number of groups")
        axes.set_ylabel("mean silhouette")
        axes.set_xticks(counts)
        axes.grid(axis="y")

    return Plot(name, draw)


def ground(name: str, records: Sequence[Record]) -> Plot:
    """Where the pictures lie, by layer; where there are very many, as blocks of ground."""
    placed = [record for record in records if record.box is not None]
    middle = float(np.median([(record.box[1] + record.box[3]) / 2 for record in placed if record.box]))

    def draw(axes: Any) -> None:
        least = _side([record.box for record in placed if record.box]) / 110
        for layer in sorted({record.layer for record in placed}, key=lambda name: name != "map"):
            boxes = _blocks([record.box for record in placed if record.layer == layer and record.box])
            corners = [[(w, s), (e, s), (e, n), (w, n)] for w, s, e, n in (_grown(box, least) for box in boxes)]
            colour = LAYERS.get(layer, ACCENT)
            axes.add_collection(
                PolyCollection(corners, facecolors=colour, edgecolors=PAPER, linewidths=0.2, alpha=0.7, label=layer)
            )
        axes.autoscale_view()
        axes.set_aspect(1 / max(0.1, np.cos(np.radians(middle))))
        axes.ticklabel_format(useOffset=False)
        axes.locator_params(nbins=4)
        axes.grid(True)
        if any(record.layer for record in placed):
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)

    return Plot(name, draw, 4.2)


def dates(name: str, times: Sequence[datetime]) -> Plot:
    """Pictures by the month, or over many years by the year, in which they were taken."""
    years = max(times).year - min(times).year
    form = "%Y" if years > 3 else "%Y-%m"
    counted = sorted(Counter(time.strftime(form) for time in times).items())

    def draw(axes: Any) -> None:
        axes.bar([text for text, _ in counted], [count for _, count in counted], color=ACCENT, width=0.7)
        axes.set_xlabel("taken in")
        axes.tick_params(axis="x", rotation=45 if len(counted) > 6 else 0)
        axes.grid(axis="y")
        axes.spines["left"].set_visible(False)

    return Plot(name, draw)


def _blocks(boxes: Sequence[Box]) -> list[Box]:
    """The boxes, or where they are too many to draw, the cells of a grid that have any."""
    found = list(dict.fromkeys(_visible(box) for box in boxes))
    cells = 128
    while len(found) > _MOST_BOXES:
        west, south = min(box[0] for box in found), min(box[1] for box in found)
        east, north = max(box[2] for box in found), max(box[3] for box in found)
        step = max((east - west), (north - south)) / cells
        at = {(int((w - west) / step), int((s - south) / step)) for w, s, _, _ in found}
        found = [(west + x * step, south + y * step, west + (x + 1) * step, south + (y + 1) * step) for x, y in at]
        cells //= 2
    return sorted(found)


def _visible(box: Box) -> Box:
    """A box over the antimeridian as its western part."""
    west, south, east, north = box
    return west, south, east if east >= west else 180.0, north


def _side(boxes: Sequence[Box]) -> float:
    """Degrees of the longer side of the box around all; of a single point, a little."""
    west, south, east, north = np.array([_visible(box) for box in boxes]).T
    return max(float(east.max() - west.min()), float(north.max() - south.min()), 0.001)


def _grown(box: Box, least: float) -> Box:
    """A box as large as can be seen."""
    west, south, east, north = box
    x, y = max(0.0, least - (east - west)) / 2, max(0.0, least - (north - south)) / 2
    return west - x, south - y, east + x, north + y


def _short(text: str, most: int = 26) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
