"""A served index from Python: the same words, the same types and the same errors as an index opened from disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from app.access import TOKEN_VARIABLE
from app.answers import Changes, Hits
from app.phrasing import Understood
from app.question import Picture, Question, Where, file_bytes, region_of
from app.streams import Format
from geoanchor import errors
from geoanchor.change import MAX_OFFSET, ChangeList, Decision, Review
from geoanchor.errors import BadInput, GeoAnchorError, UsageError
from geoanchor.image import Layer
from geoanchor.phrase import Phrase
from geoanchor.query import (
    LONGEST_PLACE,
    Answer,
    BoundsRegion,
    CellsRegion,
    Hit,
    PolygonRegion,
    Query,
    RadiusRegion,
    RowFacts,
)
from retrieval.phrases import Reading
from retrieval.searcher import Description

_PAGE = 500


def connect(url: str, token: str | None = None, timeout_s: float = 60.0) -> RemoteIndex:
    """Reach an index that `geoanchor serve` serves, e.g. at "http://127.0.0.1:7860".

    Args:
        token: None takes GEOANCHOR_TOKEN of the environment, if it is set.

    Raises UsageError for an address that is none or that nobody answers at, GeoAnchorError when the service refuses.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url}: an address begins with http:// or https://, e.g. http://127.0.0.1:7860")
    index = RemoteIndex(url.rstrip("/"), os.environ.get(TOKEN_VARIABLE, "") if token is None else token, timeout_s)
    index.info()
    return index


class RemoteIndex:
    """An index behind an address; safe to ask from several threads; close it, or use it in a `with` statement.

    Attributes:
        url: where it is served.
    """

    def __init__(self, url: str, token: str = "", timeout_s: float = 60.0) -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)

    def __enter__(self) -> RemoteIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self.info()["rows"])

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def search(
        self,
        text: str | Sequence[str] | None = None,
        *,
        image: Picture | Sequence[Picture] | None = None,
        map: Picture | Sequence[Picture] | None = None,
        ground: Picture | Sequence[Picture] | None = None,
        at: Sequence[float] | str | None = None,
        like: str | Sequence[str] | None = None,
        segment: int | None = None,
        not_: str | Sequence[str] | None = None,
        within: Where | None = None,
        near: Sequence[float] | str | None = None,
        layer: Layer | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        k: int = 10,
        offset: int = 0,
        relations: bool = True,
        tags: bool = True,
        suppress: float = 0.0,
        spaces: Sequence[str] = (),
        rerank: str | None = None,
        min_probability: float = 0.0,
        weights: Mapping[str, float] | None = None,
        literal: bool = False,
    ) -> Hits:
        """As `Index.search`; pictures and region files are read here and sent."""
        question = Question(
            text=text, image=image, map=map, ground=ground, at=at, like=like, segment=segment, not_=not_,
            within=within, near=near, layer=layer, since=since, until=until, k=k, offset=offset, relations=relations,
            tags=tags, suppress=suppress, spaces=spaces, rerank=rerank, min_probability=min_probability,
            weights=weights,
        )  # fmt: skip
        return self.query(question.query(None if literal else self.reader))

    def query(self, query: Query) -> Hits:
        """The answer to a ready-made Query."""
        return Hits(query, Answer.model_validate_json(self._send("POST", "/api/search", json=_json(query)).content))

    def hits(self, query: Query) -> Iterator[Hit]:
        """All hits of a query, however many its k asks for, fetched page by page."""
        end = query.offset + query.k
        for offset in range(query.offset, end, _PAGE):
            page = self.query(query.model_copy(update={"k": min(_PAGE, end - offset), "offset": offset}))
            yield from page
            if page.answer.taken < page.query.k:
                return

    def rows(self, layer: Layer | None = None) -> Iterator[RowFacts]:
        """All rows of the index or of a layer, fetched page by page."""
        offset: int | None = 0
        while offset is not None:
            asked = {"offset": offset, "limit": _PAGE} | ({"layer": layer} if layer else {})
            page = self._send("GET", "/api/rows", params=asked).json()
            yield from map(RowFacts.model_validate, page["rows"])
            offset = page["next"]

    def export(self, path: str | Path, format: Format, query: Query | None = None) -> None:
        """Write all rows, or all hits of a query, to a file: GeoJSON, CSV or GeoParquet, as it comes in."""
        method, address, body = ("GET", f"/api/rows.{format}", None)
        if query is not None:
            method, address, body = "POST", f"/api/search.{format}", _json(query)
        with self._answered(), self._http.stream(method, address, json=body) as answer:
            if answer.is_error:
                answer.read()
                raise _refusal(answer)
            # What a broken connection leaves behind would look whole.
            partial = Path(f"{path}.part")
            with open(partial, "wb") as file:
                for piece in answer.iter_bytes():
                    file.write(piece)
            partial.replace(path)

    def parse(self, text: str) -> Phrase:
        """As `Index.parse`."""
        found = self._send("POST", "/api/parse", json={"text": text}).json()
        return Phrase.model_validate({name: found[name] for name in Phrase.model_fields})

    def reader(self, text: str) -> Reading:
        """As `Index.reader`."""
        found = Understood.model_validate_json(self._send("POST", "/api/parse", json={"text": text}).content)
        return Reading(
            words=found.words, unwanted=list(found.unwanted), point=found.point, region=found.region,
            layer=found.layer, since=found.since, until=found.until, relations=found.relations,
            chips=list(found.chips),
        )  # fmt: skip

    def describe(self, image: Picture, *, layer: Layer = "aerial", k: int = 5) -> tuple[Description, ...]:
        """As `Index.describe`."""
        asked: dict[str, Any] = {"params": {"layer": layer, "k": k}, "files": {"image": file_bytes(image)}}
        found = self._send("POST", "/api/describe", **asked).json()
        return tuple(Description(item["text"], item["score"]) for item in found["texts"])

    def changes(
        self,
        *,
        within: Where | None = None,
        near: Sequence[float] | str | None = None,
        k: int = 50,
        all_dates: bool = False,
        unmapped: bool = True,
        reviewed: bool = False,
        everything: bool = False,
        max_offset: float = MAX_OFFSET,
    ) -> Changes:
        """As `Index.changes`."""
        asked = _where(within, near) | {
            "k": k, "all_dates": all_dates, "unmapped": unmapped, "reviewed": reviewed, "everything": everything,
            "max_offset": max_offset,
        }  # fmt: skip
        answer = self._send("GET", "/api/changes", params=asked)
        return Changes(ChangeList.model_validate_json(answer.content))

    def review(self, change_id: str, decision: Decision, note: str = "") -> Review:
        """As `Index.review`."""
        body = {"change": change_id, "decision": decision, "note": note}
        return Review.model_validate_json(self._send("POST", "/api/changes", json=body).content)

    def reviews(self) -> tuple[Review, ...]:
        """As `Index.reviews`."""
        return tuple(map(Review.model_validate, self._send("GET", "/api/reviews").json()))

    def info(self) -> dict[str, Any]:
        """As `Index.info`."""
        facts: dict[str, Any] = self._send("GET", "/api/info").json()
        return facts

    def thumbnails(self, ids: Sequence[str]) -> dict[str, bytes]:
        """As `Index.thumbnails`."""
        found = {}
        for name in ids:
            with self._answered():
                answer = self._http.get(f"/api/thumbnails/{quote(name)}")
            if answer.status_code != 404:
                found[name] = _checked(answer).content
        return found

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        with self._answered():
            return _checked(self._http.request(method, path, **request))

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Say plainly when nobody answers."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise GeoAnchorError(f"{self.url}: no answer within {self._http.timeout.read:g} s; ask for less") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UsageError(
                f"{self.url}: no service answers there ({error}); is `geoanchor serve` running?"
            ) from error


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        raise _refusal(answer)
    return answer


