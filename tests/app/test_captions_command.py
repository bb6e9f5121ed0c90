"""`geoanchor captions` from the command line, with templates and with a tiny random InstructBLIP."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_captioners
from commandline import run
from PIL import Image

import geoanchor
from geoanchor.tiling import tile_at
from indexer.city.city import City
from models import captioner


@pytest.fixture(scope="module")
def city_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few tiles of the town, as map and as imagery."""
    folder = tmp_path_factory.mktemp("captions") / "city.index"
    middle = tile_at(*City(7).extent.center, 17)
    for layer in ("map", "aerial"):
        geoanchor.build("city:7", folder, model="toy", layer=layer, within=middle.bounds, prune=False)
    return folder


def test_templates_of_vectors_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "c.json"
    code, said, err = run(capsys, "captions", "city:7", "--out", out, "--limit", 4, "--count", 3, "--format", "json")
    assert (code, err) == (0, "")
    report = json.loads(said)
    assert (report["pictures"], report["captions"], report["by"]) == (4, 12, {"templates": 4})
    items = json.loads(out.read_text("utf-8"))
    assert set(items[0]) == {"image", "captions", "tags", "by", "prompt", "score"}
    first = out.read_bytes()
    run(capsys, "captions", "city:7", "--out", out, "--limit", 4, "--count", 3)
    assert out.read_bytes() == first
    run(capsys, "captions", "city:7", "--out", out, "--limit", 4, "--count", 3, "--seed", 1)
    assert out.read_bytes() != first


def test_the_file_fills_the_texts_of_a_build_and_describe_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], painted_folder: Path
) -> None:
    listed = [{"image": path.relative_to(painted_folder).as_posix(), "captions": ["a place of one colour"]}
              for path in sorted(painted_folder.rglob("*.png"))]  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(listed))
    folder = tmp_path / "i.index"
    code, _, _ = run(
        capsys, "index", painted_folder, "--into", folder, "--model", "toy", "--captions", tmp_path / "c.json"
    )
    assert code == 0
    picture = next(painted_folder.rglob("*.png"))
    _, said, _ = run(capsys, "describe", folder, "--image", picture, "--format", "json")
    assert [item["text"] for item in json.loads(said)["texts"]] == ["a place of one colour"]


def test_imagery_of_an_index_is_told_by_its_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], city_index: Path
) -> None:
    folder = shutil.copytree(city_index, tmp_path / "own.index")
    code, said, _ = run(capsys, "captions", "--into", folder, "--vectors", "city:7", "--format", "json")
    assert code == 0
    index = geoanchor.open(folder)
    assert json.loads(said)["rows"] == len(index)
    hits = list(index.search("school", layer="aerial", k=3))
    assert all(hit.caption.startswith("The picture shows") and hit.tags for hit in hits)
    _, said, _ = run(capsys, "describe", folder, "--image", _saved(tmp_path, index, hits[0].id), "--format", "json")
    assert json.loads(said)["texts"]
    assert run(capsys, "doctor", folder)[0] == 0


def test_a_random_instructblip_looks_and_the_tags_speak_where_it_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], city_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(captioner.GENERATION, "max_new_tokens", 6)
    (tmp_path / "model").mkdir()
    tiny_captioners.instructblip(tmp_path / "model", "llama")
    arguments = ("captions", city_index, "--model", tmp_path / "model", "--offline", "--limit", 2, "--format", "json")
    out = tmp_path / "c.json"
    capsys.readouterr()
    code, said, _ = run(capsys, *arguments, "--out", out)
    assert code == 0
    assert json.loads(said)["by"] == {"templates": 2}
    answers = list((Path(_home()) / "captions").rglob("*.json"))
    assert len(answers) == 6  # two pictures, three prompts
    monkeypatch.setattr("models.captioner.ImageCaptioner.caption", lambda *_: pytest.fail("asked twice"))
    assert run(capsys, *arguments, "--out", out)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["city:7"], "--out FILE.json", 2),
        (["--out", "x.json"], "name what to caption", 2),
        (["city:7", "--out", "x.json", "--vectors", "FOLDER"], "holds no vectors", 2),
        (["city:7", "--out", "x.json", "--model", "someone/model", "--offline"], "someone/model", None),
        (["FOLDER", "--out", "x.json"], "no picture could be captioned", 1),
    ],
)
def test_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str],
    said: str, code: int | None,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "pictures" / "a.png")
    words = [str(tmp_path / "pictures") if word == "FOLDER" else word for word in arguments]
    got, out, err = run(capsys, "captions", *words)
    assert got == code or (code is None and got != 0)
    assert out == ""
    assert said in err
    assert not (tmp_path / "x.json").exists()


def _home() -> Path:
    from geoanchor.settings import default_cache_dir

    return default_cache_dir()


def _saved(folder: Path, index: geoanchor.Index, id_: str) -> Path:
    path = folder / "picture.jpg"
    path.write_bytes(index.thumbnails([id_])[id_])
    return path
