"""Lists of pairs as people write them: odd spacing, several names of one file, what a Mac leaves in folders."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from geoanchor.errors import BadInput, UsageError
from models.palette import FOREIGN, foreignness
from models.toy import ToyEncoder
from training.evaluate import evaluate_map_to_aerial, evaluate_matching
from training.markdown import line
from training.matching_report import _halves
from training.pairlist import Pair, read_pairs

COLOURS = np.random.default_rng(0).integers(0, 255, (8, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight places of a colour each, layer by layer, in a split called test."""
    for layer in ("aerial", "map"):
        (tmp_path / "set" / "test" / layer).mkdir(parents=True)
        for number, colour in enumerate(COLOURS):
            Image.fromarray(np.broadcast_to(colour, (8, 8, 3))).save(
                tmp_path / "set" / "test" / layer / f"{number}.png"
            )
    return tmp_path / "set"


def listed(folder: Path, *, header: str = "aerial,map,label", again: str = "") -> Path:
    """A CSV of true pairs and of swaps; `again` is put before the paths of a second copy of each row."""
    rows = [f"test/aerial/{a}.png,test/map/{m}.png,{int(a == m)}" for a in range(8) for m in (a, (a + 3) % 8)]
    if again:
        rows += [row.replace("test/", f"{again}test/") for row in rows]
    path = folder / "pairs.csv"
    path.write_text("\n".join([header, *rows]), "utf-8")
    return path


def test_a_picture_is_one_however_its_path_is_written(folder: Path) -> None:
    once = evaluate_map_to_aerial(ToyEncoder(), read_pairs(listed(folder)))
    for again in ("./", "../set/", f"{folder}/", "test/../"):
        twice = evaluate_map_to_aerial(ToyEncoder(), read_pairs(listed(folder, again=again)))
        assert twice["chance"] == once["chance"]
        assert twice["map_to_aerial"] == once["map_to_aerial"]


def test_equal_pairs_lie_in_one_half(folder: Path) -> None:
    """Or each half would choose its threshold on what it is judged by."""
    pairs = read_pairs(listed(folder, again="./"))
    half = _halves(pairs, np.array([pair.label == 1 for pair in pairs]))
    for pair in set(pairs):
        assert len({half[row] for row, other in enumerate(pairs) if other == pair}) == 1
    assert half.mean() == 0.5
    once, twice = (evaluate_matching(ToyEncoder(), read_pairs(listed(folder, again=again))) for again in ("", "./"))
    assert (once["f1_match"], once["threshold"]) == (twice["f1_match"], twice["threshold"])


def test_the_halves_do_not_hang_on_where_the_data_lies() -> None:
    sets = [[Pair(aerial=Path(f"{root}/a{n}.png"), map=Path(f"{root}/m{n}.png"), label=n % 2) for n in range(20)]
            for root in ("/here", "/there/and/back")]  # fmt: skip
    first, second = (_halves(pairs, np.array([pair.label == 1 for pair in pairs])) for pairs in sets)
    assert np.array_equal(first, second)


def test_blanks_capitals_and_empty_lines_do_not_matter(folder: Path) -> None:
    plain = read_pairs(listed(folder))
    path = listed(folder, header="Aerial, MAP ,Label")
    path.write_text("\n\n" + path.read_text("utf-8").replace(",", " ; "), "utf-8")
    assert read_pairs(path) == plain


@pytest.mark.parametrize(("same", "other"), [("true", "false"), ("TRUE", "False"), ("Yes", "no"), ("1.0", "0.0")])
def test_labels_may_be_words(folder: Path, same: str, other: str) -> None:
    plain = read_pairs(listed(folder))
    path = listed(folder)
    path.write_text(path.read_text("utf-8").replace("png,1", f"png,{same}").replace("png,0", f"png,{other}"), "utf-8")
    assert read_pairs(path) == plain


