"""A map tile finds the aerial picture of its own ground, and the other way round, over a real index of a city."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoanchor.image import Layer, Pixels, TileImage
from geoanchor.manifest import read_manifest
from geoanchor.picture import read_rgb
from geoanchor.protocols import TileRef
from geoanchor.query import ImagePart, LikePart, Query, TextPart
from geoanchor.tiling import Tile, tiles_in
from indexer.build import BuildOptions, build
from indexer.city.aerial import LOOKS, render_aerial
from indexer.city.city import City
from indexer.render import render_map
from models.bundle import load_bundle
from retrieval.alignment import Alignment
from retrieval.counterpart import OTHER, CounterpartTerm
from retrieval.index.lance import LanceStore
from retrieval.interpreter import Interpreter
from retrieval.naming import Naming
from retrieval.searcher import Searcher
from retrieval.serving import Serving
from retrieval.snapshot import derive_serving

CITY = City(17)
TILES = tuple(list(tiles_in(CITY.extent, 17))[150:270:9])
PX = 192


@dataclass
class Town:
    """Tiles of the city on one layer."""

    layer: Layer
    uri: str = "town"
    zoom: int | None = 17
    attribution: str = ""
    tiles: tuple[Tile, ...] = field(default=TILES)

    def plan(self) -> Iterator[TileRef]:
        for tile in self.tiles:
            yield TileRef(f"{self.layer}/{tile}", str(tile), tile, "1")

    def read(self, ref: TileRef) -> TileImage:
        assert ref.tile is not None
        return TileImage(
            id=ref.id, pixels=picture(ref.tile, self.layer), layer=self.layer, source=self.uri, tile=ref.tile,
            bounds=ref.tile.bounds, point=ref.tile.center,
        )  # fmt: skip

    def close(self) -> None:
        pass


def picture(tile: Tile, layer: Layer) -> Pixels:
    return render_map(CITY, tile, PX) if layer == "map" else render_aerial(CITY, tile, PX, LOOKS["A"], 0)


def png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def searcher_of(folder: Path, layers: Sequence[Layer]) -> Searcher:
    encoder = load_bundle("mini")
    build(folder, [Town(layer) for layer in layers], encoder, LanceStore, derive_serving, BuildOptions(threads=1))
    return Searcher(Serving.open(folder, read_manifest(folder)), lambda: encoder)


def asked(shown: Layer, number: int, **more: object) -> Query:
    return Query(parts=(ImagePart(data=png(picture(TILES[number], shown)), layer=shown),), k=len(TILES), **more)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    return searcher_of(tmp_path_factory.mktemp("both") / "town.index", ("aerial", "map"))


@pytest.fixture(scope="module")
def aerial_only(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    return searcher_of(tmp_path_factory.mktemp("one") / "town.index", ("aerial",))


@pytest.mark.parametrize(("layer", "other"), [("map", "aerial"), ("aerial", "map")])
def test_the_other_side_of_a_tile_comes_first(both: Searcher, layer: Layer, other: Layer) -> None:
    for number in range(0, len(TILES), 3):
        answer = both.search(asked(layer, number, layer=other))
        assert answer.total == len(TILES)
        assert answer.hits[0].id == f"{other}/{TILES[number]}"
        why = answer.hits[0].why
        assert why["structure"] > answer.hits[1].why["structure"]
        assert max(abs(part) for part in why["offset"]) < 0.03


def test_both_sides_lead_where_no_layer_is_asked_for(both: Searcher) -> None:
    for number in (1, 5):
        first = [hit.id for hit in both.search(asked("map", number)).hits[:4]]
        assert {f"map/{TILES[number]}", f"aerial/{TILES[number]}"} <= set(first)


def test_a_map_moved_by_a_twelfth_finds_its_ground_and_says_how_far(both: Searcher) -> None:
    step = PX // 12
    west, east = (picture(Tile(17, TILES[4].x - 1 + side, TILES[4].y), "map") for side in (0, 1))
    # Its left edge shows what lies west of the tile: all of it lies too far east.
    moved = np.concatenate([west[:, -step:], east[:, :-step]], axis=1)
    answer = both.search(Query(parts=(ImagePart(data=png(moved), layer="map"),), layer="aerial", k=5))
    assert answer.hits[0].id == f"aerial/{TILES[4]}"
    assert answer.hits[0].why["offset"] == pytest.approx([1 / 12, 0], abs=0.01)


@pytest.mark.parametrize("fill", [0, 255])
def test_nothing_is_read_into_the_blank_rim_of_a_moved_map(both: Searcher, fill: int) -> None:
    rim = PX // 10
    for number in range(0, len(TILES), 4):
        seen = picture(TILES[number], "map")[:-rim, :-rim]
        blank = np.full((PX, PX, 3), fill, np.uint8)
        blank[rim:, rim:] = seen
        mirrored = np.pad(seen, [(rim, 0), (rim, 0), (0, 0)], mode="symmetric")
        answer, same = (
            both.search(Query(parts=(ImagePart(data=png(map_), layer="map"),), layer="aerial", k=5))
            for map_ in (blank, mirrored)
        )
        assert answer.hits == same.hits
        assert answer.hits[0].id == f"aerial/{TILES[number]}"
        assert answer.hits[0].why["offset"] == pytest.approx([rim / PX] * 2, abs=0.01)


@pytest.mark.parametrize(("layer", "other"), [("map", "aerial"), ("aerial", "map")])
def test_the_first_hits_are_compared_by_their_pictures(both: Searcher, layer: Layer, other: Layer) -> None:
    asked_for: list[str] = []

    def details(ids: Sequence[str], column: str) -> dict[str, bytes]:
        assert column == "thumbnail"
        asked_for.extend(ids)
        kept = {f"{other}/{tile}": png(picture(tile, other)) for tile in TILES}
        return {name: b"damaged" if name == ids[2] else kept[name] for name in ids if name != ids[1]}

    finer = Searcher(both._serving, lambda: both.encoder, details=details)
    plain, told = (searcher.search(asked(layer, 4, layer=other)) for searcher in (both, finer))
    ids = [hit.id for hit in plain.hits]
    assert asked_for == ids[:10]
    assert len(ids) > 10
    assert [hit.id for hit in told.hits] == ids
    changed = [a.id for a, b in zip(plain.hits, told.hits, strict=True) if a.why.get("offset") != b.why.get("offset")]
    # One has no picture stored, one a damaged one; the vectors' word stands there and beyond the tenth.
    assert set(changed) <= set(asked_for) - set(asked_for[1:3])
    assert max(abs(part) for part in told.hits[0].why["offset"]) < 0.01
    for codes, pictures in zip((hit.why for hit in plain.hits), (hit.why for hit in told.hits), strict=True):
        if codes.get("scale") == pictures.get("scale"):
            assert codes.get("structure") == pictures.get("structure")


def test_a_map_of_open_water_tells_no_offset(both: Searcher) -> None:
    """By codes hardly one, by pictures none."""
    water = ImagePart(data=png(np.full((PX, PX, 3), (170, 211, 223), np.uint8)), layer="map")
    pictures = {f"aerial/{tile}": png(picture(tile, "aerial")) for tile in TILES}
    finer = Searcher(both._serving, lambda: both.encoder, details=lambda ids, _: {name: pictures[name] for name in ids})
    by_codes, by_pictures, drawn = (
        [hit.why for hit in searcher.search(query.model_copy(update={"layer": "aerial", "k": 12})).hits]
        for searcher, query in ((both, Query(parts=(water,))), (finer, Query(parts=(water,))), (finer, asked("map", 4)))
    )
    assert all("structure" in why for why in by_codes + by_pictures + drawn)
    assert sum("offset" in why for why in by_codes) <= 4
    assert not any("offset" in why for why in by_pictures)
    assert "offset" in drawn[0]


def test_a_map_of_nowhere_here_is_not_answered(both: Searcher, aerial_only: Searcher) -> None:
    """Turned about it shows no ground that there is; among rows of its own layer one is always likest."""
    found = 0
    for number in range(len(TILES)):
        turned = png(np.ascontiguousarray(picture(TILES[number], "map")[::-1]))
        query = Query(parts=(ImagePart(data=turned, layer="map"),), layer="aerial", k=5)
        answer = both.search(query)
        assert len(answer.nearest) == (3 if answer.verdict == "nothing" else 0)
        assert aerial_only.search(query).verdict == answer.verdict
        assert both.search(query.model_copy(update={"layer": None})).verdict == "found"
        assert both.search(asked("map", number, layer="aerial")).verdict == "found"
        found += answer.verdict == "found"
    # By chance some turned street may be like one that there is.
    assert found <= 0.25 * len(TILES)


@dataclass
class Collared(Town):
    """Its aerial pictures are black on one side."""

    def read(self, ref: TileRef) -> TileImage:
        image = super().read(ref)
        image.pixels[:, : PX // 3] = 0
        return image


@pytest.mark.parametrize(("layer", "other"), [("map", "aerial"), ("aerial", "map")])
def test_the_collar_of_a_picture_makes_no_hit_unlikely(tmp_path: Path, layer: Layer, other: Layer) -> None:
    encoder, few = load_bundle("mini"), TILES[:4]
    sources = [Collared("aerial", tiles=few), Town("map", tiles=few)]
    build(tmp_path / "i", sources, encoder, LanceStore, derive_serving, BuildOptions(threads=1))
    serving = Serving.open(tmp_path / "i", read_manifest(tmp_path / "i"))
    kept = LanceStore.open(tmp_path / "i")

    def details(ids: Sequence[str], column: str) -> dict[str, bytes]:
        table = kept.fetch(list(ids), ["id", column])
        return dict(zip(table["id"].to_pylist(), table[column].to_pylist(), strict=True))

    searcher = Searcher(serving, lambda: encoder, details=details)
    for number, tile in enumerate(few):
        seen = picture(tile, layer).copy()
        if layer == "aerial":
            seen[:, : PX // 3] = 0
        for part in (ImagePart(data=png(seen), layer=layer), LikePart(id=f"{layer}/{tile}")):
            answer = searcher.search(Query(parts=(part,), layer=other, k=3))
            assert answer.verdict == "found", number
            assert answer.hits[0].id == f"{other}/{tile}"
            assert answer.hits[0].why["probability"] > 0.5


def test_where_the_other_layer_is_missing_a_score_is_the_plain_cosine(aerial_only: Searcher) -> None:
    encoder = load_bundle("mini")
    gallery = encoder.encode([picture(tile, "aerial") for tile in TILES], "aerial")["semantic"]
    query = encoder.encode([picture(TILES[2], "aerial")], "aerial", "query")["semantic"][0]
    wanted = {f"aerial/{tile}": float(row @ query) for tile, row in zip(TILES, gallery, strict=True)}
    hits = aerial_only.search(asked("aerial", 2)).hits
    assert len(hits) == len(TILES)
    assert [hit.score for hit in hits] == pytest.approx([wanted[hit.id] for hit in hits], abs=1e-3)
    assert hits[0].id == f"aerial/{TILES[2]}"
    assert "structure" not in hits[0].why


def counterpart(searcher: Searcher, query: Query) -> CounterpartTerm | None:
    def read(data: bytes, where: str, layer: Layer) -> Pixels:
        return read_rgb(data, where, layer=layer)

    terms = Interpreter(
        searcher._serving, lambda: searcher.encoder, lambda: Naming(searcher._serving, {}), read, lambda _: {}
    ).terms(query)
    return next((term for term in terms if isinstance(term, CounterpartTerm)), None)


def test_words_and_mixtures_are_not_compared_cell_by_cell(both: Searcher) -> None:
    for parts in (
        (TextPart(text="houses"),),
        (ImagePart(data=png(picture(TILES[0], "map")), layer="map"), TextPart(text="houses")),
        (LikePart(id=f"map/{TILES[0]}"),),
        (LikePart(id=f"map/{TILES[0]}"), TextPart(text="houses")),
    ):
        assert counterpart(both, Query(parts=parts)) is None
    assert counterpart(both, Query(parts=(LikePart(id=f"map/{TILES[0]}"),), layer="map")) is None
    two = tuple(ImagePart(data=png(picture(TILES[n], "map")), layer="map") for n in (0, 1))
    assert counterpart(both, Query(parts=two, layer="aerial")) is None
    assert counterpart(both, asked("map", 0, spaces=("semantic",))) is None
    assert counterpart(both, asked("map", 0)) is not None


@pytest.mark.parametrize(("layer", "other"), [("map", "aerial"), ("aerial", "map")])
def test_among_other_wishes_a_picture_still_finds_its_other_side(both: Searcher, layer: Layer, other: Layer) -> None:
    """Where that layer is asked for; the picture's weight is that of the likeness."""
    words = TextPart(text="houses"), TextPart(text="water", weight=-0.5)
    for number in range(0, len(TILES), 3):
        picked = asked(layer, number).parts
        hits = both.search(Query(parts=(*words, *picked), layer=other, k=3)).hits
        assert hits[0].id == f"{other}/{TILES[number]}"
        assert "offset" in hits[0].why
        alone, twice = (
            counterpart(both, Query(parts=(words[0], picked[0].model_copy(update={"weight": weight})), layer=other))
            for weight in (1.0, 2.0)
        )
        assert alone is not None
        assert twice is not None
        rows = np.arange(len(both._serving))
        np.testing.assert_allclose(twice.scores(rows), 2 * alone.scores(rows))


