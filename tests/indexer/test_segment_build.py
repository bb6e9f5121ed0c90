"""An index with segments: whole after a kill, after compaction and after updates, and looked over by the doctor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from drawn import DrawnSource, drawn, nothing_to_derive
from killed import killed_at

from geoanchor.errors import UsageError
from geoanchor.image import Pixels
from geoanchor.manifest import read_manifest
from geoanchor.segment import Mask
from indexer.build import BuildOptions, build
from indexer.doctor import diagnose
from indexer.journal import Journal
from indexer.upkeep import compact, delete_rows
from models.segments import PartEncoder
from models.toy import ToyEncoder
from retrieval.index.lance import LanceStore

COLUMNS = ["id", "segments", "segment_vectors", "vector_semantic"]
OPTIONS = BuildOptions(batch_size=16, threads=2, commit_rows=32)


class Halves:
    """Cuts a picture in two, and one in five not at all."""

    def segment(self, pixels: Pixels) -> Sequence[Mask]:
        if int(pixels.sum()) % 5 == 0:
            return []
        left = np.zeros((8, 8), bool)
        left[:, :3] = True
        return [Mask(left, 0.5), Mask(~left, 0.9)]


def parts(fuse: float = 0.0, method: str = "regions") -> PartEncoder:
    return PartEncoder(method, Halves(), ToyEncoder(), fuse)


def make(folder: Path, sources: Sequence[DrawnSource], fuse: float = 0.0) -> None:
    build(folder, sources, ToyEncoder(), LanceStore, nothing_to_derive, OPTIONS, segments=parts(fuse))


def both() -> list[DrawnSource]:
    return [drawn(120, broken=frozenset({5}), blank=frozenset({9})), drawn(30, layer="map")]


def content(folder: Path) -> object:
    return LanceStore.open(folder).columns(COLUMNS).sort_by("id").to_pylist()


def errors(folder: Path) -> list[str]:
    findings = diagnose(folder, LanceStore.open(folder), read_manifest(folder))
    return [finding.text for finding in findings if finding.level == "error"]


def test_every_aerial_row_has_segments_and_no_map_row(tmp_path: Path) -> None:
    make(tmp_path, both())
    rows = LanceStore.open(tmp_path).columns(["layer", *COLUMNS]).to_pylist()
    assert {len(row["segments"]) for row in rows if row["layer"] == "aerial"} == {1, 2}
    assert {len(row["segments"]) for row in rows if row["layer"] == "map"} == {0}
    for row in rows:
        vectors = np.array(row["segment_vectors"], np.float32).reshape(len(row["segments"]), 4)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=2e-3)
        if len(row["segments"]) == 1:
            assert vectors[0] == pytest.approx(row["vector_semantic"], abs=1e-3)
            assert row["segments"][0]["outline"] == []
        assert row["layer"] == "map" or sum(part["weight"] for part in row["segments"]) == pytest.approx(1, abs=1e-6)
    record = read_manifest(tmp_path).segments
    assert record is not None
    assert (record.method, record.space, record.fuse) == ("regions", "semantic", 0.0)
    assert errors(tmp_path) == []


def test_fused_rows_have_their_segments_share(tmp_path: Path) -> None:
    make(tmp_path / "plain", [drawn(20)])
    make(tmp_path / "fused", [drawn(20)], fuse=0.3)
    plain, fused = (
        LanceStore.open(tmp_path / name).columns(COLUMNS).sort_by("id").to_pylist() for name in ("plain", "fused")
    )
    moved = 0
    for before, after in zip(plain, fused, strict=True):
        vectors = np.array(before["segment_vectors"], np.float32).reshape(-1, 4)
        weights = np.array([part["weight"] for part in before["segments"]], np.float32)
        wanted = 0.7 * np.array(before["vector_semantic"]) + 0.3 * weights @ vectors
        assert after["vector_semantic"] == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-3)
        moved += before["vector_semantic"] != after["vector_semantic"]
    assert moved


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name", "call"), [(LanceStore, "append", 2), (Journal, "note", 3), (Journal, "finish", 1)]
)
def test_a_kill_loses_no_segment(tmp_path: Path, owner: type, name: str, call: int, after: bool) -> None:
    make(tmp_path / "whole", both(), fuse=0.3)
    with killed_at(call, owner, name, after=after):
        make(tmp_path / "killed", both(), fuse=0.3)
    make(tmp_path / "killed", both(), fuse=0.3)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert errors(tmp_path / "killed") == []


def test_a_killed_process_loses_no_segment(tmp_path: Path) -> None:
    """SIGKILL in the middle of a build, of the real thing, in a process of its own."""
    import os
    import signal
    import subprocess

    make(tmp_path / "whole", both(), fuse=0.3)
    program = "import sys, drawn, test_segment_build as t, time\nfrom pathlib import Path\n" + (
        "real = t.LanceStore.append\n"
        "def slow(self, rows):\n    real(self, rows)\n    print('committed', flush=True)\n    time.sleep(60)\n"
        "t.LanceStore.append = slow\nt.make(Path(sys.argv[1]), t.both(), fuse=0.3)\n"
    )
    root = Path(__file__).parents[2]
    path = os.pathsep.join(map(str, (root, Path(__file__).parent)))
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "killed")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"committed\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not (tmp_path / "killed" / "manifest.json").exists()
    make(tmp_path / "killed", both(), fuse=0.3)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_compaction_updates_and_deletion_keep_the_rest(tmp_path: Path) -> None:
    make(tmp_path, [drawn(60)])
    before = content(tmp_path)
    compact(tmp_path, LanceStore, nothing_to_derive)
    assert content(tmp_path) == before
    changed = drawn(60)
    changed.versions[3] = "2"
    make(tmp_path, [changed])
    rows = {row["id"]: row for row in content(tmp_path)}  # type: ignore[attr-defined]
    assert [row["id"] for row in before if rows[row["id"]] != row] == [changed.id(3)]  # type: ignore[attr-defined]
    delete_rows(tmp_path, [changed.id(3)], LanceStore, nothing_to_derive)
    del rows[changed.id(3)]
    assert content(tmp_path) == list(rows.values())
    assert errors(tmp_path) == []


def test_other_segments_than_the_index_has_are_refused(tmp_path: Path) -> None:
    make(tmp_path, [drawn(5)])
    with pytest.raises(UsageError, match="its segments are regions, not none; build a new index"):
        build(tmp_path, [drawn(5)], ToyEncoder(), LanceStore, nothing_to_derive, OPTIONS)
    with pytest.raises(UsageError, match=r"its segments are regions, not regions, fused by 0.5"):
        make(tmp_path, [drawn(5)], fuse=0.5)


def test_an_interrupted_build_goes_on_with_its_own_segments(tmp_path: Path) -> None:
    with killed_at(1, Journal, "finish"):
        make(tmp_path, [drawn(5)])
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(UsageError, match="its segments are regions, not none"):
        build(tmp_path, [drawn(5)], ToyEncoder(), LanceStore, nothing_to_derive, OPTIONS)


def test_a_part_that_the_model_cannot_encode_sets_its_picture_aside(tmp_path: Path) -> None:
    class Broken(PartEncoder):
        def encode(self, cuts, pictures):  # type: ignore[no-untyped-def]
            found = super().encode(cuts, pictures)
            found[0][0].vector[:] = np.nan
            return found

    segments = Broken("regions", Halves(), ToyEncoder())
    report = build(tmp_path, [drawn(20)], ToyEncoder(), LanceStore, nothing_to_derive, OPTIONS, segments=segments)
    assert len(report.quarantined) == 2
    assert report.rows == 18


def test_the_doctor_sees_damaged_segments(tmp_path: Path) -> None:
    class Crooked(PartEncoder):
        def encode(self, cuts, pictures):  # type: ignore[no-untyped-def]
            found = super().encode(cuts, pictures)
            found[0][0].vector[:] *= 2
            return found

    segments = Crooked("regions", Halves(), ToyEncoder())
    build(tmp_path, [drawn(10)], ToyEncoder(), LanceStore, nothing_to_derive, OPTIONS, segments=segments)
    assert [text for text in errors(tmp_path) if text.startswith("1 rows have segments that are damaged")]
