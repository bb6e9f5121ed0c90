"""Are probabilities true, and "nothing matches" too? `python -m benchmarks relevance`, after `scripts.relevance`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geoanchor.protocols import Encoder
from geoanchor.settings import Settings, load_settings
from models.bundle import bundle_folder, load_bundle
from retrieval.calibration import FILE_NAME, read_calibration
from retrieval.metrics import auroc
from training.relevance.cases import cases_of
from training.relevance.galleries import RSICD, Gallery, city_gallery, rsicd_gallery
from training.relevance.judging import Judged, calibration_error, judge, reliability, share_interval


def run(model: str = "mini") -> dict[str, Any]:
    """Of each gallery: calibration error, reliability by tenths, how often "nothing matches" is said when it should."""
    settings = load_settings()
    encoder, calibration = load_bundle(model, settings), read_calibration(bundle_folder(model) / FILE_NAME)
    figures: dict[str, Any] = {}
    for name, gallery in _galleries(encoder, settings):
        with tempfile.TemporaryDirectory() as folder:
            found = judge(cases_of(gallery), gallery, encoder, calibration, Path(folder))
        figures |= {f"{name}: {figure}": value for figure, value in _figures(found).items()}
    return figures


def _galleries(encoder: Encoder, settings: Settings) -> Iterator[tuple[str, Gallery]]:
    city = city_gallery("judge", encoder, settings)
    yield "city with tags and captions", city
    yield "city, pictures only", city.wordless()
    if RSICD.is_dir():
        yield "RSICD, pictures only", rsicd_gallery("judge", RSICD, encoder, settings)


def _figures(found: Judged) -> dict[str, Any]:
    said, missed = found.nothing[~found.answerable], found.nothing[found.answerable]
    return {
        "expected calibration error": round(calibration_error(found.probability, found.right), 4),
        "hits, told, right": [
            (n, round(told, 3), round(true, 3)) for n, told, true in reliability(found.probability, found.right)
        ],
        "AUROC of there being an answer": round(auroc(found.sure, found.answerable), 3),
        '"nothing" where nothing is right': _share(int(said.sum()), len(said)),
        '"nothing" although something is right': _share(int(missed.sum()), len(missed)),
        "right among the ten best, where there is any": _share(int(found.shown[found.answerable].sum()), len(missed)),
    }


def _share(count: int, of: int) -> str:
    low, high = share_interval(count, of)
    return f"{100 * count / of:.1f} % of {of} (95 % interval {100 * low:.1f}-{100 * high:.1f})"
