"""The whole path through a tiny random model of the real class, saved to disk and opened by its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_anchor_schema import anchor

from geoanchor.errors import BadInput, OfflineError
from geoanchor.settings import Settings
from training.anchors.qwen import PairAnnotator, QwenGenerator, opening

_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}{% if c.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )  # fmt: skip

    folder = tmp_path_factory.mktemp("qwen")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokeniser = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=_TEMPLATE,
        additional_special_tokens=list(_SPECIAL),
    )  # fmt: skip
    ids = dict(zip(_SPECIAL, tokeniser.convert_tokens_to_ids(list(_SPECIAL)), strict=True))
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokeniser), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 8192,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
            "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    torch.manual_seed(1)
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(), tokenizer=tokeniser, video_processor=Qwen2VLVideoProcessor(),
        chat_template=_TEMPLATE,
    )  # fmt: skip
    processor.save_pretrained(folder)
    return folder


def test_a_random_model_answers_nonsense_and_geometry_takes_over(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.anchors.qwen._NEW_TOKENS", 12)
    generator = QwenGenerator(str(tiny), Settings(offline=True, cache_dir=tmp_path))
    rng = np.random.default_rng(0)
    aerial, drawn = rng.integers(0, 255, (2, 64, 64, 3), np.uint8)
    one, same = (generator.reply(opening(), (aerial, drawn), 0.0) for _ in range(2))
    assert one == same
    assert one
    warm = [generator.reply(opening(), (aerial, drawn), 0.9) for _ in range(2)]
    assert warm[0] == warm[1]
    made = PairAnnotator(generator, tmp_path / "cache").annotate(aerial, drawn, "t", lambda: anchor("t"))
    assert (made.source, made.retries, made.attributes) == ("osm_fallback", 4, anchor("t").attributes)
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 1


def test_what_is_not_at_hand_is_said(tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match="someone/model"):
        QwenGenerator("someone/model", Settings(offline=True, cache_dir=tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match=r"Qwen2\.5-VL"):
        QwenGenerator(str(tmp_path), Settings(offline=True, cache_dir=tmp_path))
