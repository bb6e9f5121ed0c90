import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
import typer

from app import cli
from geoanchor.manifest import read_manifest
from geoanchor.tiling import Tile, cell_name
from retrieval.serving import serving_folder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def _leaves(command: object, name: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    children = getattr(command, "commands", {})
    return [leaf for child in children for leaf in _leaves(children[child], (*name, child))] or [name]


COMMANDS = _leaves(typer.main.get_command(cli.app))


def test_the_commands_of_the_contract_exist() -> None:
    names = {" ".join(name) for name in COMMANDS}
    assert names == {
        "demo", "index", "search", "describe", "train", "models", "evaluate retrieval", "evaluate matching",
        "evaluate map-to-aerial", "evaluate table", "evaluate adaptation", "dataset overlap", "dataset split",
        "serve", "info", "doctor", "compact", "export", "changes", "adapt", "anchors", "captions", "report",
    }  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_command_and_option_has_help(run: Run, name: tuple[str, ...]) -> None:
    code, _, err = run(*name, "--help")
    assert (code, err) == (0, "")
    command = typer.main.get_command(cli.app)
    for part in name:
        command = command.commands[part]  # type: ignore[attr-defined]
    assert command.help
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from app.cli import run; code = run(['--help']);"
        "heavy = {'numpy', 'torch', 'pydantic', 'pyarrow', 'h3', 'gradio', 'fastapi', 'lance'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"search" in done.stdout


def test_search_loads_neither_torch_nor_lance(painted_index: Path) -> None:
    code = (
        "import sys; from app.cli import run; code = run(sys.argv[1:]);"
        "heavy = {'torch', 'lancedb', 'lance', 'gradio'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    arguments = ["search", str(painted_index), "red", "--format", "json"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["total"] == 32


def test_json_hits(run: Run, painted_index: Path, painted_tiles: dict[Tile, str]) -> None:
    code, out, err = run("search", painted_index, "red", "-k", 2, "--format", "json", "--layer", "aerial")
    assert (code, err) == (0, "")
    value = json.loads(out)
    assert list(value) == ["hits", "total", "note", "verdict", "hidden", "hidden_why", "nearest"]
    best = value["hits"][0]
    assert list(best) == [
        "id", "rank", "score", "layer", "tile", "bounds", "lng", "lat", "cell", "source", "why"
    ]  # fmt: skip
    tile = Tile(*best["tile"])
    assert painted_tiles[tile] == "red"
    assert best["bounds"] == list(tile.bounds)
    assert (best["lng"], best["lat"]) == tile.center
    assert (best["rank"], best["layer"], value["total"]) == (1, "aerial", 16)


def test_each_format(run: Run, painted_index: Path, tmp_path: Path) -> None:
    code, out, _ = run("search", painted_index, "red", "--format", "geojson")
    assert code == 0
    assert len(json.loads(out)["features"]) == 10
    code, out, _ = run("search", painted_index, "red")
    assert (code, "semantic" in out) == (0, True)
    code, out, err = run("search", painted_index, "red", "--format", "html", "--out", tmp_path / "a" / "r.html")
    assert (code, out) == (0, "")
    assert "r.html" in err
    assert (tmp_path / "a" / "r.html").read_text().count("<img") >= 10
    run("search", painted_index, "red", "--format", "geoparquet", "--out", tmp_path / "r.parquet")
    assert len(geopandas.read_parquet(tmp_path / "r.parquet")) == 10


def test_every_kind_of_query(
    run: Run, painted_index: Path, painted_folder: Path, painted_tiles: dict[Tile, str]
) -> None:
    red = next(tile for tile, colour in painted_tiles.items() if colour == "red")
    picture, (lng, lat) = painted_folder / f"{red}.png", red.center
    first = ["--image", picture], ["--map", picture], ["--ground", picture], ["--at", f"{lat},{lng}"]
    box = ",".join(map(str, red.bounds))
    for arguments in [*first, ["blue", "--within", box], ["blue", "--near", f"{lat},{lng},50"]]:
        code, out, err = run("search", painted_index, *arguments, "-k", 1, "--format", "json")
        assert code == 0, err
        assert json.loads(out)["hits"][0]["tile"] == [red.z, red.x, red.y], arguments
    row = json.loads(run("search", painted_index, "red", "--layer", "map", "--format", "json")[1])["hits"][0]["id"]
    like = json.loads(run("search", painted_index, "--like", row, "-k", 1, "--format", "json")[1])["hits"][0]
    assert like["tile"] == [red.z, red.x, red.y]


def test_a_saved_query_is_replayed(run: Run, painted_index: Path, tmp_path: Path) -> None:
    path = tmp_path / "query.json"
    path.write_text('{"parts": [{"kind": "text", "text": "red"}], "k": 3, "layer": "map"}')
    code, out, _ = run("search", painted_index, "--query", path, "--format", "json")
    assert (code, len(json.loads(out)["hits"]), json.loads(out)["total"]) == (0, 3, 16)
    page = json.loads(run("search", painted_index, "--query", path, "-k", 5, "--offset", 14, "--format", "json")[1])
    assert len(page["hits"]) == 2


@pytest.mark.parametrize(
    "more", [["red"], ["--within", "0,0,1,1"], ["--layer", "map"], ["--no-tags"], ["--rerank", "mismatch"]]
)
def test_what_a_saved_query_would_leave_out_is_refused(
    run: Run, painted_index: Path, tmp_path: Path, more: list[str]
) -> None:
    path = tmp_path / "query.json"
    path.write_text('{"parts": [{"kind": "text", "text": "red"}]}')
    code, out, err = run("search", painted_index, *more, "--query", path)
    assert (code, out) == (2, "")
    assert "--query replays a saved query" in err
    assert {"red": "TEXT", "--no-tags": "--tags"}.get(more[0], more[0]) in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "geoanchor --help"),
        (["nonsense"], 2, "nonsense"),
        (["search"], 2, "DIR"),
        (["search", "INDEX", "--colour", "red"], 2, "--colour"),
        (["search", "INDEX"], 2, "nothing is asked"),
        (["search", "no.index", "red"], 2, "no.index"),
        (["search", "INDEX", "red", "-k", "0"], 2, "-k"),
        (["search", "INDEX", "red", "--layer", "sea"], 2, "sea"),
        (["search", "INDEX", "red", "--at", "200,10"], 2, "lat"),
        (["search", "INDEX", "red", "--within", "1,2"], 2, "--within"),
        (["search", "INDEX", "red", "--weight", "text"], 2, "--weight"),
        (["search", "INDEX", "--like", "nothing"], 2, "nothing"),
        (["search", "INDEX", "red", "--model", "toy:other"], 2, "space"),
        (["search", "INDEX", "red", "--model", "no-such-model"], 2, "no-such-model"),
        (["search", "INDEX", "--image", "none.jpg"], 2, "none.jpg"),
        (["search", "INDEX", "red", "--rerank", "luck"], 2, "called 'luck'; there are mismatch and segments"),
        (["index", "no-such-file.tif", "--into", "x"], 2, "no-such-file.tif"),
        (["index", "--into", "x"], 2, "nothing to do"),
        (["index", "a.tif"], 2, "--into"),
        (["index", "a.tif", "--into", "x", "--bands", "1,x"], 2, "--bands"),
        (["index", "a.tif", "--into", "x", "--within", "8a1e159b448ffff"], 2, "--within"),
        (["describe", "INDEX"], 2, "--image"),
        (["info", "no.index"], 2, "no.index"),
        (["doctor", "no.index"], 2, "no.index"),
        (["compact", "no.index"], 2, "no.index"),
        (["export", "no.index"], 2, "no.index"),
        (["serve", "no.index"], 2, "no.index"),
        (["evaluate"], 2, "evaluate --help"),
        (["evaluate", "matching", "--pairs", "none.csv"], 2, "none.csv"),
        (["evaluate", "retrieval", "--images", "none", "--captions", "none.json"], 2, "none.json"),
    ],
)
def test_wrong_use_is_code_2_and_one_sentence(
    run: Run, painted_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int,
    said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    found, out, err = run(*(str(painted_index) if word == "INDEX" else word for word in arguments))
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
    assert said in err
    assert "Traceback" not in err


def test_a_picture_that_is_none_is_a_failure(run: Run, painted_index: Path, tmp_path: Path) -> None:
    path = tmp_path / "words.jpg"
    path.write_text("words")
    code, out, err = run("search", painted_index, "--image", path)
    assert (code, out, err.count("\n")) == (1, "", 1)


@pytest.mark.parametrize("option", ["--image", "--map"])
def test_a_picture_that_is_none_is_named(run: Run, painted_index: Path, tmp_path: Path, option: str) -> None:
    words, other = tmp_path / "words.md", tmp_path / "other.md"
    for path in (words, other):
        path.write_text("words")
    code, _, err = run("search", painted_index, option, words)
    assert (code, err.startswith(f"geoanchor: {words}: is not a picture")) == (1, True)
    code, _, err = run("search", painted_index, option, words, option, other)
    assert (code, err.startswith(f"geoanchor: {words} or {other}: is not a picture")) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "none.toml"),
        ("evaluate", "adaptation", "--recipe", "none.toml"),
        ("search", "INDEX", "red", "--config", "none.toml"),
        ("evaluate", "matching", "--pairs", "none.csv"),
        ("anchors", "city:7", "--out", "x.jsonl", "--agreement", "none.jsonl"),
        ("serve", "INDEX", "--token-file", "none.txt"),
        ("evaluate", "table", "none.json"),
    ],
)
def test_a_file_that_is_missing_is_told_in_plain_words(
    run: Run, painted_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*(str(painted_index) if word == "INDEX" else word for word in words))
    assert (code, out, err.count("\n"), "[Errno" in err, "none." in err) == (2, "", 1, False, True), err


