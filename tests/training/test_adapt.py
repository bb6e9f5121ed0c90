"""Adapting a small city's index to its own ground with a tiny decoder: kept, cross-fitted, killed, undone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

import geoanchor
from app import adapting, cli, upkeep
from geoanchor.errors import GeoAnchorError, IndexCorrupt, IndexLocked, UsageError
from geoanchor.image import PAPER
from geoanchor.manifest import OWN_MODEL, read_manifest
from geoanchor.structure import CLASS_OF, CLASSES, VOID
from geoanchor.tiling import Bounds, tile_at
from indexer.halfway import FILE_NAME as MARK
from indexer.lock import writing
from models.bundle import SHIPPED, StructureSpec, load_bundle
from models.codes import CELLS
from models.decoding import Decoder
from models.structure import StructureNet
from retrieval.ancestors import ancestors
from retrieval.index.lance import LanceStore
from retrieval.matching import RowMatcher
from training.adapt import adapt as adapting_module
from training.adapt import learning
from training.adapt.ground import OwnGround
from training.adapt.learning import Judged
from training.adapt.record import FILE_NAME, FORMER_NAME, gain_of, read_adaptation
from training.structure.base import Base
from training.structure.export import decoder_arrays, export_parts

SHAPE = StructureSpec(widths=(8, 8, 12, 12, 16), pyramid=8, size_px=160)
CITY = "city:60001/C"
SPACES = ("semantic", "structure", "structure_grid")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle with a decoder that knows nothing yet."""
    torch.manual_seed(3)
    parts = {"decoder": decoder_arrays(StructureNet(SHAPE.widths, SHAPE.pyramid))}
    return export_parts(
        SHIPPED / "mini", parts, tmp_path_factory.mktemp("bundles") / "tiny",
        lambda base, sha256: base.model_copy(update={"weights_sha256": sha256, "structure": SHAPE}),
    )  # fmt: skip


def boxed(columns: int, rows: int) -> Bounds:
    """So many tiles of the city's middle."""
    from indexer.city.city import City

    extent = City(60001, "C").extent
    first = tile_at((extent.west + extent.east) / 2, (extent.south + extent.north) / 2, 17)
    last = type(first)(17, first.x + columns - 1, first.y + rows - 1)
    return Bounds(first.bounds.west, last.bounds.south, last.bounds.east, first.bounds.north)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    """5 x 4 tiles, map and aerial."""
    folder = tmp_path_factory.mktemp("indexes") / "town.index"
    for layer in ("aerial", "map"):
        geoanchor.build(CITY, folder, model=str(bundle), layer=layer, within=boxed(5, 4))
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    return Path(shutil.copytree(built, tmp_path / "town.index"))


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Every row's layer, cell and vectors, by id."""
    names = ["id", "layer", "cell", *(f"vector_{space}" for space in SPACES)]
    table: pa.Table = LanceStore.open(folder).columns(names)
    return {row["id"]: row for row in table.to_pylist()}


def answered(folder: Path) -> list[tuple[str, float]]:
    """Ids and probabilities of some hits."""
    return [(hit.id, hit.why["probability"]) for hit in geoanchor.open(folder).search("a park", k=5)]


def errors_of(folder: Path) -> list[str]:
    return [finding.text for finding in upkeep.doctor(folder) if finding.level == "error"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], list[set[int]]]:
    """In the place of learning: network k believes in class k everywhere; AUROC before and after as told.

    Gives the list of rows that each network was shown.
    """

    def prepare(before: float, after: float, error: float = 0.0) -> list[set[int]]:
        shown: list[set[int]] = []

        def constant(
            base: Base, _ground: object, rows: np.ndarray, _steps: int, _seed: int, _told: object
        ) -> StructureNet:
            network = StructureNet(base.spec.widths, base.spec.pyramid)
            torch.nn.init.zeros_(network.head.weight)
            network.head.bias = torch.nn.Parameter(9 * torch.eye(len(CLASSES))[len(shown)])
            shown.append(set(rows.tolist()))
            return network.eval()

        judged = iter((before, after))

        class Told(Judged):
            @property
            def auroc(self) -> dict[str, float]:
                return {"swap": self.logits}  # type: ignore[dict-item]

            def error_over(self, before: Judged, seed: int) -> float:
                return error

            def line(self) -> Any:
                return np.array([0.25, 2.0], np.float32)

        monkeypatch.setattr("training.adapt.adapt.continued", constant)
        monkeypatch.setattr("training.adapt.adapt.judge", lambda *_: Told(None, next(judged)))  # type: ignore[arg-type]
        return shown

    return prepare


