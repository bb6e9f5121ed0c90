"""The pages and the files that they load: the search at /, the changes at /changes; all from this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse

from app.handlers import NotFound
from geoanchor.errors import GeoAnchorError

_TEMPLATES = Path(__file__).parent / "templates"
_STATIC = Path(__file__).parent / "static"
_LIBRARY_AGE = {"Cache-Control": "private, max-age=86400"}
_OWN_AGE = {"Cache-Control": "no-cache"}
# No script and no style of a page stands in its HTML; the map draws in a worker made from a blob.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' blob:; "
    "worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_PAGES = {"/": "search_page.html", "/changes": "changes_page.html"}


def install_pages(api: FastAPI) -> None:
    """Add the pages and /static to a service."""
    for path, name in _PAGES.items():
        api.add_api_route(path, _page(name), include_in_schema=False)

    @api.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> FileResponse:
        path = _files().get(name)
        if path is None:
            raise NotFound(f"no file {name!r}")
        return FileResponse(path, headers=_OWN_AGE if path.parent == _STATIC else _LIBRARY_AGE)


def _page(name: str) -> Callable[[], HTMLResponse]:
    from jinja2 import Environment, FileSystemLoader

    templates = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = templates.get_template(name).render()

    def page() -> HTMLResponse:
        return HTMLResponse(text, headers=_OWN_AGE | {"Content-Security-Policy": _POLICY})

    return page


@cache
def _files() -> dict[str, Path]:
    """Name -> file of all that a page may load; the map library comes from its own package."""
    package = find_spec("maplibre")
    if package is None or package.origin is None:
        raise GeoAnchorError("the package maplibre is not installed; install GeoAnchor anew")
    library = Path(package.origin).parent / "srcjs"
    named = [library / "maplibre-gl.js", library / "maplibre-gl.css", *_STATIC.iterdir()]
    return {path.name: path for path in named}
