"""The first run: a procedural town, one query of each kind, one report with pictures. No network, no download."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image

from app import wiring
from app.index import Index
from app.report import Section, described_section, report_page, section_of
from geoanchor.errors import GeoAnchorError
from geoanchor.image import Layer
from geoanchor.manifest import FILE_NAME, read_manifest
from geoanchor.query import Hit
from geoanchor.settings import Settings
from geoanchor.tiling import Tile

_LAYERS: tuple[Layer, ...] = ("aerial", "map")
_K = 8
_RELATION = "stadium by the river"
_PLAIN = "airport"
_ELSEWHERE = "school"
_RADIUS_M = 1500


def run_demo(
    into: Path,
    seed: int,
    model: str,
    settings: Settings,
    advance: Callable[[int, int], None],
    say: Callable[[str], None],
) -> Path:
    """Build or reuse the town's index below `into` and write the report, whose path is returned."""
    folder = into / "city.index"
    _build(folder, seed, model, settings, advance, say)
    index = wiring.open(folder, model, settings)
    page = report_page(
        "GeoAnchor: one query of each kind",
        f"The procedural town city:{seed}: {len(index)} tiles, all drawn by GeoAnchor itself; not real imagery. "
        f"Model {index.manifest.model}.",
        _sections(index),
    )
    report = into / "report.html"
    report.write_text(page, "utf-8")
    return report


def _held(folder: Path, seed: int, model: str, settings: Settings) -> set[str] | None:
    """Layers of this town that the index holds in the very spaces of this model; None for anything else."""
    from models.bundle import load_bundle

    if not (folder / FILE_NAME).is_file():
        return set()
    try:
        manifest = read_manifest(folder)
    except GeoAnchorError:
        return None
    same_town = {source.uri for source in manifest.sources} <= {f"city:{seed}"}
    same_model = manifest.spaces == dict(load_bundle(model, settings).spaces)
    return {str(layer) for layer in manifest.layers} if same_town and same_model else None


def _build(
    folder: Path,
    seed: int,
    model: str,
    settings: Settings,
    advance: Callable[[int, int], None],
    say: Callable[[str], None],
) -> None:
    held = _held(folder, seed, model, settings)
    if held is None:
        # Another town, model or format: this folder is the demo's own.
        shutil.rmtree(folder)
    for layer in _LAYERS:
        if layer in (held or ()):
            continue
        report = wiring.build(
            f"city:{seed}", folder, model=model, layer=layer, settings=settings,
            progress=lambda state: advance(state.done, state.total),
        )  # fmt: skip
        say(f"{layer}: {report.added} tiles in {report.seconds:.0f} s")


def _sections(index: Index) -> list[Section]:
    by_river = index.search(_RELATION, layer="aerial", k=_K)
    plain = index.search(_PLAIN, layer="aerial", k=_K)
    place = by_river[0]
    aerial = index.thumbnails([place.id])[place.id]
    map_tile = index.mosaic.tile("map", Tile(*_tile_of(place))) or aerial
    crop = _crop(aerial)
    near = (place.lat or 0.0, place.lng or 0.0)
    texts = [(item.text, item.score) for item in index.describe(aerial, k=_K)]
    asked = [
        (by_river, f"Words with a relation: “{_RELATION}”"),
        (plain, f"Words: “{_PLAIN}”"),
        (index.search(image=crop, layer="aerial", k=_K), "An aerial crop, turned"),
        (index.search(map=map_tile, layer="aerial", k=_K), "A map tile asks for imagery"),
        (index.search(at=near, k=_K), "A coordinate"),
        (index.search(like=plain[0].id, layer="aerial", k=_K), "More like a hit"),
        (
            index.search(_PLAIN, image=crop, not_="car park", layer="aerial", k=_K, suppress=400),
            "A mixture: words, a picture, and something unwanted",
        ),
        (index.search(_ELSEWHERE, near=(*near, _RADIUS_M), layer="aerial", k=_K), f"“{_ELSEWHERE}” within 1.5 km"),
    ]
    sections = [section_of(index, hits, title) for hits, title in asked]
    return [*sections, described_section("A picture asks for words", aerial, "aerial", texts)]


def _tile_of(hit: Hit) -> tuple[int, int, int]:
    if hit.tile is None:
        raise GeoAnchorError(f"{hit.id}: the town's rows should lie on the tile grid; build it anew")
    return hit.tile


def _crop(picture: bytes) -> bytes:
    """The middle of a picture, turned by a quarter: the same place as another camera might have taken it."""
    with Image.open(BytesIO(picture)) as image:
        width, height = image.size
        middle = image.convert("RGB").crop((width // 8, height // 8, width * 7 // 8, height * 7 // 8))
    buffer = BytesIO()
    middle.transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