@pytest.mark.parametrize(("layer", "other"), [("map", "aerial"), ("aerial", "map")])
def test_a_row_of_the_index_finds_its_other_side_too(
    both: Searcher, monkeypatch: pytest.MonkeyPatch, layer: Layer, other: Layer
) -> None:
    """As its picture does, but that the scale of a row is known."""
    monkeypatch.setattr("retrieval.interpreter.SCALES", (1.0,))
    for number in range(len(TILES)):
        alike = both.search(Query(parts=(LikePart(id=f"{layer}/{TILES[number]}"),), layer=other, k=len(TILES))).hits
        drawn = both.search(asked(layer, number, layer=other)).hits
        assert alike[0].id == f"{other}/{TILES[number]}"
        assert [hit.id for hit in alike] == [hit.id for hit in drawn]


@pytest.mark.parametrize("layer", ["map", "aerial"])
def test_the_same_ground_is_likely_and_other_ground_is_not(both: Searcher, layer: Layer) -> None:
    other = "aerial" if layer == "map" else "map"
    right, wrong = [], []
    for number in range(len(TILES)):
        for hit in both.search(asked(layer, number, layer=other)).hits:
            (right if hit.id == f"{other}/{TILES[number]}" else wrong).append(hit.why["probability"])
    assert min(right) > 0.5 > np.quantile(wrong, 0.9)


