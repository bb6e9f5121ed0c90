"""Pictures of tiles that tell one tile from another."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from PIL import Image

from geoanchor.tiling import Tile


def picture(tile: Tile, size: int = 256, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (size, size), (tile.x % 256, tile.y % 256, tile.z)).save(out, kind)
    return out.getvalue()


@dataclass
class Server:
    """What was asked, and what is to be answered: path -> list of (status, headers, body), the last one for ever."""

    url: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    answers: dict[str, list[tuple[int, dict[str, str], bytes]]] = field(default_factory=dict)
    delay_s: float = 0.0
    now: int = 0
    most: int = 0

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]
