"""One writer at a time, and no lock outlives its process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from drawn import drawn, nothing_to_derive

from geoanchor.errors import IndexLocked, UsageError
from indexer.build import build
from indexer.lock import writing
from models.toy import ToyEncoder
from retrieval.index.lance import LanceStore

HOLDER = """
import sys
from pathlib import Path
from indexer.lock import writing
with writing(Path(sys.argv[1])):
    print("holding", flush=True)
    sys.stdin.readline()
"""


def holder(folder: Path) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"holding\n"
    return child


def test_the_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    child = holder(tmp_path)
    for _ in range(2):  # asking must not wipe out the answer
        with pytest.raises(IndexLocked, match=rf"\(pid {child.pid}, since \d\d:\d\d\) is writing to .*; wait"):
            build(tmp_path, [drawn(5)], ToyEncoder(), LanceStore, nothing_to_derive)
    assert not (tmp_path / "tiles.lance").exists()
    child.communicate(b"done\n")
    assert build(tmp_path, [drawn(5)], ToyEncoder(), LanceStore, nothing_to_derive).rows == 5


def test_a_killed_writer_blocks_nobody(tmp_path: Path) -> None:
    child = holder(tmp_path)
    child.kill()
    child.communicate()
    assert (tmp_path / "writer.json").exists()
    with writing(tmp_path):
        pass
    assert not (tmp_path / "writer.json").exists()


def test_the_lock_is_free_again_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), writing(tmp_path):
        raise RuntimeError
    with writing(tmp_path):
        pass


def test_an_index_is_not_strewn_among_other_things(tmp_path: Path) -> None:
    """A slip of the pen must not fill a folder of pictures; an empty folder, and one of a killed build, will do."""
    photos, empty = tmp_path / "photos", tmp_path / "empty"
    photos.mkdir()
    empty.mkdir()
    (photos / "a.jpg").write_bytes(b"a picture")
    with pytest.raises(UsageError, match="photos: holds other files and is no index; name a folder of its own"):
        build(photos, [drawn(2)], ToyEncoder(), LanceStore, nothing_to_derive)
    assert [path.name for path in photos.iterdir()] == ["a.jpg"]
    with writing(empty):
        (empty / "left").touch()
    build(empty, [drawn(2)], ToyEncoder(), LanceStore, nothing_to_derive)
