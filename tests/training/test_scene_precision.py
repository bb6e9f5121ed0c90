"""Scene precision with a colour-reading encoder, and recall on towns that no recipe learns from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from geoanchor.errors import UsageError
from models.toy import ToyEncoder
from training.datasets import Captioned, Pictures, read_captions
from training.scene_precision import Paraphrase, read_paraphrases, scene_precision
from training.transfer import country_recall, country_tiles, transfer_matrix

QUERIES = Path(__file__).resolve().parents[2] / "benchmarks" / "paraphrases.json"
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture
def scenes(tmp_path: Path) -> tuple[Pictures, list[Captioned]]:
    """Ten red roofs, ten green meadows, twenty blue lakes."""
    items = []
    for scene, colour, count in (("Roofs", "red", 10), ("Meadow", "green", 10), ("Lake", "blue", 20)):
        for number in range(count):
            name = f"{scene}_{number}.png"
            Image.new("RGB", (8, 8), COLOURS[colour]).save(tmp_path / name)
            items.append(Captioned(image=name, captions=("x",), scene=scene))
    return Pictures(tmp_path), items


def test_precision_and_chance_known_by_hand(scenes: tuple[Pictures, list[Captioned]]) -> None:
    queries = [
        Paraphrase(plain="red", paraphrase="blue", scenes=("Roofs",)),
        Paraphrase(plain="green", paraphrase="green", scenes=("Meadow", "Lake")),
    ]
    found = scene_precision(ToyEncoder(), *scenes, queries)
    assert (found["plain"], found["paraphrase"], found["images"]) == (100.0, 50.0, 40)
    assert found["chance"] == 50.0  # 10 and 30 of 40
    first, second = found["queries"]
    assert (first["plain_precision"], first["paraphrase_precision"], first["chance"]) == (100.0, 0.0, 25.0)
    assert (second["paraphrase_precision"], second["chance"]) == (100.0, 75.0)


def test_ties_count_in_expectation(scenes: tuple[Pictures, list[Captioned]]) -> None:
    """Words without a colour leave every picture equal: precision is chance."""
    queries = [Paraphrase(plain="zzz", paraphrase="", scenes=("Lake",))]
    assert scene_precision(ToyEncoder(), *scenes, queries)["plain"] == 50.0


def test_what_cannot_be_judged_is_refused(scenes: tuple[Pictures, list[Captioned]]) -> None:
    pictures, items = scenes
    with pytest.raises(UsageError, match="no picture shows Port"):
        scene_precision(ToyEncoder(), pictures, items, [Paraphrase(plain="a", paraphrase="b", scenes=("Port",))])
    without = [items[0].model_copy(update={"scene": None})]
    with pytest.raises(UsageError, match="has no scene class"):
        scene_precision(ToyEncoder(), pictures, without, [Paraphrase(plain="a", paraphrase="b", scenes=("Roofs",))])


def test_the_forty_queries(tmp_path: Path) -> None:
    queries = read_paraphrases(QUERIES)
    assert len(queries) == 40
    assert len({query.paraphrase for query in queries}) == len({query.plain for query in queries}) == 40
    assert len({scene for query in queries for scene in query.scenes}) == 30
    small = {"a", "an", "the", "of", "in", "on", "at", "by", "with", "and", "that", "where", "from", "many", "some"}
    for query in queries:
        shared = (set(query.plain.split()) & set(query.paraphrase.split())) - small
        assert not shared, f"{query.paraphrase!r} says {shared} as {query.plain!r} does"
    (tmp_path / "bad.json").write_text(json.dumps([{"plain": "x"}]))
    with pytest.raises(UsageError, match="not a list of paraphrases"):
        read_paraphrases(tmp_path / "bad.json")


def test_the_queries_ask_for_scenes_of_the_real_set(shared_data: Path) -> None:
    known = {item.scene for item in read_captions(shared_data / "rsicd" / "captions.json", "hash:0/10")}
    assert {scene for query in read_paraphrases(QUERIES) for scene in query.scenes} == known


def test_tiles_of_a_country_are_the_same_every_time_and_judged_with_chance() -> None:
    tiles = country_tiles("C", (301,), 2)
    again = country_tiles("C", (301,), 2)
    assert tiles.names == again.names
    assert all((one == two).all() for one, two in zip(tiles.pictures, again.pictures, strict=True))
    assert tiles.captions == again.captions
    assert all(1 <= len(own) <= 5 for own in tiles.captions)
    found = country_recall(ToyEncoder(), tiles)
    assert (found["images"], found["captions"]) == (2, sum(map(len, tiles.captions)))
    assert found["chance"]["text_to_image"]["R@1"] == 50.0
    assert transfer_matrix({"A to": ToyEncoder()}, [tiles])["A to"]["C"] == found


@pytest.mark.parametrize(
    ("country", "seeds", "sentence"),
    [("D", (301,), "no country 'D'; there are: A, B, C"), ("A", (301, 90001), "town 90001 may have been learned from")],
)
def test_towns_that_were_learned_from_are_refused(country: str, seeds: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        country_tiles(country, seeds)
