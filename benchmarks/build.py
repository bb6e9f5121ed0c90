"""Building an index beside the bare forward pass, and beside a DataLoader + open_clip script on the same files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from benchmarks.timing import in_turn, ratio
from geoanchor.image import Pixels
from geoanchor.protocols import Encoder
from geoanchor.tiling import Bounds
from indexer.build import BuildOptions, build
from indexer.city.city import City
from indexer.sources.registry import SourceOptions, open_source
from models.bundle import load_bundle
from retrieval.index.lance import LanceStore
from retrieval.snapshot import derive_serving

ARCHITECTURE = "ViT-B-32"
SEEN_AS = {"mini": 2000, ARCHITECTURE: 960}
"""Pictures a run: enough that what a run costs once (tables, serving files) does not hide what a picture costs."""
BATCH = 64


def run() -> dict[str, Any]:
    """Figures (a) and (b)."""
    drawn = _drawn()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = folder / "random.pt"
        torch.manual_seed(0)
        torch.save(open_clip.create_model(ARCHITECTURE).state_dict(), checkpoint)
        figures = _against_forward("mini", drawn, folder / "mini")
        clip = f"clip:{ARCHITECTURE}/{checkpoint}"
        figures |= _against_forward(clip, drawn, folder / "clip") | _against_loader(clip, checkpoint, folder / "clip")
    return figures


def _against_forward(model: str, drawn: list[Pixels], folder: Path) -> dict[str, Any]:
    """(a): pictures a second of a whole build, over the forward pass on prepared pixels in memory."""
    name = model.split("/")[0].removeprefix("clip:")
    pictures = _write(drawn, SEEN_AS[name], folder / "pictures")
    encoder = load_bundle(model)
    prepared = [encoder.prepare(np.asarray(Image.open(path)), "aerial") for path in sorted(pictures.iterdir())]
    builds = iter(range(100))
    seconds = in_turn(
        {
            "forward": lambda: _forward(encoder, prepared),
            "build": lambda: _build(encoder, pictures, folder / f"{next(builds)}.index"),
        },
        rounds=2,
    )
    middle, low, high = ratio(seconds["forward"], seconds["build"])
    count = len(prepared)
    return {
        f"(a) {name}: pictures in a run": count,
        f"(a) {name}: tiles/s of forward pass, of whole build": ", ".join(
            f"{count / min(seconds[side]):.1f}" for side in ("forward", "build")
        ),
        f"(a) {name}: build over forward pass, at least 0.90": f"{middle:.3f} ({low:.3f}-{high:.3f})",
    }


def _against_loader(model: str, checkpoint: Path, folder: Path) -> dict[str, Any]:
    """(b): the same pictures through a PyTorch DataLoader and open_clip's own preprocessing and model."""
    pictures = folder / "pictures"
    network, _, preprocess = open_clip.create_model_and_transforms(ARCHITECTURE, pretrained=str(checkpoint))
    network.eval()
    encoder = load_bundle(model)
    builds = iter(range(100, 200))
    seconds = in_turn(
        {
            "script": lambda: _script(network, preprocess, pictures),
            "build": lambda: _build(encoder, pictures, folder / f"{next(builds)}.index"),
        },
        rounds=2,
    )
    middle, low, high = ratio(seconds["script"], seconds["build"])
    return {f"(b) {ARCHITECTURE}: DataLoader script's time over ours": f"{middle:.3f} ({low:.3f}-{high:.3f})"}


class _Files(torch.utils.data.Dataset[torch.Tensor]):
    def __init__(self, folder: Path, preprocess: Any) -> None:
        self._paths = sorted(folder.iterdir())
        self._preprocess = preprocess

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, at: int) -> torch.Tensor:
        pixels: torch.Tensor = self._preprocess(Image.open(self._paths[at]))
        return pixels


def _script(network: Any, preprocess: Any, folder: Path) -> None:
    loader = torch.utils.data.DataLoader(_Files(folder, preprocess), batch_size=BATCH, num_workers=2)
    with torch.inference_mode():
        vectors = [network.encode_image(batch, normalize=True).numpy() for batch in loader]
    np.save(folder.parent / "script.npy", np.concatenate(vectors))


def _forward(encoder: Encoder, prepared: list[Pixels]) -> None:
    for start in range(0, len(prepared), BATCH):
        encoder.encode(prepared[start : start + BATCH], "aerial")


def _build(encoder: Encoder, pictures: Path, into: Path) -> None:
    """What `geoanchor index` does once the model is loaded; the rivals' models are loaded beforehand too."""
    source = open_source(str(pictures), SourceOptions())
    report = build(into, [source], encoder, LanceStore, derive_serving, BuildOptions(batch_size=BATCH))
    if report.rows != len(list(pictures.iterdir())):
        raise RuntimeError(f"{report.rows} rows of {pictures}: {report.skipped}")


def _drawn() -> list[Pixels]:
    """A hundred tiles of a procedural town."""
    lng, lat = City(3).extent.center
    box = Bounds(lng - 0.014, lat - 0.009, lng + 0.014, lat + 0.009)
    source = open_source("city:3", SourceOptions(within=box))
    return [source.read(ref).pixels for ref in source.plan()]


def _write(drawn: list[Pixels], count: int, folder: Path) -> Path:
    """JPEG files of 256 px, each the tiles turned and shifted another way, so that none repeats."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = np.rot90(drawn[number % len(drawn)], random.integers(4))
        pixels = np.roll(pixels, random.integers(0, 256, 2), axis=(0, 1))
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{number:06}.jpg", quality=88)
    return folder