def test_rows_of_the_picture_s_own_layer_count_as_usual(both: Searcher) -> None:
    term = counterpart(both, asked("map", 3))
    assert isinstance(term, CounterpartTerm)
    serving = both._serving
    scores = term.scores(np.arange(len(serving)))
    np.testing.assert_array_equal(scores[serving.layers["map"]], 0)
    assert (scores[serving.layers["aerial"]] >= 0).all()
    best = int(serving.layers["aerial"][scores[serving.layers["aerial"]].argmax()])
    assert serving.facts(np.array([best]))[0]["id"] == f"aerial/{TILES[3]}"
    # What a row scores does not depend on which others are asked about.
    some = np.sort(np.random.default_rng(0).permutation(len(serving))[:9])
    np.testing.assert_allclose(term.scores(some), scores[some], atol=1e-5)


@pytest.mark.parametrize("limit", ["_LOOKED_AT", "COMPARED"])
@pytest.mark.parametrize(("layer", "other"), [("map", "aerial"), ("aerial", "map")])
def test_of_many_rows_only_the_likeliest_are_compared(
    both: Searcher, monkeypatch: pytest.MonkeyPatch, limit: str, layer: Layer, other: Layer
) -> None:
    """By coarse vectors those that are looked at, by a grid half as fine those that are compared cell by cell."""
    monkeypatch.setattr(f"retrieval.counterpart.{limit}", 4)
    monkeypatch.setattr("retrieval.interpreter.SCALES", (1.0,))
    every = np.arange(len(both._serving))
    for number in (0, 6, 11):
        term = counterpart(both, asked(layer, number))
        assert isinstance(term, CounterpartTerm)
        scores = term.scores(every)
        assert 0 < (scores > 0).sum() <= 4
        best = both._serving.facts(np.array([int(scores.argmax())]))[0]["id"]
        assert best == f"{other}/{TILES[number]}"


