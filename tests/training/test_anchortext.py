"""Anchors told to CLIP's text encoder, as the paper does, on a random model of a tiny architecture."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from geoanchor.errors import OfflineError
from geoanchor.settings import Settings
from models.text import SentenceEncoder
from training.anchorcache import text_vectors
from training.recipe import Anchors

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
TEXTS = ("building density: high", "building density: none")


def test_clip_text_is_open_clips_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", constants.HF_HUB_OFFLINE)  # put back after the test
    monkeypatch.setenv("GEOANCHOR_OFFLINE", "1")
    (tmp_path / "GA-tiny-text.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(tmp_path)
    torch.manual_seed(0)
    model = open_clip.create_model("GA-tiny-text").eval()
    save_file(model.state_dict(), tmp_path / "tiny.safetensors")
    with torch.inference_mode():
        expected = model.encode_text(open_clip.get_tokenizer("GA-tiny-text")(list(TEXTS)), normalize=True)
    found = text_vectors(TEXTS, Anchors(text=f"clip:GA-tiny-text/{tmp_path / 'tiny.safetensors'}"))
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    assert found.dtype == np.float32


def test_published_texts_are_not_fetched_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(OfflineError, match="clip:ViT-B-32/openai"):
        text_vectors(TEXTS, Anchors(text="clip:ViT-B-32/openai"), Settings(offline=True, cache_dir=tmp_path))
    assert constants.HF_HUB_OFFLINE


def test_minilm_is_the_engines_own_sentence_encoder() -> None:
    np.testing.assert_array_equal(text_vectors(TEXTS, Anchors()), SentenceEncoder().encode(TEXTS))
