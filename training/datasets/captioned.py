"""A picture's name and what is said of it, whatever file it was read from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from geoanchor.errors import UsageError


class Captioned(BaseModel):
    """A picture's name and its captions; whatever else is known of it is optional, further fields are ignored.

    Attributes:
        image: name within the folder or tar; captions: one or more, none blank.
        split: as the data set says, e.g. "train"; scene: its class, also read from "class".
        lng, lat: degrees.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    image: str = Field(min_length=1)
    captions: tuple[str, ...] = Field(min_length=1)
    split: str | None = None
    scene: str | None = Field(default=None, validation_alias=AliasChoices("scene", "class"))
    lng: float | None = Field(default=None, ge=-180, le=180)
    lat: float | None = Field(default=None, ge=-90, le=90)

    @field_validator("captions", mode="before")
    @classmethod
    def _without_blank(cls, captions: object) -> object:
        if not isinstance(captions, list | tuple):
            return captions
        return [own for own in captions if not (isinstance(own, str) and not own.strip())]


def merged(items: Iterable[Captioned], path: Path) -> list[Captioned]:
    """One item an image, in the order of first mention, with all its captions.

    Raises UsageError when a picture is in two splits.
    """
    found: dict[str, list[Captioned]] = {}
    for item in items:
        own = found.setdefault(item.image, [])
        if own and own[0].split != item.split:
            raise UsageError(
                f"{path}: {item.image} is in two splits, {own[0].split!r} and {item.split!r}; take it out of one"
            )
        own.append(item)
    return [own[0] if len(own) == 1 else _joined(own) for own in found.values()]


def _joined(items: list[Captioned]) -> Captioned:
    return items[0].model_copy(update={"captions": tuple(text for item in items for text in item.captions)})