def _refusal(answer: httpx.Response) -> GeoAnchorError:
    """The service's own sentence, as the error that the index itself would raise."""
    otherwise = UsageError if answer.is_client_error else GeoAnchorError
    try:
        said = answer.json()
        sentence, kind = str(said["error"]), getattr(errors, str(said.get("kind")), otherwise)
    except (ValueError, KeyError, TypeError, AttributeError):
        return otherwise(f"{answer.url}: HTTP {answer.status_code}, no answer of GeoAnchor's")
    if kind is BadInput:
        where, _, reason = sentence.partition(": ")
        return BadInput(where, reason)
    return kind(sentence) if isinstance(kind, type) and issubclass(kind, GeoAnchorError) else otherwise(sentence)


def _json(query: Query) -> Any:
    return query.model_dump(mode="json")


def _where(within: Where | None, near: Sequence[float] | str | None) -> dict[str, str]:
    """A region as parameters of an address. Raises UsageError for a polygon that is too long for one."""
    match region_of(within, near):
        case None:
            return {}
        case BoundsRegion(bounds=bounds):
            return {"within": ",".join(map(repr, bounds))}
        case CellsRegion(cells=cells):
            return {"within": ",".join(cells)}
        case RadiusRegion(lng=lng, lat=lat, radius_m=radius_m):
            return {"near": f"{lat!r},{lng!r},{radius_m!r}"}
        case PolygonRegion(geometry=geometry):
            within = json.dumps(geometry, separators=(",", ":"))
            if len(within) > LONGEST_PLACE:
                raise UsageError("the polygon has too many corners to be sent; simplify it, or give a box or H3 cells")
            return {"within": within}
