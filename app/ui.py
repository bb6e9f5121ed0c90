"""The page: a form, a live map and the pictures of the hits; the only file that knows Gradio."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from fastapi import FastAPI
from gradio import processing_utils

from app import render
from app.handlers import Handlers
from app.wiring import Hits, Index
from geoanchor.errors import GeoAnchorError

_HEAD = """
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/maplibre-gl.css">
<link rel="stylesheet" href="/static/page.css">
<script src="/static/maplibre-gl.js"></script>
<script src="/static/page.js"></script>
"""
_MOUNT = """
const start = () => window.GeoAnchor && window.maplibregl
  ? window.GeoAnchor.mount(element, props, trigger, watch) : setTimeout(start, 50);
start();
"""
_FONTS = ["system-ui", "Segoe UI", "Liberation Sans", "sans-serif"]
_MONO = ["ui-monospace", "monospace"]
_KEPT_S = 3600
"""Uploaded pictures are deleted after an hour."""

Answer = dict[str, Any]
"""What the results show: hits (GeoJSON with `reason`), note, error."""


def mount_page(api: FastAPI, index: Index) -> FastAPI:
    """The service with the page at /."""
    processing_utils.async_ssrf_protected_download = _never_fetch
    theme = gr.themes.Base(primary_hue="teal", neutral_hue="zinc", font=_FONTS, font_mono=["ui-monospace", "monospace"])
    return gr.mount_gradio_app(  # type: ignore[no-any-return]
        api, build_page(Handlers(index)), path="/", theme=theme, head=_HEAD, show_error=False, footer_links=[],
        max_file_size=index.settings.max_upload_bytes, ssr_mode=False, enable_monitoring=False,
    )  # fmt: skip


async def _never_fetch(_url: str, cache_dir: str) -> str:  # noqa: ARG001 (Gradio's signature)
    """Gradio fetches an address that a request names as a file; nothing that this page sends does."""
    raise gr.Error("a picture must be uploaded, not named by its address", print_exception=False)


def build_page(handlers: Handlers) -> gr.Blocks:
    """The page's components and what happens between them."""
    with gr.Blocks(
        title="GeoAnchor", analytics_enabled=False, delete_cache=(_KEPT_S, _KEPT_S), fill_width=True
    ) as page:
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                gr.Markdown(_title(handlers))
                form = _form(handlers)
            with gr.Column(scale=3):
                results = gr.HTML(
                    value={}, html_template="", js_on_load=_MOUNT, view=handlers.map_view(), elem_id="results",
                    apply_default_css=False,
                )  # fmt: skip
        _connect(handlers, form, results)
    # Gradio checks that a path in a request is that of an upload only once it believes to be launched; a mounted page
    # never is, and would read any picture on this machine.
    page.has_launched = True
    return page


def _title(handlers: Handlers) -> str:
    """What is served, and a link to the changes where there are two layers to compare."""
    index = handlers.index
    link = " · [Changes](/changes)" if {"map", "aerial"} <= set(index.manifest.layers) else ""
    return f"## GeoAnchor\n{len(index)} places in {index.folder.name}{link}"


def _form(handlers: Handlers) -> dict[str, Any]:
    form: dict[str, Any] = {}
    form["q"] = gr.Textbox(label="Words", placeholder="stadium by the river", autofocus=True, max_length=2000)
    form["ask"] = gr.Button("Search", variant="primary")
    form["layer"] = gr.Radio(["all", *handlers.index.manifest.layers], value="all", label="Layer")
    with gr.Accordion("Pictures", open=False):
        form["image"] = gr.Image(label="Aerial picture", type="filepath", sources=["upload", "clipboard"], height=170)
        form["map"] = gr.Image(label="Map picture", type="filepath", sources=["upload", "clipboard"], height=170)
        form["tell"] = gr.Button("Describe the aerial picture", size="sm")
        form["texts"] = gr.Dataframe(headers=["text", "score"], visible=False, interactive=False, label="It shows")
    with gr.Accordion("Coordinate", open=False):
        form["at"] = gr.Textbox(label="Latitude, longitude", info="Or click the map.", placeholder="48.19, 15.39")
        form["radius"] = gr.Number(label="Only within metres of it", value=0, minimum=0, info="0: anywhere")
    with gr.Accordion("More", open=False):
        form["not"] = gr.Textbox(label="Unlike these words", max_length=2000)
        form["k"] = gr.Slider(1, 100, value=12, step=1, label="Hits")
        form["suppress"] = gr.Number(label="Metres between hits", value=0, minimum=0)
        form["relations"] = gr.Checkbox(label='Read "A by B" as two things', value=True)
    form["save"] = gr.Button("Download GeoJSON", size="sm")
    return form


