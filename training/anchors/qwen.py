"""Anchors by Qwen2.5-VL: it sees aerial picture and map, and answers in the schema's words (U-CSA section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from pydantic import BaseModel, ConfigDict

from geoanchor.image import Pixels
from geoanchor.settings import Settings
from models.pretrained import open_pretrained
from training.anchors.reply import PROMPT_VERSION, RULES, Reading, question, read_reply, unfit_words
from training.anchors.schema import Anchor, agreement, sentence
from training.memory import Memory, key_of

MIN_AGREEMENT = 9
"""A pair whose two sides agree in fewer attributes shows a map that is out of date: no anchor for training."""
REPAIRS = 3
"""Turns in which the model may mend its answer, before one try with some chance in it."""
_LAST_TEMPERATURE = 0.2
_MIN_PIXELS, _MAX_PIXELS = 256 * 28 * 28, 512 * 28 * 28
_NEW_TOKENS = 400

Message = dict[str, Any]
"""{"role", "content": [{"type": "image"} | {"type": "text", "text"}]}, as chat templates take it."""


class Generator(Protocol):
    """A vision-language model."""

    @property
    def name(self) -> str:
        """Which model; goes into the cache's key and the anchor's version."""

    def reply(self, messages: Sequence[Message], pictures: Sequence[Pixels], temperature: float) -> str:
        """The next turn of a dialogue; pictures in the order in which the messages name them. 0 takes no chances."""


class Outcome(BaseModel):
    """What came of asking about one pair: a valid reading, or none; and how many turns it took beyond the first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reading: Reading | None
    retries: int


class PairAnnotator:
    """Asks a model about pairs of pictures, and remembers every answer.

    Args:
        generator: the model. cache: folder of answers, one a pair.
    """

    def __init__(self, generator: Generator, cache: Path) -> None:
        self._generator = generator
        self._memory = Memory(cache, Outcome)

    def annotate(self, aerial: Pixels, map: Pixels, id: str, fallback: Callable[[], Anchor]) -> Anchor:
        """The anchor of one pair; what geometry says, as source "osm_fallback", where the model gives no valid answer.

        `metrics["agreement"]` tells how many attributes of the two sides are equal, see `usable`.
        """
        outcome = self._outcome(aerial, map)
        if outcome.reading is None:
            return fallback().model_copy(update={"source": "osm_fallback", "retries": outcome.retries})
        reading = outcome.reading
        plain = not unfit_words(reading.summary)
        return Anchor(
            id=id,
            attributes=reading.aerial,
            summary=reading.summary if plain else sentence(reading.aerial, id),
            source="qwen",
            annotator_version=f"prompt-{PROMPT_VERSION}.{self._generator.name}",
            metrics={"agreement": float(agreement(reading.aerial, reading.map))},
            retries=outcome.retries,
        )

    def _outcome(self, aerial: Pixels, map: Pixels) -> Outcome:
        key = key_of(aerial, map, PROMPT_VERSION, self._generator.name)
        outcome = self._memory.find(key)
        if outcome is None:
            outcome = self._ask((aerial, map))
            self._memory.keep(key, outcome)
        return outcome

    def _ask(self, pictures: Sequence[Pixels]) -> Outcome:
        messages = opening()
        best: Reading | None = None
        for turn in range(REPAIRS + 2):
            text = self._generator.reply(messages, pictures, _LAST_TEMPERATURE if turn > REPAIRS else 0.0)
            try:
                reading = read_reply(text)
            except ValueError as error:
                messages += _repair(text, f"That answer is not valid: {error}. Send the whole JSON object again.")
                continue
            unfit = unfit_words(reading.summary)
            if not unfit or best is not None or turn > REPAIRS:
                return Outcome(reading=reading, retries=turn)
            # Only its wording is to be mended: should that fail, it stands.
            best = reading
            messages += _repair(text, f"Say the summary without these words: {', '.join(unfit)}. Send all again.")
        return Outcome(reading=best, retries=REPAIRS + 1)


def usable(anchor: Anchor) -> bool:
    """Whether both sides of the pair agree well enough for the anchor to speak for both."""
    return anchor.metrics.get("agreement", MIN_AGREEMENT) >= MIN_AGREEMENT


def opening() -> list[Message]:
    """The dialogue's first two messages: the rules, then both pictures and the schema."""
    content = [
        _text("AERIAL:"), {"type": "image"}, _text("MAP:"), {"type": "image"}, _text(question())
    ]  # fmt: skip
    return [{"role": "system", "content": [_text(RULES)]}, {"role": "user", "content": content}]


def _repair(answer: str, request: str) -> list[Message]:
    return [{"role": "assistant", "content": [_text(answer)]}, {"role": "user", "content": [_text(request)]}]


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


class QwenGenerator:
    """Qwen2.5-VL through transformers, on the accelerator where there is one.

    Args and raises: as `models.pretrained.open_pretrained`.
    """

    def __init__(self, model: str, settings: Settings) -> None:
        from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

        self.name = model
        self._processor, self._network = open_pretrained(
            model, settings, AutoProcessor, Qwen2_5_VLForConditionalGeneration, "Qwen2.5-VL model",
            min_pixels=_MIN_PIXELS, max_pixels=_MAX_PIXELS,
        )  # fmt: skip

    def reply(self, messages: Sequence[Message], pictures: Sequence[Pixels], temperature: float) -> str:
        """The next turn; the same for the same dialogue, even at a temperature."""
        import torch

        text = self._processor.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
        images = [Image.fromarray(pixels) for pixels in pictures]
        inputs = self._processor(text=[text], images=images, return_tensors="pt").to(self._network.device)
        chance: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if temperature > 0:
            chance = {"do_sample": True, "temperature": temperature}
            torch.manual_seed(0)
        with torch.inference_mode():
            made = self._network.generate(**inputs, max_new_tokens=_NEW_TOKENS, **chance)
        new = made[:, inputs["input_ids"].shape[1] :]
        return str(self._processor.batch_decode(new, skip_special_tokens=True)[0])