def test_learned_kept_and_taken_back_by_the_command(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "_RATE", 5e-3)
    monkeypatch.setattr(learning, "_TAKEN", 1.0)
    former, manifest, hits = rows_of(folder), read_manifest(folder), answered(folder)
    assert cli.run(["adapt", str(folder), "--folds", "2", "--steps", "40", "--offline"]) == 0
    said = capsys.readouterr()
    assert "before  after" in said.out
    assert "kept:" in said.err
    made = read_adaptation(folder / OWN_MODEL)
    assert made.gain > 0
    assert made.pairs == 20
    now, adapted = rows_of(folder), read_manifest(folder)
    assert adapted.model == OWN_MODEL
    assert {n: s.fingerprint for n, s in adapted.spaces.items()} == {
        n: s.fingerprint for n, s in load_bundle(folder / OWN_MODEL).spaces.items()
    }
    assert all(adapted.spaces[name].fingerprint != manifest.spaces[name].fingerprint for name in SPACES)
    for name, row in now.items():
        same = [row[f"vector_{space}"] == former[name][f"vector_{space}"] for space in SPACES]
        assert same == [True, row["layer"] == "map", row["layer"] == "map"]
    assert errors_of(folder) == []
    index = geoanchor.open(folder)
    assert answered(folder) == hits, "words are judged by the same vectors as before"
    assert index.changes(everything=True).answer.pairs == 20
    assert cli.run(["adapt", str(folder)]) == 2
    assert "adapted already" in capsys.readouterr().err
    assert cli.run(["adapt", str(folder), "--undo"]) == 0
    assert rows_of(folder) == former
    assert read_manifest(folder).spaces == manifest.spaces
    assert read_manifest(folder).model == manifest.model
    assert not (folder / OWN_MODEL).exists()
    assert errors_of(folder) == []
    assert cli.run(["adapt", str(folder), "--undo"]) == 2


def test_no_row_is_seen_by_a_decoder_of_its_own_block(
    folder: Path, bundle: Path, quick: Callable[[float, float], list[set[int]]]
) -> None:
    shown = quick(0.6, 0.7)
    adapting.adapt(folder, folds=3, steps=5)
    made, rows = read_adaptation(folder / OWN_MODEL), rows_of(folder)
    books = Base(str(bundle)).encoder.books
    aerials = [row for row in rows.values() if row["layer"] == "aerial"]
    cells = np.array([row["cell"] for row in aerials], np.uint64)
    fold = [made.fold[f"{block:x}"] for block in ancestors(cells, made.resolution).tolist()]
    believed = [
        books.decode(np.array([row["vector_structure_grid"]], np.uint8), "aerial")
        .reshape(CELLS**2, -1)
        .mean(0)
        .argmax()
        for row in aerials
    ]
    assert believed == fold, "network k, and no other, made the rows of fold k"
    assert len(set(fold)) == 3
    held = [set(range(20)) - rows for rows in shown[:3]]
    assert set.union(*held) == set(range(20))
    assert sum(map(len, held)) == 20
    assert shown[3] == set(range(20)), "the decoder of later pictures learned from all"
    terms = load_bundle(folder / OWN_MODEL).matcher._calibration  # type: ignore[union-attr]
    assert terms[1] == 2.0


def test_ground_that_nobody_mapped_is_not_learned_from(
    folder: Path, tmp_path: Path, quick: Callable[[float, float], list[set[int]]]
) -> None:
    """Or buildings would be learned to be nothing, wherever the map is behind."""
    geoanchor.build(CITY, folder, layer="aerial", within=boxed(6, 4), prune=False)
    bare = max(row.split("/")[-3:] for row in rows_of(folder) if row.startswith("aerial/"))
    path = tmp_path.joinpath("maps", *bare).with_suffix(".png")
    path.parent.mkdir(parents=True)
    Image.new("RGB", (256, 256), PAPER).save(path)
    geoanchor.build(f"{tmp_path}/maps/{{z}}/{{x}}/{{y}}.png", folder, layer="map", prune=False)
    assert geoanchor.open(folder).changes(everything=True).answer.pairs == 21
    quick(0.6, 0.7)
    assert adapting.adapt(folder, folds=2, steps=5).pairs == 20