def _connect(handlers: Handlers, form: dict[str, Any], results: gr.HTML) -> None:
    names = ("q", "layer", "image", "map", "at", "radius", "not", "k", "suppress", "relations")
    fields = [form[name] for name in names]

    def search(*values: Any) -> Answer:
        return answer_form(handlers, dict(zip(names, values, strict=True)))

    def select(event: gr.EventData, *values: Any) -> tuple[Answer, str]:
        given = dict(zip(names, values, strict=True))
        if like := event._data.get("like"):
            return answer_like(handlers, str(like), str(given["layer"]), int(given["k"])), str(given["at"] or "")
        given["at"] = str(event._data.get("at", ""))
        return answer_form(handlers, given), given["at"]

    def describe(image: str | None) -> Any:
        return gr.Dataframe(value=_texts(handlers, image), visible=True)

    for event in (form["ask"].click, form["q"].submit, form["at"].submit):
        event(search, fields, results, api_visibility="private", show_progress="minimal")
    results.select(select, fields, [results, form["at"]], api_visibility="private", show_progress="minimal")
    form["tell"].click(describe, form["image"], form["texts"], api_visibility="private")
    form["save"].click(None, results, None, js="(value) => { window.GeoAnchor.download(value); }")


def answer_form(handlers: Handlers, given: dict[str, Any]) -> Answer:
    """The answer to a filled-in form; what cannot be answered becomes one sentence in `error`."""
    at, radius = str(given["at"] or "").strip(), float(given["radius"] or 0)
    image, map_picture = _uploaded(given["image"]), _uploaded(given["map"])
    words = str(given["q"] or "")
    # With a radius the coordinate is a filter; with nothing else asked it is the question, too.
    asks_for_place = bool(at) and (radius == 0 or not (words.strip() or image or map_picture))
    try:
        hits = handlers.search_words(
            q=words, not_=str(given["not"] or ""), at=at if asks_for_place else "",
            near=f"{at},{radius}" if at and radius else "", layer=str(given["layer"]), k=int(given["k"]),
            suppress=float(given["suppress"] or 0), relations=bool(given["relations"]), image=image, map=map_picture,
        )  # fmt: skip
    except GeoAnchorError as error:
        return {"error": str(error)}
    return _shown(hits)


def answer_like(handlers: Handlers, row_id: str, layer: str, k: int) -> Answer:
    """Rows like one of the index."""
    try:
        return _shown(handlers.search_words(like=row_id, layer=layer, k=k))
    except GeoAnchorError as error:
        return {"error": str(error)}


def _texts(handlers: Handlers, image: str | None) -> list[list[Any]]:
    if not image:
        raise gr.Error("give an aerial picture first", print_exception=False)
    try:
        found = handlers.describe(Path(image).read_bytes())
    except GeoAnchorError as error:
        raise gr.Error(str(error), print_exception=False) from error
    return [[item.text, round(item.score, 3)] for item in found]


def _uploaded(path: str | None) -> bytes | None:
    """Bytes of a picture that Gradio has stored; the path is its own, checked by it, not the visitor's."""
    return Path(path).read_bytes() if path else None


def _shown(hits: Hits) -> Answer:
    features = [
        {
            "type": "Feature",
            "geometry": render.geometry(hit),
            "properties": render.properties(hit) | {"reason": render.reason(hit.why)},
        }
        for hit in hits
    ]
    note = hits.note or f"{len(hits)} of {hits.total} places"
    return {"hits": {"type": "FeatureCollection", "features": features}, "note": note}
