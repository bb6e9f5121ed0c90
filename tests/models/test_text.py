import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from geoanchor.errors import BadInput, ModelNotFound
from models.text import SentenceEncoder, _installed_folder, gelu

SENTENCES = [
    "stadium by the river",
    "",
    "   ",
    "Größe café 河边的体育场 🏟️ naïve\u0301",
    "a",
    "word " * 400,
    "Houses ALONG the railway!?",
    "x" * 300,
    "a park, a park, a park",
]


SHARED = SentenceEncoder()


@pytest.fixture
def encoder() -> SentenceEncoder:
    return SHARED


def published_vectors(texts: list[str]) -> np.ndarray:
    """What transformers' BertModel, mean pooling and unit length make of the same files."""
    torch = pytest.importorskip("torch")
    from transformers import AutoTokenizer, BertModel

    folder = _installed_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(texts, padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.inference_mode():
        hidden = BertModel.from_pretrained(folder).eval()(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1)).numpy()


def test_agrees_with_the_published_model(encoder: SentenceEncoder) -> None:
    vectors = encoder.encode(SENTENCES)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(SENTENCES), 384)
    np.testing.assert_allclose(vectors, published_vectors(SENTENCES), atol=1e-5)


def test_neighbours_in_a_batch_change_nothing(encoder: SentenceEncoder) -> None:
    together = encoder.encode(SENTENCES)
    alone = np.concatenate([encoder.encode([text]) for text in SENTENCES])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_no_texts_give_no_rows(encoder: SentenceEncoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


@budget(max_examples=30, deadline=None)
@given(st.text(max_size=300))
def test_any_text_has_a_unit_vector(text: str) -> None:
    vector = SHARED.encode([text])
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_gelu_agrees_with_erf() -> None:
    from math import erf, sqrt

    x = np.linspace(-9, 9, 4001, dtype=np.float32)
    exact = np.array([v * 0.5 * (1 + erf(v / sqrt(2))) for v in x.tolist()])
    np.testing.assert_allclose(gelu(x), exact, atol=2e-6)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    shutil.copytree(_installed_folder(), tmp_path / "own", ignore=shutil.ignore_patterns("*.md"))
    assert SentenceEncoder(tmp_path / "own").encode(["river"]).shape == (1, 384)
    with open(tmp_path / "own" / "model.safetensors", "r+b") as file:
        file.seek(-4, 2)
        file.write(b"\0\0\0\1")
    with pytest.raises(BadInput, match="not the published"):
        SentenceEncoder(tmp_path / "own")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"tokenizer\.json"):
        SentenceEncoder(tmp_path)


def test_one_query_needs_no_torch() -> None:
    program = (
        "import sys\n"
        "from models.text import SentenceEncoder\n"
        "SentenceEncoder().encode(['stadium by the river'])\n"
        "print(sorted({'torch', 'transformers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
