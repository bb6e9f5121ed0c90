import numpy as np

from training.quality import DrawnTiles, draw_test_tiles, measure

SIZE = 8


class Perfect:
    """Knows the tile by its grey value, whatever the layer, and a caption by its number."""

    name = "perfect"

    def __init__(self) -> None:
        from models.toy import ToyEncoder

        self.spaces = ToyEncoder(dim=64).spaces

    def prepare(self, pixels, modality):
        return pixels

    def encode(self, items, modality, role="gallery"):
        rows = [int(item.split()[-1]) if isinstance(item, str) else int(item[0, 0, 0]) for item in items]
        return {"semantic": np.eye(64, dtype=np.float32)[rows]}


class Blind(Perfect):
    """Gives everything the same vector."""

    def encode(self, items, modality, role="gallery"):
        return {"semantic": np.full((len(items), 64), 0.125, np.float32)}


def tiles(captions: list[tuple[str, ...]]) -> DrawnTiles:
    pictures = [np.full((SIZE, SIZE, 3), i, np.uint8) for i in range(len(captions))]
    return DrawnTiles(pictures, pictures, captions)


def test_a_perfect_model_finds_everything() -> None:
    figures = measure(Perfect(), tiles([(f"tile {i}",) for i in range(40)]))
    for task in ("text to aerial", "text to map", "map to aerial", "aerial to map"):
        assert figures[task] == {"R@1": 100.0, "R@5": 100.0, "R@10": 100.0}
    assert figures["chance, picture"] == {"R@1": 2.5, "R@5": 12.5, "R@10": 25.0}


def test_a_blind_model_is_at_chance() -> None:
    figures = measure(Blind(), tiles([(f"tile {i}",) for i in range(40)]))
    assert figures["map to aerial"] == figures["text to aerial"] == {"R@1": 2.5, "R@5": 12.5, "R@10": 25.0}


def test_a_shared_caption_is_right_at_each_of_its_tiles() -> None:
    figures = measure(
        Perfect(), tiles([("tile 1",), ("tile 1",), ("other 2", "tile 1"), *((f"t {i}",) for i in range(3, 20))])
    )
    assert figures["text to aerial"]["R@1"] == 100.0
    assert figures["chance, text"]["R@1"] > 5.0


def test_test_tiles_are_the_same_each_time() -> None:
    first, second = (draw_test_tiles([3], ["A"], 2) for _ in range(2))
    assert first.captions == second.captions
    assert all(np.array_equal(a, b) for a, b in zip(first.aerial + first.map, second.aerial + second.map, strict=True))
    assert first.aerial[0].shape == (256, 256, 3)