def test_a_tar_of_pairs_is_to_be_unpacked(run: Run, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "pairs.tar", "w") as tar:
        tar.add(__file__, "map/0.png")
    code, out, err = run("evaluate", "matching", "--pairs", tmp_path / "pairs.tar")
    assert (code, out) == (2, "")
    assert "pairs.tar: pairs are a CSV or a folder, not a tar; unpack it and name its folder" in err


def test_an_unexpected_error_is_one_sentence_with_a_hint(
    run: Run, painted_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("the roof\nis on fire")

    monkeypatch.setattr("app.wiring.open", fail)
    code, out, err = run("search", painted_index, "red")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "the roof is on fire" in err
    assert "--debug" in err
    assert "Traceback" in run("--debug", "search", painted_index, "red")[2]


def test_info(run: Run, painted_index: Path) -> None:
    code, out, _ = run("info", painted_index, "--format", "json")
    value = json.loads(out)
    assert (code, value["rows"], value["layers"]) == (0, 32, {"aerial": 16, "map": 16})
    assert "16 aerial, 16 map" in run("info", painted_index)[1]


def test_build_search_remove_and_back(run: Run, painted_folder: Path, tmp_path: Path) -> None:
    source, into = f"{painted_folder}/{{z}}/{{x}}/{{y}}.png", tmp_path / "new.index"
    code, out, err = run("index", source, "--into", into, "--model", "toy", "--format", "json")
    report = json.loads(out)
    assert (code, report["added"], report["rows"], report["quarantined"]) == (0, 16, 16, [])
    code, out, _ = run("index", source, "--into", into, "--format", "json")
    assert (json.loads(out)["added"], json.loads(out)["unchanged"]) == (0, 16)
    code, out, err = run("index", "--into", into, "--remove", source)
    assert (code, out) == (0, "")
    assert "removed 16 rows" in err
    code, out, err = run("search", into, "red", "--format", "json")
    value = json.loads(out)
    assert (code, value["hits"], value["total"], value["verdict"]) == (0, [], 0, "nothing")
    assert err.count("\n") == 1


def test_a_removal_names_who_left_out_copies_of_what_went(run: Run, tmp_path: Path) -> None:
    wood = '{"type": "Polygon", "coordinates": [[[7.40, 43.70], [7.41, 43.70], [7.41, 43.71], [7.40, 43.70]]]}'
    town = f'{{"type": "Feature", "properties": {{"landuse": "forest"}}, "geometry": {wood}}}'
    first, edited, into = tmp_path / "town.geojson", tmp_path / "edited.geojson", tmp_path / "i"
    for path in (first, edited):
        path.write_text(town)
        code, out, _ = run("index", path, "--into", into, "--model", "toy", "--zoom", 14, "--format", "json")
    count = json.loads(out)["skipped"]["duplicate"]
    assert count > 1
    code, _, err = run("index", "--into", into, "--remove", first)
    assert code == 0
    assert f"{edited} left out {count} pictures as copies; index it again to have those whose other is gone now" in err
    code, out, _ = run("index", edited, "--into", into, "--zoom", 14, "--format", "json")
    assert (code, json.loads(out)["added"]) == (0, count)
    code, _, err = run("index", "--into", into, "--remove", json.loads(out)["sources"][0]["uri"])
    assert "left out" not in err


def test_a_bad_file_is_set_aside(run: Run, painted_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n, path in enumerate(sorted(painted_folder.rglob("*.png"))[:3]):
        shutil.copy(path, folder / f"{n}.png")
    (folder / "broken.jpg").write_bytes(b"")
    code, out, _ = run("index", folder, "--into", tmp_path / "i", "--model", "toy", "--format", "json")
    report = json.loads(out)
    assert (code, report["added"]) == (0, 3)
    assert ["broken.jpg" in item["where"] for item in report["quarantined"]] == [True]
    assert "broken.jpg" in run("index", folder, "--into", tmp_path / "j", "--model", "toy")[1]


def test_export_is_read_back(run: Run, painted_index: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    code, out, _ = run("export", painted_index, "--out", path)
    frame = geopandas.read_parquet(path)
    assert (code, out, len(frame), frame.crs.to_epsg()) == (0, "", 32, 4326)
    assert len(frame["vector_semantic"][0]) == 4
    tile = Tile(int(frame["z"][5]), int(frame["x"][5]), int(frame["y"][5]))
    assert frame.geometry[5].bounds == tuple(tile.bounds)
    assert json.loads(run("search", painted_index, "red", "--within", path, "--format", "json")[1])["total"] == 32
    code, out, _ = run("export", painted_index, "--format", "geojson")
    features = json.loads(out)["features"]
    assert (code, len(features)) == (0, 32)
    told = [feature["properties"] for feature in features]
    assert [row["cell"] for row in told] == [cell_name(cell) for cell in frame["cell"]]


def test_doctor_and_compact(run: Run, painted_index: Path, tmp_path: Path) -> None:
    own = shutil.copytree(painted_index, tmp_path / "own.index")
    assert run("doctor", own)[0] == 0
    next(own.glob("serving/*/rows.arrow")).unlink()
    code, out, err = run("doctor", own, "--format", "json")
    assert (code, err.count("\n")) == (1, 1)
    assert json.loads(out)["findings"][0]["level"] == "error"
    assert run("doctor", own, "--repair")[0] == 0
    assert run("compact", own)[0] == 0
    assert run("search", own, "red")[0] == 0


def test_a_compaction_that_takes_more_room_says_why(
    run: Run, painted_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copytree(painted_index, tmp_path / "own.index"))
    served = serving_folder(own, read_manifest(own))
    assert run("compact", own)[0] == 0
    assert served.is_dir(), "those who have it open still read it"
    assert run("compact", own)[0] == 0
    assert not served.exists()
    for after, said in (
        (3_900_000, "3.9 MB now; the version before stays until the next change, for those who read it"),
        (3_300_000, "3.3 MB now"),
        (900_000, "0.9 MB now"),
    ):
        monkeypatch.setattr("app.upkeep.compact", lambda _, after=after: (3_300_000, after))
        assert run("compact", own)[1] == f"{own}: 3.3 MB before, {said}\n"


def test_evaluate_and_models(run: Run, painted_folder: Path, painted_tiles: dict[Tile, str], tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    files = {colour: painted_folder / f"{tile}.png" for tile, colour in painted_tiles.items()}
    lines = [f"{files[a]},{files[b]},{int(a == b)}" for a in files for b in files]
    pairs.write_text("aerial,map,label\n" + "\n".join(lines))
    code, out, _ = run("evaluate", "map-to-aerial", "--pairs", pairs, "--model", "toy", "--json")
    value = json.loads(out)
    assert (code, value["pairs"], value["map_to_aerial"]["R@1"], value["aerial_to_map"]["R@1"]) == (0, 4, 100.0, 100.0)
    code, out, _ = run("evaluate", "matching", "--pairs", pairs, "--model", "toy", "--json")
    value = json.loads(out)
    assert (code, value["auroc"], value["pairs"]) == (0, 1.0, 16)
    pairs.write_text(pairs.read_text() + f"\ngone.png,{files['red']},1")
    code, out, err = run("evaluate", "matching", "--pairs", pairs, "--model", "toy", "--json")
    assert (code, json.loads(out)["skipped"]) == (0, 1)
    assert "gone.png: cannot be read (No such file or directory)" in err
    pairs.write_text("aerial,map,label\ngone.png,gone.png,1")
    code, _, err = run("evaluate", "map-to-aerial", "--pairs", pairs, "--model", "toy")
    assert (code, err.count("gone.png: cannot be read")) == (2, 1)
    assert {"f1", "threshold"} <= set(value)
    captions = tmp_path / "captions.json"
    listed = [{"image": str(path.relative_to(painted_folder)), "captions": [colour]} for colour, path in files.items()]
    captions.write_text(json.dumps(listed))
    code, out, _ = run(
        "evaluate", "retrieval", "--images", painted_folder, "--captions", captions, "--model", "toy", "--json"
    )
    value = json.loads(out)
    assert (code, value["images"], value["captions"], value["mean_recall"]) == (0, 4, 4, 100.0)
    assert value["text_to_image"]["R@1"] == value["image_to_text"]["R@10"] == 100.0
    assert "toy" in run("models")[1]
    assert "names" in json.loads(run("models", "--format", "json")[1])
