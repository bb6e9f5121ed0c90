"""Benchmark data as users have it: pictures in a folder or tar, captions in JSON."""

from __future__ import annotations

import tarfile
import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from geoanchor.errors import BadInput, UsageError
from geoanchor.image import Pixels
from geoanchor.picture import read_rgb


class Captioned(BaseModel):
    """A picture's name and its captions; `split` is optional, other fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    image: str
    captions: tuple[str, ...] = Field(min_length=1)
    split: str | None = None


def read_captions(path: Path, split: str | None = None) -> list[Captioned]:
    """Captioned pictures of a JSON list [{"image", "captions", "split"?}, ...], of one split or all.

    Raises UsageError when the file is not such a list or holds nothing of that split.
    """
    try:
        items = TypeAdapter(list[Captioned]).validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot read captions ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path}: not a list of images with captions: {where}: {first['msg']}") from error
    chosen = [item for item in items if split is None or item.split == split]
    if not chosen:
        known = ", ".join(sorted({item.split or "none" for item in items})) or "none"
        raise UsageError(f"{path}: no picture of split {split!r}; splits in it: {known}")
    return chosen


class Pictures:
    """Reads pictures by name from a folder or a tar file.

    Raises UsageError on opening when there is no such folder or tar.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._tar: tarfile.TarFile | None = None
        if path.is_file():
            try:
                self._tar = tarfile.open(path)  # noqa: SIM115 (lives as long as this object)
            except tarfile.TarError as error:
                raise UsageError(f"{path}: neither a folder nor a tar file of images ({error})") from error
        elif not path.is_dir():
            raise UsageError(f"{path}: no such folder or tar file of images")

    def read(self, name: str) -> Pixels:
        """RGB uint8 (h, w, 3). Raises BadInput when the picture is missing or cannot be decoded."""
        return read_rgb(self._bytes(name), f"{self._path}/{name}")

    def _bytes(self, name: str) -> bytes:
        try:
            if self._tar is None:
                file = (self._path / name).resolve()
                if not file.is_relative_to(self._path.resolve()):
                    raise BadInput(name, "lies outside the folder of images")
                return file.read_bytes()
            with self._lock:
                member = self._tar.extractfile(name)
                if member is None:
                    raise KeyError(name)
                return member.read()
        except (OSError, KeyError) as error:
            raise BadInput(f"{self._path}/{name}", "no such picture") from error
