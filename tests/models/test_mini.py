"""The shipped `mini` as users get it: golden vectors, so that no drift of preprocessing goes unseen; size and speed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexer.styles import STYLES
from models.bundle import CARD_NAME, SHIPPED, load_bundle, read_bundle

GOLDEN = Path(__file__).parent / "golden_mini.json"
SLACK = {"semantic": 1e-3, "structure": 2e-3}
"""How far a vector may lie off on another processor; those with matrix units run the decoder in bfloat16."""
TEXTS = ("stadium", "a river next to a park", "many detached houses, a school")


def picture(seed: int, side: int = 256) -> np.ndarray:
    """A smooth random picture, the same on every machine."""
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [np.sin(2 * np.pi * ((seed + 1 + c) * x + (c + 2) * y) + seed) for c in range(3)]
    return np.clip(128 + 100 * np.stack(waves, axis=-1), 0, 255).astype(np.uint8)


def drawn(seed: int, side: int = 256) -> np.ndarray:
    """A map of the standard style: land, a lake, a park, streets and houses at random, the same on every machine."""
    look, rng = STYLES["standard"], np.random.default_rng(seed)
    inks = [look.areas[name].fill for name in ("water", "park", "building", "building", "building")]
    pixels = np.full((side, side, 3), list(bytes.fromhex(look.background[1:])), np.uint8)
    for ink in (*inks, *inks):
        top, left, height, width = (int(v) for v in rng.integers(0, side // 2, 4))
        pixels[top : top + height, left : left + width] = list(bytes.fromhex(ink[1:]))
    pixels[side // 3 : side // 3 + 9] = pixels[:, side // 2 : side // 2 + 9] = 255
    return pixels


def vectors() -> dict[str, dict[str, np.ndarray]]:
    """What the golden file holds, by modality and space, computed anew."""
    encoder = load_bundle("mini")
    return {
        "aerial": encoder.encode([picture(0), picture(1, 200)], "aerial"),
        "map": encoder.encode([drawn(0), drawn(1, 200)], "map"),
        "text": encoder.encode(TEXTS, "text"),
    }


def write_golden() -> None:
    """Run after a new bundle: `PYTHONPATH=. python -c "from tests.models.test_mini import write_golden as w; w()"`."""
    shown = {
        modality: {space: np.round(rows[:, _shown(space)].astype(float), 5).tolist() for space, rows in own.items()}
        for modality, own in vectors().items()
    }
    fingerprints = {name: space.fingerprint for name, space in load_bundle("mini").spaces.items()}
    GOLDEN.write_text(json.dumps({"fingerprints": fingerprints} | shown) + "\n")


def _shown(space: str) -> slice:
    """The first numbers of a vector; of a grid of codes every row of cells has its say."""
    return slice(0, None, 13) if space == "structure_grid" else slice(16)


def test_vectors_are_those_it_was_shipped_with() -> None:
    golden = json.loads(GOLDEN.read_text())
    spaces = load_bundle("mini").spaces
    assert {name: space.fingerprint for name, space in spaces.items()} == golden.pop("fingerprints")
    for modality, own in vectors().items():
        assert set(own) == set(golden[modality])
        for space, rows in own.items():
            found, wanted = rows[:, _shown(space)].astype(float), np.array(golden[modality][space])
            if space == "structure_grid":
                # Between two codes that fit alike another processor may choose the other.
                assert (found == wanted).mean() > (0.99 if modality == "map" else 0.95), modality
            else:
                np.testing.assert_allclose(found, wanted, atol=SLACK[space], err_msg=f"{modality} {space}")


def test_card_says_what_it_is() -> None:
    manifest, card = read_bundle(SHIPPED / "mini"), (SHIPPED / "mini" / CARD_NAME).read_text()
    assert {"text to aerial", "map to aerial", "aerial to map", "chance, text", "chance, picture"} <= set(
        manifest.quality["recall"]
    )
    for words in ("SYNTHETIC", "ODbL", "seeds 1 to 20", "Limits", manifest.licence):
        assert words in card
    for task in ("text to aerial", "map to aerial"):
        chance = manifest.quality["recall"][f"chance, {'text' if 'text' in task else 'picture'}"]
        assert manifest.quality["recall"][task]["R@10"] > 3 * chance["R@10"]


def test_a_text_query_needs_no_torch() -> None:
    program = (
        "import sys\n"
        "from models.bundle import load_bundle\n"
        "load_bundle('mini').encode(['stadium by the river'], 'text')\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("words", ["stadium", "the river"])
def test_single_words_have_unit_vectors_of_their_own(words: str) -> None:
    encoder = load_bundle("mini")
    vector, other = encoder.encode([words, "farmland"], "text")["semantic"]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector @ other < 0.9
