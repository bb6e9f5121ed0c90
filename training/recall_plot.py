"""Recall against k, both ways, with chance: a picture for a report."""

from __future__ import annotations

from io import BytesIO

from retrieval import metrics
from training.recall import EncodedSet

FORMATS = (".png", ".svg", ".pdf")
_KS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
_COLOURS = {"text to image": "#1f5fa8", "image to text": "#c2571a"}


def plot_recall(encoded: EncodedSet, title: str, suffix: str = ".png") -> bytes:
    """Curves of exact (solid) and text-equivalent (dashed) recall and chance (dotted), a file of one of `FORMATS`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ks = [k for k in _KS if k <= max(len(encoded.names), 1)]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, curves in _curves(encoded, ks).items():
        for style, values in curves.items():
            axes.plot(ks, values, style, color=_COLOURS[name], label=name if style == "-" else None, linewidth=1.8)
    axes.plot([], [], "--", color="#555555", label="the same words count")
    axes.plot([], [], ":", color="#555555", label="by chance")
    axes.set(xscale="log", xlabel="k", ylabel="recall@k, %", ylim=(0, 100), title=title)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format=suffix.lower().removeprefix("."), dpi=150)
    return buffer.getvalue()


def _curves(encoded: EncodedSet, ks: list[int]) -> dict[str, dict[str, list[float]]]:
    ways = {
        "text to image": (encoded.captions, encoded.images, encoded.own_images(), encoded.equal_images()),
        "image to text": (encoded.images, encoded.captions, encoded.own_captions(), encoded.equal_captions()),
    }
    found = {}
    for name, (queries, gallery, own, alike) in ways.items():
        exact, equal = (metrics.hits_of_vectors(queries, gallery, right, ks) for right in (own, alike))
        found[name] = {
            "-": (100 * exact.mean(axis=0)).tolist(),
            "--": (100 * equal.mean(axis=0)).tolist(),
            ":": list(metrics.chance(own, len(gallery), ks).values()),
        }
    return found