@pytest.mark.parametrize("label", ["maybe", "2", "0.5", "-1"])
def test_other_labels_are_named_with_what_is_allowed(folder: Path, label: str) -> None:
    path = folder / "pairs.csv"
    path.write_text(f"aerial,map,label\na.png,b.png,1\na.png,b.png,{label}\n", "utf-8")
    with pytest.raises(UsageError) as raised:
        read_pairs(path)
    allowed = "1, true or yes for the same, unchanged place, else 0, false or no"
    assert str(raised.value) == f"{path}, line 3: label: {label!r} is none; give {allowed}"


def test_a_column_that_is_there_twice_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"pairs\.csv: column label is there more than once"):
        read_pairs(listed(folder, header="aerial,map,label, Label"))


def test_maps_in_colours_of_no_known_style_are_counted(folder: Path) -> None:
    """The columns exchanged, or a style that is not read: figures of a matcher then mean little."""
    known = sum(foreignness(np.broadcast_to(colour, (8, 8, 3))) <= FOREIGN for colour in COLOURS)
    result = evaluate_matching(ToyEncoder(), read_pairs(listed(folder)))
    assert result["foreign_maps"] == len(COLOURS) - known > 0


def test_an_empty_cell_is_named(folder: Path) -> None:
    path = folder / "pairs.csv"
    path.write_text("aerial,map,label\na.png, ,1\n", "utf-8")
    with pytest.raises(UsageError, match=r"line 2: map is empty; each pair needs aerial, map, label$"):
        read_pairs(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_the_byte_order_mark_says_how_to_read(folder: Path, encoding: str) -> None:
    (folder / "test" / "aerial" / "0.png").rename(folder / "test" / "aerial" / "Öd.png")
    path = listed(folder)
    text = path.read_text("utf-8").replace("aerial/0.png", "aerial/Öd.png")
    path.write_text(text, "utf-8")
    plain = read_pairs(path)
    mark = "\ufeff" if encoding.endswith(("le", "be")) else ""
    path.write_bytes((mark + text.replace(",", "\t")).encode(encoding))
    assert read_pairs(path) == plain
    assert {pair.aerial.name for pair in plain} >= {"Öd.png"}


def test_backslashes_part_folders_where_only_that_leads_to_a_file(folder: Path) -> None:
    plain = read_pairs(listed(folder))
    path = listed(folder)
    path.write_text(path.read_text("utf-8").replace("/", "\\"), "utf-8")
    assert read_pairs(path) == plain
    # A name of Linux may hold one.
    (folder / r"test\aerial\0.png").write_bytes(b"")
    assert read_pairs(path)[0].aerial == folder / r"test\aerial\0.png"
    path.write_text("aerial,map,label\nno\\a.png,no\\b.png,1\n", "utf-8")
    assert read_pairs(path)[0].aerial == folder / r"no\a.png", "what is nowhere is named as it was written"


def test_a_split_may_be_the_folder_itself_and_hidden_files_are_none(folder: Path) -> None:
    for layer in ("aerial", "map"):
        (folder / "test" / layer / "._0.png").write_bytes(b"what a Mac keeps beside its files")
    pairs = read_pairs(folder / "test", "test")
    assert pairs == read_pairs(folder, "test") == read_pairs(folder)
    assert len(pairs) == 16
    assert not any(pair.aerial.name.startswith(".") for pair in pairs)


def test_rasters_that_can_be_indexed_can_be_judged(folder: Path) -> None:
    with rasterio.open(
        folder / "test" / "aerial" / "0.tif", "w", driver="GTiff", count=3, height=8, width=8, dtype="uint16",
        transform=rasterio.Affine.scale(2, -2), crs="EPSG:32632",
    ) as raster:  # fmt: skip
        raster.write(np.random.default_rng(1).integers(0, 3000, (3, 8, 8)).astype(np.uint16))
    (folder / "test" / "aerial" / "0.png").unlink()
    bad: list[BadInput] = []
    told = evaluate_map_to_aerial(ToyEncoder(), read_pairs(folder), on_bad=bad.append)
    assert (bad, told["pairs"]) == ([], 8)


def test_a_bar_in_a_cell_begins_no_other_one() -> None:
    assert line(["a|b", "c"]) == r"| a\|b | c |"
