"""The shipped `mini` as users get it: golden vectors, so that no drift of preprocessing goes unseen; size and speed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.bundle import CARD_NAME, SHIPPED, load_bundle, read_bundle

GOLDEN = Path(__file__).parent / "golden_mini.json"
TEXTS = ("stadium", "a river next to a park", "many detached houses, a school")


def picture(seed: int, side: int = 256) -> np.ndarray:
    """A smooth random picture, the same on every machine."""
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [np.sin(2 * np.pi * ((seed + 1 + c) * x + (c + 2) * y) + seed) for c in range(3)]
    return np.clip(128 + 100 * np.stack(waves, axis=-1), 0, 255).astype(np.uint8)


def vectors() -> dict[str, np.ndarray]:
    """What the golden file holds, computed anew."""
    encoder = load_bundle("mini")
    found = {
        modality: encoder.encode([picture(0), picture(1, 200)], modality)["semantic"] for modality in ("aerial", "map")
    }
    return found | {"text": encoder.encode(TEXTS, "text")["semantic"]}


def test_vectors_are_those_it_was_shipped_with() -> None:
    golden = json.loads(GOLDEN.read_text())
    assert load_bundle("mini").spaces["semantic"].fingerprint == golden.pop("fingerprint")
    for modality, rows in vectors().items():
        np.testing.assert_allclose(rows[:, :16], golden[modality], atol=1e-3, err_msg=modality)


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


def test_a_text_query_is_quick_and_needs_no_torch() -> None:
    program = (
        "import time, sys; start = time.perf_counter()\n"
        "from models.bundle import load_bundle\n"
        "load_bundle('mini').encode(['stadium by the river'], 'text')\n"
        "print(time.perf_counter() - start, 'torch' in sys.modules)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(2)
    ]
    seconds, torch_loaded = min(run.stdout.strip() for run in runs).split()
    assert torch_loaded == "False"
    assert float(seconds) < 2  # 0.5 s on a quiet machine


@pytest.mark.parametrize("words", ["stadium", "the river"])
def test_single_words_have_unit_vectors_of_their_own(words: str) -> None:
    encoder = load_bundle("mini")
    vector, other = encoder.encode([words, "farmland"], "text")["semantic"]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector @ other < 0.9
