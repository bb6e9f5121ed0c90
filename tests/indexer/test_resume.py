"""A build that was killed gives, once resumed, the index that an undisturbed one gives, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from drawn import SlowToy, drawn, killable_build, nothing_to_derive
from killed import killed_at

from geoanchor.errors import SpaceMismatch, UsageError
from geoanchor.image import Pixels
from geoanchor.manifest import read_manifest
from geoanchor.protocols import Role, Vectors
from geoanchor.space import Modality
from indexer import build as build_module
from indexer.build import BuildOptions, build
from indexer.doctor import diagnose
from indexer.journal import FILE_NAME, Journal
from indexer.report import BuildReport
from indexer.writer import Writer
from models.toy import ToyEncoder
from retrieval.index.lance import LanceStore

KILLS = 20


def content(folder: Path) -> tuple[object, ...]:
    """Everything that two equal builds must agree on, vectors as bytes."""
    store = LanceStore.open(folder)
    names = ["id", "cell", "stamp", "content_hash", "thumbnail", "tags", "caption", "origin", "lng", "lat"]
    rows = store.columns(names).sort_by("id")
    vectors = store.columns(["id", "vector_semantic"]).sort_by("id")["vector_semantic"].combine_chunks()
    texts = store.texts()
    return rows.to_pylist(), vectors.flatten().to_numpy().tobytes(), texts.to_pylist()


def counts(report: BuildReport) -> dict[str, object]:
    return report.model_dump(exclude={"seconds", "tiles_per_s", "resumed", "quarantined"}) | {
        "quarantined": sorted(item.id for item in report.quarantined)
    }


def errors(folder: Path) -> list[str]:
    findings = diagnose(folder, LanceStore.open(folder), read_manifest(folder))
    return [finding.text for finding in findings if finding.level == "error"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, BuildReport, float]:
    folder = tmp_path_factory.mktemp("whole") / "town.index"
    start = time.perf_counter()
    report = killable_build(folder, SlowToy(0.01))
    return content(folder), report, time.perf_counter() - start


def ready_child(folder: Path) -> subprocess.Popen[bytes]:
    program = Path(__file__).with_name("drawn.py")
    environment = os.environ | {"PYTHONPATH": str(program.parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, program, str(folder), "0.01"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment,
    )  # fmt: skip


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, undisturbed: tuple[object, BuildReport, float]) -> None:
    expected, report, seconds = undisturbed
    random = Random(7)
    folders = [tmp_path / f"{number}.index" for number in range(KILLS)]
    children = [ready_child(folders[0])]
    unfinished = 0
    for number, folder in enumerate(folders):
        child = children.pop()
        if number + 1 < KILLS:
            children.append(ready_child(folders[number + 1]))
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.stdin.write(b"go\n")
        child.stdin.flush()
        time.sleep(random.uniform(0, 1.3 * seconds))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        done = (folder / "manifest.json").exists() and not (folder / FILE_NAME).exists()
        unfinished += not done
        resumed = killable_build(folder, ToyEncoder())
        assert content(folder) == expected, f"kill {number}"
        assert errors(folder) == []
        assert not (folder / FILE_NAME).exists()
        assert done or counts(resumed) == counts(report)
    assert unfinished >= KILLS / 2, "most kills must hit a build at work"


SEAMS = (
    *((Writer, "_count", number) for number in (1, 2, 7)),
    *((Journal, "start", number) for number in (1,)),
    *((Journal, "note", number) for number in (1, 3, 9)),
    *((LanceStore, "append", number) for number in (1, 4)),
    (LanceStore, "replace_texts", 1),
    (build_module, "write_manifest", 1),
    (Journal, "finish", 1),
)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name", "call"), SEAMS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_killed_at_every_seam(
    tmp_path: Path, undisturbed: tuple[object, BuildReport, float], owner: object, name: str, call: int, after: bool
) -> None:
    expected, report, _ = undisturbed
    with killed_at(call, owner, name, after=after):
        killable_build(tmp_path, ToyEncoder())
    again = killable_build(tmp_path, ToyEncoder())
    assert content(tmp_path) == expected
    complete = name == "finish" and after
    assert counts(again) == counts(report) or (complete and again.unchanged == report.rows)
    assert errors(tmp_path) == []


class ConvEncoder(ToyEncoder):
    """A small random convolution in torch: its values may depend on how pictures are batched."""

    def encode(
        self, items: Sequence[Pixels] | Sequence[str], modality: Modality, role: Role = "gallery"
    ) -> dict[str, Vectors]:
        import torch

        if modality == "text":
            return super().encode(items, modality, role)
        torch.manual_seed(3)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 32, 3, 2), torch.nn.GELU(), torch.nn.Conv2d(32, 64, 3), torch.nn.Flatten(),
            torch.nn.LazyLinear(4),
        )  # fmt: skip
        pixels = torch.from_numpy(np.stack([np.asarray(item) for item in items])).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            return {"semantic": torch.nn.functional.normalize(net(pixels)).numpy()}


def test_a_network_in_torch_gives_the_same_bits_after_a_kill(tmp_path: Path) -> None:
    killable_build(tmp_path / "whole", ConvEncoder())
    with killed_at(5, LanceStore, "append"):
        killable_build(tmp_path / "killed", ConvEncoder())
    assert killable_build(tmp_path / "killed", ConvEncoder()).resumed
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


@pytest.mark.parametrize("owner", [Journal, LanceStore])
@pytest.mark.parametrize("call", range(1, 5))
def test_an_update_resumes_too(tmp_path: Path, owner: type, call: int) -> None:
    """Rows replaced, turned blank, added and gone: a kill at any commit loses and doubles none of them."""
    options = BuildOptions(batch_size=8, commit_rows=16)
    first, second = drawn(60), drawn(70, blank=frozenset({4, 31}))
    second.versions |= dict.fromkeys(range(0, 40, 3), "2") | {4: "2", 31: "2"}
    for number in (1, 59):
        del second.versions[number]
    for folder in (tmp_path / "whole", tmp_path / "killed"):
        build(folder, [first], ToyEncoder(), LanceStore, nothing_to_derive, options)
    whole = build(tmp_path / "whole", [second], ToyEncoder(), LanceStore, nothing_to_derive, options)
    with killed_at(call, owner, *(["note"] if owner is Journal else ["append", "delete"])):
        build(tmp_path / "killed", [second], ToyEncoder(), LanceStore, nothing_to_derive, options)
    resumed = build(tmp_path / "killed", [second], ToyEncoder(), LanceStore, nothing_to_derive, options)
    assert counts(resumed) == counts(whole)
    assert (whole.removed, whole.skipped) == (4, {"blank": 2})
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert errors(tmp_path / "killed") == []


def test_sources_that_changed_after_the_kill_are_planned_anew(tmp_path: Path) -> None:
    source = drawn(60)
    options = BuildOptions(batch_size=8, commit_rows=8)
    with killed_at(1, build_module, "refresh_texts"):
        build(tmp_path, [source], ToyEncoder(), LanceStore, nothing_to_derive, options)
    source.versions[100] = "1"
    source.versions[3] = "2"
    source.reads.clear()
    report = build(tmp_path, [source], ToyEncoder(), LanceStore, nothing_to_derive, options)
    assert sorted(source.reads) == [source.id(3), source.id(100)]
    assert (report.rows, report.added, report.updated, report.unchanged) == (61, 1, 1, 59)
    assert errors(tmp_path) == []


def test_an_unfinished_build_takes_only_its_own_model_and_sources(tmp_path: Path) -> None:
    with killed_at(1, build_module, "refresh_texts"):
        build(tmp_path, [drawn(20)], ToyEncoder(), LanceStore, nothing_to_derive)
    with pytest.raises(SpaceMismatch, match="new index"):
        build(tmp_path, [drawn(20)], ToyEncoder(salt="other"), LanceStore, nothing_to_derive)
    with pytest.raises(UsageError, match="build of drawn was interrupted"):
        build(tmp_path, [drawn(20, uri="elsewhere")], ToyEncoder(), LanceStore, nothing_to_derive)
    assert build(tmp_path, [drawn(20)], ToyEncoder(), LanceStore, nothing_to_derive).rows == 20
