"""Tiny random models of the real image-to-text classes, saved with their processors as a hub would give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_WORDS = (
    "a", "an", "aerial", "picture", "of", "the", "with", "and", "road", "river", "house", "is", "to", "in", "north",
    "green", ".", ",", "describe", "place", "map", "names",
)  # fmt: skip


def bert_tokeniser(folder: Path) -> Any:
    from transformers import BertTokenizerFast

    letters = [chr(n) for n in range(ord("a"), ord("z") + 1)]
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *_WORDS,
        *letters,
        *(f"##{letter}" for letter in letters),
    ]
    file = folder / "vocab.txt"
    file.write_text("\n".join(dict.fromkeys(vocabulary)) + "\n", "utf-8")
    return BertTokenizerFast(str(file))


def byte_tokeniser(chat_template: str | None = None) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = {"<pad>": 0, "<s>": 1, "</s>": 2} | {letter: n + 3 for n, letter in enumerate(letters)}
    words = Tokenizer(models.BPE(known, []))
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    words.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="<pad>", chat_template=chat_template,
        additional_special_tokens=["<image>"],
    )  # fmt: skip


_VISION = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32,
    "patch_size": 16,
}  # fmt: skip
_TEXT = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}


def instructblip(folder: Path, language: str) -> None:
    """InstructBLIP over "llama" (decoder only) or "t5" (encoder and decoder)."""
    import torch
    from transformers import (
        BlipImageProcessor,
        InstructBlipConfig,
        InstructBlipForConditionalGeneration,
        InstructBlipProcessor,
    )

    asking = bert_tokeniser(folder)
    speaking = byte_tokeniser()
    processor = InstructBlipProcessor(
        BlipImageProcessor(size={"height": 32, "width": 32}), speaking, asking, num_query_tokens=4
    )
    text: dict[str, Any] = {"vocab_size": len(speaking), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    if language == "llama":
        text |= _TEXT | {"model_type": "llama", "num_key_value_heads": 2, "max_position_embeddings": 512}
    else:
        text |= {"model_type": "t5", "d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2}
        text |= {"decoder_start_token_id": 0}
    config = InstructBlipConfig(
        vision_config=_VISION, num_query_tokens=4, text_config=text,
        qformer_config=_TEXT | {"vocab_size": len(asking), "encoder_hidden_size": 32, "cross_attention_frequency": 1},
        image_token_index=speaking.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    torch.manual_seed(1)
    InstructBlipForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)


def blip(folder: Path) -> None:
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    words = bert_tokeniser(folder)
    config = BlipConfig(
        vision_config=_VISION, projection_dim=32,
        text_config=_TEXT | {
            "vocab_size": len(words), "encoder_hidden_size": 32, "projection_dim": 32, "bos_token_id": 2,
            "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0, "max_position_embeddings": 200,
        },
    )  # fmt: skip
    torch.manual_seed(1)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), words).save_pretrained(folder)


def git(folder: Path) -> None:
    import torch
    from transformers import CLIPImageProcessor, GitConfig, GitForCausalLM, GitProcessor

    words = bert_tokeniser(folder)
    config = GitConfig(
        vision_config=_VISION, vocab_size=len(words), bos_token_id=2, eos_token_id=3, pad_token_id=0,
        max_position_embeddings=200, **_TEXT,
    )  # fmt: skip
    torch.manual_seed(1)
    GitForCausalLM(config).save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    GitProcessor(pictures, words).save_pretrained(folder)


_CHAT = (
    "{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} : {% endif %}"
)


def llava(folder: Path) -> None:
    import torch
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    words = byte_tokeniser()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_VISION, projection_dim=32),
        text_config=LlamaConfig(**_TEXT, vocab_size=len(words), num_key_value_heads=2, max_position_embeddings=512),
        image_token_index=words.convert_tokens_to_ids("<image>"), vision_feature_select_strategy="default",
    )  # fmt: skip
    torch.manual_seed(1)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    LlavaProcessor(
        pictures, words, patch_size=16, vision_feature_select_strategy="default", chat_template=_CHAT,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
