"""Captions in JSON: our own list, and the object that Karpathy's splits made common."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from geoanchor.errors import UsageError, first_fault
from training.datasets.captioned import Captioned


class _Sentence(BaseModel):
    raw: str


class _Image(BaseModel):
    filename: str
    sentences: list[_Sentence]
    split: str | None = None


class _Karpathy(BaseModel):
    images: list[_Image]


def read_json(data: bytes, path: Path) -> list[Captioned]:
    """Items of [{"image", "captions", "split"?, "scene"?}, ...] or {"images": [{"filename", "split", "sentences"}]}.

    Raises UsageError that names the first thing that is wrong.
    """
    try:
        if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            return TypeAdapter(list[Captioned]).validate_json(data.removeprefix(b"\xef\xbb\xbf"))
        images = _Karpathy.model_validate_json(data.removeprefix(b"\xef\xbb\xbf")).images
        return [
            Captioned(image=own.filename, captions=tuple(told.raw for told in own.sentences), split=own.split)
            for own in images
        ]
    except ValidationError as error:
        raise UsageError(f"{path}: not a list of images with captions: {first_fault(error)}") from error
