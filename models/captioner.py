"""Pictures to sentences, by any image-to-text model of transformers: InstructBLIP, BLIP, GIT, LLaVA, ..."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

from PIL import Image

from geoanchor.errors import UsageError
from geoanchor.image import Pixels
from geoanchor.settings import Settings
from models.pretrained import fingerprint, open_pretrained

INSTRUCTBLIP = "Salesforce/instructblip-vicuna-7b"
"""What UrbanCross captioned with; its text says no size."""
Form = Literal["instruction", "chat", "continuation"]
"""How a model is spoken to: told what to do, the same as a turn of a dialogue, or given words that it goes on with."""
_CONTINUING = ("blip", "git", "pix2struct", "vision-encoder-decoder")
GENERATION = {"do_sample": False, "num_beams": 1, "max_new_tokens": 120, "repetition_penalty": 1.2}
"""The same answer for the same picture and prompt, every time."""


class ImageCaptioner:
    """An image-to-text model, on the accelerator where there is one.

    Args and raises: as `models.pretrained.open_pretrained`; UsageError where the processor takes no prompt.
    """

    def __init__(self, model: str, settings: Settings) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.name = model
        self._processor, self._network = open_pretrained(
            model, settings, AutoProcessor, AutoModelForImageTextToText, "image-to-text model"
        )
        if not hasattr(self._processor, "tokenizer"):
            raise UsageError(f"{model}: its processor reads no text; take a model that can be given a prompt")
        self._tokenizer: Any = self._processor.tokenizer
        self._decoder_only = not getattr(_language(self._network.config), "is_encoder_decoder", False)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._tokenizer.padding_side = "left" if self._decoder_only else "right"
        self.weights = fingerprint(self._network)
        """SHA-256 of what the weights are, wherever they lie."""
        self.form: Form = "instruction"
        if getattr(self._processor, "chat_template", None):
            self.form = "chat"
        elif self._network.config.model_type in _CONTINUING:
            self.form = "continuation"

    def caption(self, pictures: Sequence[Pixels], prompts: Sequence[str]) -> list[str]:
        """What the model says of each picture, its prompt cut off.

        Args:
            pictures: n of any size, uint8 (h, w, 3). prompts: n.
        """
        if self.form != "continuation":
            return self._generate(pictures, prompts)
        # A prompt that is gone on with must not be padded: its first token starts the sentence.
        answers = [""] * len(prompts)
        lengths = defaultdict(list)
        for row, prompt in enumerate(prompts):
            lengths[len(self._tokenizer(prompt)["input_ids"])].append(row)
        for rows in lengths.values():
            made = self._generate([pictures[row] for row in rows], [prompts[row] for row in rows])
            for row, answer in zip(rows, made, strict=True):
                answers[row] = answer
        return answers

    def _generate(self, pictures: Sequence[Pixels], prompts: Sequence[str]) -> list[str]:
        import torch

        inputs = self._inputs([Image.fromarray(pixels) for pixels in pictures], list(prompts))
        with torch.inference_mode():
            made = self._network.generate(**inputs, **GENERATION)
        given = inputs["input_ids"]
        length = given.shape[1]
        if made.shape[1] >= length and bool((made[:, :length] == given).all()):
            made = made[:, length:]
        answers = self._tokenizer.batch_decode(made, skip_special_tokens=True)
        return [_without(answer, prompt) for answer, prompt in zip(answers, prompts, strict=True)]

    def _inputs(self, images: list[Image.Image], prompts: list[str]) -> Any:
        if self.form == "chat":
            prompts = [
                self._processor.apply_chat_template(_dialogue(prompt), add_generation_prompt=True, tokenize=False)
                for prompt in prompts
            ]
        inputs = self._processor(images=images, text=prompts, padding=True, return_tensors="pt")
        # No captioner tells two kinds of text apart, but some tokenisers think so.
        inputs.pop("token_type_ids", None)
        if self._network.config.model_type == "git":
            # Its tokeniser closes the sentence, which the model is to go on with.
            for name in ("input_ids", "attention_mask"):
                inputs[name] = inputs[name][:, :-1]
        return inputs.to(self._network.device, self._network.dtype)


def _language(config: Any) -> Any:
    """Configuration of the part that writes."""
    return config if getattr(config, "is_encoder_decoder", False) else config.get_text_config()


def _dialogue(prompt: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]


def _without(answer: str, prompt: str) -> str:
    """An answer without the prompt that some models repeat, in their own spelling, before they go on."""
    answer, left = " ".join(answer.split()), "".join(filter(str.isalnum, prompt.lower()))
    at = 0
    for letter in left:
        while at < len(answer) and not answer[at].isalnum():
            at += 1
        if at == len(answer) or answer[at].lower() != letter:
            return answer
        at += 1
    return answer[at:].lstrip(" .:,")
