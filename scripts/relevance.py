"""Fit the relevance of a bundle and write relevance.json into its folder.

python -m scripts.relevance [--model mini] [--rsicd FOLDER]

Fitted on cities that nothing else draws and on pictures of RSICD's training part; judged on other cities and RSICD's
validation tenth by `python -m benchmarks relevance`. Without the folder of RSICD only cities are fitted on.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from geoanchor.settings import load_settings
from models.bundle import bundle_folder, load_bundle
from retrieval.calibration import FILE_NAME, write_calibration
from training.relevance.fit import fit
from training.relevance.galleries import RSICD, SEEDS, city_gallery, rsicd_gallery


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description="Fit the relevance of a bundle.")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--rsicd", type=Path, default=RSICD, help="Folder with images.tar and captions.json.")
    chosen, settings = parser.parse_args(), load_settings()
    encoder = load_bundle(chosen.model, settings)
    galleries = [city_gallery("fit", encoder, settings)]
    if chosen.rsicd.is_dir():
        galleries.append(rsicd_gallery("fit", chosen.rsicd, encoder, settings))
    with tempfile.TemporaryDirectory() as folder:
        calibration = fit(encoder, galleries, Path(folder))
    fitted_on = {gallery.name: len(gallery) for gallery in galleries}
    told = {"fitted_on": fitted_on, "city_seeds": f"{SEEDS['fit'].start}..{SEEDS['fit'].stop - 1}"}
    path = bundle_folder(chosen.model) / FILE_NAME
    write_calibration(path, calibration.model_copy(update={"quality": told}))
    for domain in calibration.domains:
        for kind, judge in domain.judges.items():
            print(domain.name, kind, judge.model_dump())
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
