"""Pictures by name, out of a folder or a tar file."""

from __future__ import annotations

import posixpath
import tarfile
import threading
from pathlib import Path
from unicodedata import normalize

from geoanchor.errors import BadInput, UsageError, reason_of
from geoanchor.image import Pixels
from indexer.sources.picture import read_picture

_MAX_BYTES = 256 * 2**20
"""No picture's file is larger; a damaged or hostile header may say so."""


class Pictures:
    """Reads pictures by name from a folder or a tar file; thread-safe.

    In a tar a picture is also found by the end of its path where only one ends so ("a.jpg" for "images/a.jpg").
    Raises UsageError on opening when there is no such folder or tar.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._members: dict[str, list[tarfile.TarInfo]] | None = None
        if path.is_file():
            try:
                self._tar = tarfile.open(path)  # noqa: SIM115 (lives as long as this object)
                self._members = _by_last_name(self._tar)
            except (tarfile.TarError, OSError, EOFError) as error:
                raise UsageError(f"{path}: neither a folder nor a tar file of images ({reason_of(error)})") from error
        elif not path.is_dir():
            raise UsageError(f"{path}: no such folder or tar file of images")

    def read(self, name: str) -> Pixels:
        """RGB uint8 (h, w, 3). Raises BadInput when the picture is missing, too large or cannot be decoded."""
        return read_picture(self._bytes(name), f"{self._path}/{name}")

    def _bytes(self, name: str) -> bytes:
        try:
            if self._members is None:
                return self._of_folder(name)
            member = _named(self._members, name)
            if member.size > _MAX_BYTES:
                raise BadInput(f"{self._path}/{name}", f"has {member.size} bytes, more than any picture")
            with self._lock:
                file = self._tar.extractfile(member)
                assert file is not None  # only regular files are kept
                return file.read()
        except (OSError, KeyError, ValueError, tarfile.TarError) as error:
            raise BadInput(f"{self._path}/{name}", "no such picture") from error

    def _of_folder(self, name: str) -> bytes:
        # One name may be written in two ways of Unicode, by the file system and in the list.
        spellings = (name, normalize("NFC", name), normalize("NFD", name))
        found = next((own for own in spellings if (self._path / own).exists()), name)
        file = (self._path / found).resolve()
        if not file.is_relative_to(self._path.resolve()):
            raise BadInput(name, "lies outside the folder of images")
        if file.stat().st_size > _MAX_BYTES:
            raise BadInput(str(file), f"has {file.stat().st_size} bytes, more than any picture")
        return file.read_bytes()


def _by_last_name(tar: tarfile.TarFile) -> dict[str, list[tarfile.TarInfo]]:
    """Regular files by the last part of their path; links are left out, they may point anywhere."""
    found: dict[str, list[tarfile.TarInfo]] = {}
    for member in tar:
        if member.isreg():
            found.setdefault(posixpath.basename(member.name), []).append(member)
    return found


def _named(members: dict[str, list[tarfile.TarInfo]], name: str) -> tarfile.TarInfo:
    """The member of that very path, else the only one whose path ends with it. Raises KeyError."""
    path = posixpath.normpath(name)
    alike = members.get(posixpath.basename(path), [])
    exact = [member for member in alike if posixpath.normpath(member.name) == path]
    ending = exact[-1:] or [member for member in alike if member.name.endswith(f"/{path}")]
    if len(ending) != 1:
        raise KeyError(name)
    return ending[0]