def test_a_damaged_picture_costs_its_own_pair_alone(
    folder: Path, quick: Callable[[float, float], list[set[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = min(row for row in rows_of(folder) if row.startswith("map/"))
    fetch = LanceStore.fetch

    def damaged(self: LanceStore, ids: Any, columns: Any) -> pa.Table:
        table = fetch(self, ids, columns)
        rows = [row | {"thumbnail": row["thumbnail"][:40]} if row["id"] == torn else row for row in table.to_pylist()]
        return pa.Table.from_pylist(rows, table.schema) if "thumbnail" in columns else table

    monkeypatch.setattr(LanceStore, "fetch", damaged)
    quick(0.6, 0.7)
    said: list[str] = []
    assert adapting.adapt(folder, folds=2, steps=5, log=said.append).pairs == 19
    assert any(line.startswith("1 more are left out") for line in said)


def test_what_no_map_shows_is_not_learned_to_be_nothing(
    folder: Path, quick: Callable[[float, float], list[set[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder sees rails in the western half, the maps of the town next to none; of buildings they show enough."""
    believed = np.full((CELLS, CELLS, len(CLASSES)), -9.0, np.float32)
    believed[:, : CELLS // 2, CLASS_OF["rail"]] = believed[:, CELLS // 2 :, CLASS_OF["building"]] = 0.0
    monkeypatch.setattr(Decoder, "log_beliefs", lambda _, pictures: np.stack([believed] * len(pictures)))
    quick(0.6, 0.7)
    lessons: list[OwnGround] = []
    constant = adapting_module.continued

    def spied(base: Base, ground: OwnGround, *rest: Any) -> StructureNet:
        lessons.append(ground)
        return constant(base, ground, *rest)

    monkeypatch.setattr(adapting_module, "continued", spied)
    said: list[str] = []
    adapting.adapt(folder, folds=2, steps=5, log=said.append)
    assert any("next to nothing of rail;" in line for line in said)
    assert len(lessons) == 3
    for ground in lessons:
        assert (ground.classes[:, :, :80] == VOID).all()
        assert (ground.classes[:, :, 80:] != VOID).all()


def test_no_better_leaves_every_file_as_it_was(folder: Path, quick: Callable[[float, float], list[set[int]]]) -> None:
    quick(0.7, 0.73, error=0.04)
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert not adapting.adapt(folder, folds=2, steps=5).kept
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize("seam", ["rows", "serving", "manifest"])
def test_killed_halfway_the_former_index_is_there(
    folder: Path, seam: str, quick: Callable[[float, float], list[set[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(0.6, 0.7)
    former, hits = rows_of(folder), answered(folder)
    names = {
        "rows": "retrieval.index.lance.LanceStore.replace_vectors",
        "serving": "app.adapting.derive_serving",
        "manifest": "indexer.upkeep.write_manifest",
    }

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(names[seam], killed)
        with pytest.raises(KeyboardInterrupt):
            adapting.adapt(folder, folds=2, steps=5)
    assert (folder / MARK).exists()
    index = geoanchor.open(folder)
    assert answered(folder) == hits
    assert index.changes(everything=True).answer.pairs == 20
    upkeep.compact(folder)
    assert not (folder / MARK).exists()
    assert rows_of(folder) == former
    assert errors_of(folder) == []
    quick(0.6, 0.7)
    assert adapting.adapt(folder, folds=2, steps=5).kept, "and it can be adapted after all"


def test_later_pictures_get_the_last_decoder_and_lose_it_again(
    folder: Path, bundle: Path, quick: Callable[[float, float], list[set[int]]]
) -> None:
    quick(0.6, 0.7)
    former = rows_of(folder)
    adapting.adapt(folder, folds=2, steps=5)
    for layer in ("aerial", "map"):
        geoanchor.build(CITY, folder, layer=layer, within=boxed(6, 4), prune=False)
    upkeep.compact(folder)
    rows, books = rows_of(folder), Base(str(bundle)).encoder.books
    new = [row for name, row in rows.items() if name not in former and row["layer"] == "aerial"]
    assert len(new) == 4
    codes = np.array([row["vector_structure_grid"] for row in new], np.uint8)
    assert (books.decode(codes, "aerial").mean((0, 1, 2)).argmax()) == 2, "of the third network"
    assert errors_of(folder) == []
    with pytest.raises(UsageError, match="adapted already; take that back first"):
        adapting.adapt(folder)
    record = folder / OWN_MODEL / "adaptation.json"
    record.write_text(record.read_text().replace(str(bundle), str(folder / "moved away")))
    with pytest.raises(GeoAnchorError, match=r"4 pictures came since .*moved away', which is not there; .* --model"):
        adapting.undo(folder)
    assert cli.run(["adapt", str(folder), "--undo", "--model", str(bundle)]) == 0
    back = rows_of(folder)
    assert {name: back[name] for name in former} == former
    unlike = [back[row["id"]]["vector_structure_grid"] != row["vector_structure_grid"] for row in new]
    assert all(unlike)
    assert errors_of(folder) == []


def test_a_bundle_without_discriminator_is_calibrated_by_structure_alone(
    folder: Path, quick: Callable[[float, float], list[set[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class StructureAlone(RowMatcher):
        def judge(self, *args: Any) -> Any:
            judged = super().judge(*args)
            return replace(judged, parts={"structure": judged.parts["structure"]})

    monkeypatch.setattr("training.adapt.adapt.RowMatcher", StructureAlone)
    quick(0.6, 0.7)
    assert adapting.adapt(folder, folds=2, steps=5).kept
    assert Base(str(folder / OWN_MODEL)).calibration[:2] == pytest.approx([0.25, 2.0])


def test_what_cannot_be_adapted_is_said_in_a_sentence(
    folder: Path, painted_index: Path, bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no space 'structure'"):
        adapting.adapt(painted_index)
    with pytest.raises(UsageError, match="blocks of ground, too few for 21 folds"):
        adapting.adapt(folder, folds=21)
    with writing(folder), pytest.raises(IndexLocked):
        adapting.adapt(folder)
    geoanchor.build(CITY, tmp_path / "aerial.index", model=str(bundle), layer="aerial", within=boxed(2, 1))
    with pytest.raises(UsageError, match=r"no map and aerial picture of the same ground are kept to learn from$"):
        adapting.adapt(tmp_path / "aerial.index")
    for layer in ("aerial", "map"):
        picture = tmp_path / layer / "0.png"
        picture.parent.mkdir()
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(picture)
        geoanchor.build(str(picture.parent), tmp_path / "named.index", model=str(bundle), layer=layer)
    with pytest.raises(UsageError, match="known of 1 aerial picture and 1 map; `geoanchor evaluate matching"):
        adapting.adapt(tmp_path / "named.index")
    assert cli.run(["adapt", str(folder), "--folds", "1"]) == 2
    with pytest.raises(UsageError, match="model 'toy' has no structure decoder to adapt"):
        adapting.adapt(folder, model="toy")


def test_one_kind_of_wrong_map_may_fall_where_the_mean_rises() -> None:
    assert gain_of({"swap": 0.9, "delete": 0.6}, {"swap": 0.89, "delete": 0.65}) == pytest.approx(0.02)


def test_without_its_record_an_adaptation_is_not_undone(
    folder: Path, quick: Callable[[float, float], list[set[int]]]
) -> None:
    quick(0.6, 0.7)
    adapting.adapt(folder, folds=2, steps=5)
    (folder / OWN_MODEL / FORMER_NAME).write_bytes(b"no arrow")
    with pytest.raises(IndexCorrupt, match=FORMER_NAME):
        adapting.undo(folder)
    (folder / OWN_MODEL / FILE_NAME).unlink()
    with pytest.raises(IndexCorrupt, match=FILE_NAME):
        adapting.undo(folder)
