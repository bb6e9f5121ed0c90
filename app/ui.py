"""Gradio's panel: the search as one plain form, for notebooks, sharing and other Gradio apps; only it knows Gradio."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from fastapi import FastAPI
from gradio import processing_utils
from PIL import Image

from app import render
from app.answers import Hits
from app.handlers import Handlers
from app.index import Index
from geoanchor.errors import GeoAnchorError

_FONTS = ["system-ui", "Segoe UI", "Liberation Sans", "sans-serif"]
_HEAD = '<link rel="icon" href="data:,">'
_KEPT_S = 3600
"""Uploaded pictures are deleted after an hour."""
_COLUMNS = ["#", "score", "layer", "lat, lng", "what", "why", "id"]

Found = tuple[list[tuple[Image.Image, str]], list[list[Any]], str]
"""Pictures with captions, rows of the table, one line about them."""


def panel_app(handlers: Handlers) -> FastAPI:
    """The panel as an application of its own, to be mounted anywhere."""
    processing_utils.async_ssrf_protected_download = _never_fetch
    theme = gr.themes.Base(primary_hue="teal", neutral_hue="zinc", font=_FONTS, font_mono=["ui-monospace", "monospace"])
    return gr.mount_gradio_app(  # type: ignore[no-any-return]
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None), build_panel(handlers), path="/", theme=theme,
        head=_HEAD, show_error=False, footer_links=[], max_file_size=handlers.index.settings.max_upload_bytes,
        ssr_mode=False, enable_monitoring=False,
    )  # fmt: skip


async def _never_fetch(_url: str, cache_dir: str) -> str:  # noqa: ARG001 (Gradio's signature)
    """Gradio fetches an address that a request names as a file; nothing that this panel sends does."""
    raise gr.Error("a picture must be uploaded, not named by its address", print_exception=False)


def build_panel(handlers: Handlers) -> gr.Blocks:
    """The panel's components and what happens between them."""
    with gr.Blocks(title="GeoAnchor panel", analytics_enabled=False, delete_cache=(_KEPT_S, _KEPT_S)) as panel:
        gr.Markdown(f"## GeoAnchor\n{len(handlers.index)} places in {handlers.index.folder.name} · [page with map](/)")
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                form = _form(handlers)
            with gr.Column(scale=3):
                note = gr.Markdown()
                gallery = gr.Gallery(label="Places", columns=5, interactive=False)
                table = gr.Dataframe(headers=_COLUMNS, interactive=False, label="The same as a table")
        _connect(handlers, form, [gallery, table, note])
    # Gradio checks that a path in a request is that of an upload only once it believes to be launched; a mounted panel
    # never is, and would read any picture on this machine.
    panel.has_launched = True
    return panel


def _form(handlers: Handlers) -> dict[str, Any]:
    form: dict[str, Any] = {}
    form["q"] = gr.Textbox(label="Words", placeholder="stadium by the river", autofocus=True, max_length=2000)
    form["layer"] = gr.Radio(["all", *handlers.index.manifest.layers], value="all", label="Layer")
    form["image"] = gr.Image(label="Aerial picture", type="filepath", sources=["upload", "clipboard"], height=170)
    form["map"] = gr.Image(label="Map picture", type="filepath", sources=["upload", "clipboard"], height=170)
    form["at"] = gr.Textbox(label="Latitude, longitude", placeholder="48.19, 15.39")
    form["k"] = gr.Slider(1, 100, value=20, step=1, label="Hits")
    form["ask"] = gr.Button("Search", variant="primary")
    form["tell"] = gr.Button("Describe the aerial picture", size="sm")
    form["texts"] = gr.Dataframe(headers=["text", "score"], visible=False, interactive=False, label="It shows")
    return form


def _connect(handlers: Handlers, form: dict[str, Any], results: list[Any]) -> None:
    fields = [form[name] for name in ("q", "layer", "image", "map", "at", "k")]

    def search(q: str, layer: str, image: str | None, map_: str | None, at: str, k: float) -> Found:
        index = handlers.index
        try:
            hits = handlers.search_words(
                q=q, layer=layer, image=_uploaded(image), map=_uploaded(map_), at=at or "", k=int(k), index=index
            )
        except GeoAnchorError as error:
            return [], [], str(error)
        return _shown(index, hits)

    def describe(image: str | None) -> Any:
        return gr.Dataframe(value=_texts(handlers, image), visible=True)

    for event in (form["ask"].click, form["q"].submit, form["at"].submit):
        event(search, fields, results, api_visibility="private", show_progress="minimal")
    form["tell"].click(describe, form["image"], form["texts"], api_visibility="private")


def _shown(index: Index, hits: Hits) -> Found:
    thumbnails = index.thumbnails([hit.id for hit in hits])
    pictures = [
        (Image.open(BytesIO(thumbnails[hit.id])).convert("RGB"), f"{hit.rank}: {hit.score:.3f}")
        for hit in hits
        if hit.id in thumbnails
    ]
    rows = [
        [hit.rank, round(hit.score, 4), hit.layer, render.position(hit), hit.caption, render.reason(hit.why), hit.id]
        for hit in hits
    ]
    return pictures, rows, hits.note or f"{len(hits)} of {hits.total} places"


def _texts(handlers: Handlers, image: str | None) -> list[list[Any]]:
    picture = _uploaded(image)
    if picture is None:
        raise gr.Error("give an aerial picture first", print_exception=False)
    try:
        found = handlers.describe(picture)
    except GeoAnchorError as error:
        raise gr.Error(str(error), print_exception=False) from error
    return [[item.text, round(item.score, 3)] for item in found]


def _uploaded(path: str | None) -> bytes | None:
    """Bytes of a picture that Gradio has stored; the path is its own, checked by it, not the visitor's."""
    return Path(path).read_bytes() if path else None
