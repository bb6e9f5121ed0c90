"""What a folder or a tar holds: names, stamps and bytes, read by any thread in any order."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from geoanchor.errors import BadInput
from indexer.sources.identity import file_stamp


@dataclass(frozen=True, slots=True)
class Entry:
    """One file below a container.

    Attributes:
        name: path below the container, with "/".
        size: bytes; stamp: changes when the content may have changed.
        broken: why it cannot be read, or "".
    """

    name: str
    size: int = 0
    stamp: str = ""
    broken: str = ""


class Container(Protocol):
    """Named files in one place."""

    @property
    def entries(self) -> dict[str, Entry]:
        """Every file by name, in the order of names; hidden files are left out."""

    def read(self, name: str) -> bytes:
        """Bytes of one file; thread-safe. Raises BadInput when it cannot be read."""

    def close(self) -> None:
        """Let go of open files; may be called twice."""


class Folder:
    """The files below a folder, links followed; or one file of it with its sidecars.

    Raises BadInput when the folder itself cannot be listed.
    """

    def __init__(self, root: Path, *, recursive: bool = True) -> None:
        self.root = root
        try:
            found = list(_walk(root, root, recursive, frozenset()))
        except OSError as error:
            raise BadInput(
                str(root), f"the folder cannot be listed ({error.strerror}); check its permissions"
            ) from error
        self.entries = {entry.name: entry for entry in sorted(found, key=lambda entry: entry.name)}

    def read(self, name: str) -> bytes:
        """Bytes of one file. Raises BadInput when it cannot be read."""
        path = self.root / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise BadInput(str(path), f"cannot be read ({error.strerror}); check the file") from error

    def close(self) -> None:
        """Nothing is kept open."""


def _walk(root: Path, folder: Path, recursive: bool, above: frozenset[tuple[int, int]]) -> Iterator[Entry]:
    info = folder.stat()
    here = (info.st_dev, info.st_ino)
    # A link to a folder above would never end.
    if here in above:
        return
    with os.scandir(folder) as children:
        for child in children:
            name = Path(child.path).relative_to(root).as_posix()
            if child.name.startswith("."):
                continue
            if not _is_folder(child):
                yield _entry(name, child)
            elif recursive:
                try:
                    yield from list(_walk(root, Path(child.path), recursive, above | {here}))
                except OSError as error:
                    yield Entry(name, broken=f"the folder cannot be listed ({error.strerror}); check its permissions")


def _is_folder(child: os.DirEntry[str]) -> bool:
    try:
        return child.is_dir()
    except OSError:
        # A link to itself, say: what is wrong with it is said of it alone.
        return False


def _entry(name: str, child: os.DirEntry[str]) -> Entry:
    try:
        info = child.stat()
    except OSError as error:
        return Entry(name, broken=f"cannot be read ({error.strerror}); repair the link or remove it")
    if not stat.S_ISREG(info.st_mode):
        return Entry(name, broken="is not a regular file; remove it")
    return Entry(name, info.st_size, file_stamp(info))


class Archive:
    """The files of a tar, plain or compressed with gzip; nothing is ever unpacked to a path the archive names.

    A compressed one is expanded once into an unnamed temporary file, because pictures are not read in its order.
    Raises BadInput when it is no tar.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets: dict[str, int] = {}
        found: dict[str, Entry] = {}
        try:
            # Archives made to be reproducible give every member the same time.
            self._stamp = file_stamp(path.stat())
            self._file, cut = _expanded(path)
        except OSError as error:
            raise BadInput(str(path), f"cannot be read ({error.strerror or error}); check the file") from error
        try:
            with tarfile.open(fileobj=self._file, mode="r:") as archive:
                cut |= self._list(archive, found)
        except tarfile.TarError as error:
            self.close()
            raise BadInput(str(path), f"is not a tar archive ({error}); pack it anew") from error
        if cut:
            name = "(the rest of the archive)"
            found[name] = Entry(name, broken="the archive is cut short here; pack it anew")
        self.entries = dict(sorted(found.items()))

    def _list(self, archive: tarfile.TarFile, found: dict[str, Entry]) -> bool:
        """Collect the members; whether the archive is cut short."""
        try:
            for member in archive:
                name = _inside(member.name)
                if any(part.startswith(".") for part in name.split("/")):
                    continue
                if member.islnk():
                    self._link(name, _inside(member.linkname), found)
                elif member.isfile():
                    broken = "is stored as a sparse file; pack it anew without --sparse" if member.issparse() else ""
                    self._offsets[name] = member.offset_data
                    found[name] = Entry(name, member.size, f"{member.size}-{self._stamp}", broken)
        except (tarfile.TarError, EOFError):
            return True
        return False

    def _link(self, name: str, target: str, found: dict[str, Entry]) -> None:
        """A hard link, as tar writes a file that it has written already under another name."""
        if target in self._offsets:
            self._offsets[name] = self._offsets[target]
            found[name] = replace(found[target], name=name)
        else:
            found[name] = Entry(name, broken=f"is a link to {target}, which the archive lacks; pack it anew")

    def read(self, name: str) -> bytes:
        """Bytes of one member. Raises BadInput when the archive ends before it does."""
        entry = self.entries[name]
        data = os.pread(self._file.fileno(), entry.size, self._offsets[name])
        if len(data) < entry.size:
            raise BadInput(f"{self.path}/{name}", "the archive is cut short here; pack it anew")
        return data

    def close(self) -> None:
        """Close the archive; a temporary file goes with it."""
        self._file.close()


def _inside(name: str) -> str:
    """A member's name below the archive's root."""
    return name.removeprefix("./").lstrip("/")


def _expanded(path: Path) -> tuple[BinaryIO, bool]:
    """The plain tar, open, and whether its compressed form is cut short."""
    file = open(path, "rb")  # noqa: SIM115 - the archive keeps it
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if not packed:
        return file, False
    plain, cut = tempfile.TemporaryFile(), False  # noqa: SIM115
    with file, gzip.open(file) as unpacked:
        try:
            # `read` would lose the last whole piece before a cut.
            while piece := unpacked.read1(1 << 20):
                plain.write(piece)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            cut = True
    plain.seek(0)
    return plain, cut
