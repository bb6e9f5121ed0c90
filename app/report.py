"""One self-contained HTML page with pictures: of one query, or of several. Opens anywhere, needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL import Image, UnidentifiedImageError

from app.locator import data_uri, locator_svg
from app.overlay import outline_svg
from app.render import position, reason
from geoanchor import __version__
from geoanchor.query import Hit, ImagePart, LikePart, Part, PointPart, Query, TextPart

if TYPE_CHECKING:
    from app.answers import Hits
    from app.index import Index

_PICTURE_PX = 192
_WORDS_OF_KIND = {"aerial": "aerial picture", "map": "map picture", "ground": "street photo"}


@dataclass(frozen=True, slots=True)
class AskedPart:
    """One part of a query, to be shown."""

    kind: str
    words: str = ""
    picture: str = ""
    negative: bool = False


@dataclass(frozen=True, slots=True)
class ShownHit:
    """One hit, to be shown; texts as they are to be read.

    `outline` is SVG markup of the segment that matched, made here of numbers alone.
    """

    id: str
    rank: int
    score: float
    layer: str
    caption: str
    why: str
    position: str
    attribution: str
    picture: str
    outline: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One question and what came back.

    Attributes:
        parts: what was asked. filters, summary: one line each, may be "".
        hits: with pictures. texts: of image-to-text, with scores. locator: SVG markup, made here, never from input.
    """

    title: str
    parts: tuple[AskedPart, ...]
    filters: str = ""
    summary: str = ""
    hits: tuple[ShownHit, ...] = ()
    texts: tuple[tuple[str, float], ...] = ()
    locator: str = ""


def section_of(index: Index, hits: Hits, title: str = "") -> Section:
    """A section for an answer, with the pictures and tiles of the index."""
    query = hits.query
    liked = [part.id for part in query.parts if isinstance(part, LikePart)]
    pictures = index.thumbnails([hit.id for hit in hits] + liked)
    return Section(
        title=title or title_of(query),
        parts=tuple(_asked(part, pictures) for part in query.parts),
        filters=filters_of(query),
        summary=hits.note or f"{len(hits)} of {hits.total} places",
        hits=tuple(_shown(hit, pictures) for hit in hits),
        locator=locator_svg(list(hits), index.mosaic),
    )


def described_section(title: str, picture: bytes, layer: str, texts: Sequence[tuple[str, float]]) -> Section:
    """A section for image-to-text."""
    part = AskedPart(_WORDS_OF_KIND[layer], picture=data_uri(small(picture)))
    return Section(title=title, parts=(part,), summary="the texts of the index that suit it best", texts=tuple(texts))


def report_page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The page. Everything that comes from data is escaped."""
    return str(
        _template().render(
            title=title, subtitle=subtitle, sections=sections, style=_style(), footer=f"GeoAnchor {__version__}"
        )
    )


def title_of(query: Query) -> str:
    """A short name for a query: its words, or what it is made of."""
    texts = [part.text for part in query.parts if isinstance(part, TextPart) and part.weight > 0]
    if texts:
        return ", ".join(texts)
    kinds = list(dict.fromkeys(_asked(part, {}).kind for part in query.parts))
    return (" + ".join(kinds)).capitalize()


def filters_of(query: Query) -> str:
    """The query's filters in words, or ""."""
    words = []
    if query.region is not None:
        words.append({
            "bounds": "in a box", "polygon": "in an area", "radius": "near a point", "cells": "in some H3 cells"
        }[query.region.kind])  # fmt: skip
    if query.layer is not None:
        words.append(f"layer {query.layer}")
    if query.since is not None:
        words.append(f"since {query.since:%Y-%m-%d}")
    if query.until is not None:
        words.append(f"until {query.until:%Y-%m-%d}")
    return "only " + ", ".join(words) if words else ""


def small(picture: bytes) -> bytes:
    """A picture shrunk to what a report shows, as JPEG; the bytes as they are where they are small already."""
    try:
        with Image.open(BytesIO(picture)) as image:
            if max(image.size) <= _PICTURE_PX and image.format in ("JPEG", "WEBP", "PNG"):
                return picture
            image.draft("RGB", (_PICTURE_PX, _PICTURE_PX))
            shrunk = image.convert("RGB")
    except (UnidentifiedImageError, OSError):
        return picture
    shrunk.thumbnail((_PICTURE_PX, _PICTURE_PX))
    buffer = BytesIO()
    shrunk.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def _asked(part: Part, pictures: dict[str, bytes]) -> AskedPart:
    minus = part.weight < 0
    amount = "" if abs(part.weight) == 1 else f" (weight {part.weight:g})"
    match part:
        case TextPart():
            return AskedPart("not" if minus else "words", f"“{part.text}”{amount}", negative=minus)
        case ImagePart():
            return AskedPart(_WORDS_OF_KIND[part.layer], amount.strip(), data_uri(small(part.data)), minus)
        case PointPart():
            return AskedPart("coordinate", f"{part.lat:.5f}, {part.lng:.5f}{amount}", negative=minus)
        case LikePart():
            picture = data_uri(small(pictures[part.id])) if part.id in pictures else ""
            return AskedPart("unlike" if minus else "more like", f"{part.id}{amount}", picture, minus)


def _shown(hit: Hit, pictures: dict[str, bytes]) -> ShownHit:
    return ShownHit(
        id=hit.id,
        rank=hit.rank,
        score=hit.score,
        layer=hit.layer,
        caption=hit.caption or ", ".join(hit.tags[:4]),
        why=reason(hit.why),
        position=position(hit),
        attribution=hit.attribution,
        picture=data_uri(pictures[hit.id]) if hit.id in pictures else "",
        outline=outline_svg(hit.why["segment"]["picture"], pictures[hit.id])
        if "segment" in hit.why and hit.id in pictures
        else "",
    )


@cache
def _template() -> Any:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("app").joinpath("templates/report.html").read_text("utf-8"))


def _style() -> str:
    return files("app").joinpath("templates/report.css").read_text("utf-8")