def test_looks_do_not_count_between_layers(both: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a map looks like is noise where its ground is looked for; among maps it is what is asked."""
    plain = [[(hit.id, hit.score) for hit in both.search(asked("map", 4, layer=layer)).hits] for layer in OTHER]
    encode = both.encoder.encode

    def blind(items: Sequence[Pixels], modality: str, role: str = "gallery") -> dict[str, np.ndarray]:
        made = dict(encode(items, modality, role))
        made["semantic"] = made["semantic"][:, ::-1].copy()
        return made

    monkeypatch.setattr(both.encoder, "encode", blind)
    now = [[(hit.id, hit.score) for hit in both.search(asked("map", 4, layer=layer)).hits] for layer in OTHER]
    assert list(OTHER) == ["map", "aerial"]
    assert now[1] == plain[1]
    assert now[0] != plain[0]


def test_two_pictures_at_once_get_the_answers_of_each(both: Searcher) -> None:
    queries = [asked("map", 2), asked("aerial", 7), asked("map", 9)]
    alone = [[(hit.id, hit.score) for hit in both.search(query).hits] for query in queries]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda number: both.search(queries[number % 3]).hits, range(12)))
    for number, hits in enumerate(found):
        assert [hit.id for hit in hits] == [name for name, _ in alone[number % 3]]
        assert [hit.score for hit in hits] == pytest.approx([score for _, score in alone[number % 3]], abs=1e-4)


@pytest.mark.parametrize(("scale", "first"), [(1.0, 0), (0.8, 3)])
def test_a_first_row_at_a_scale_of_its_own_gives_way_to_what_pictures_prefer(
    both: Searcher, monkeypatch: pytest.MonkeyPatch, scale: float, first: int
) -> None:
    """The fourth by codes, here; all keep the scores of the places."""

    def align(_pixels: Pixels, _layer: Layer, rows: Sequence[Pixels], _registrar: object) -> list[Alignment]:
        return [Alignment(1.0 if at == 3 else 0.1, (0.0, 0.0), scale if at == 0 else 1.0) for at in range(len(rows))]

    monkeypatch.setattr("retrieval.counterpart.align", align)
    kept = {f"aerial/{tile}": png(picture(tile, "aerial")) for tile in TILES}
    finer = Searcher(both._serving, lambda: both.encoder, details=lambda ids, _: {name: kept[name] for name in ids})
    by_codes, by_pictures = (searcher.search(asked("map", 4, layer="aerial")).hits for searcher in (both, finer))
    order = [first, *(at for at in range(len(TILES)) if at != first)]
    assert [hit.id for hit in by_pictures] == [by_codes[at].id for at in order]
    assert [hit.score for hit in by_pictures] == [hit.score for hit in by_codes]
    # The page may be of any length: which is first does not depend on it.
    assert finer.search(asked("map", 4, layer="aerial").model_copy(update={"k": 1})).hits[0].id == by_codes[first].id
