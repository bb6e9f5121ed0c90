"""The whole path through tiny random models of the real classes, saved to disk and opened by their folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_captioners

from geoanchor.errors import BadInput, OfflineError
from geoanchor.settings import Settings
from models import captioner
from models.captioner import ImageCaptioner

PICTURES = list(np.random.default_rng(0).integers(0, 255, (3, 48, 40, 3), np.uint8))
PROMPTS = ["describe the picture with road", "describe the picture", "describe the picture with road and river"]

KINDS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "instructblip over llama": (
        lambda folder: tiny_captioners.instructblip(folder, "llama"), "instruction", "InstructBlip"
    ),
    "instructblip over t5": (lambda folder: tiny_captioners.instructblip(folder, "t5"), "instruction", "InstructBlip"),
    "blip": (tiny_captioners.blip, "continuation", "Blip"),
    "git": (tiny_captioners.git, "continuation", "Git"),
    "llava": (tiny_captioners.llava, "chat", "Llava"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(captioner.GENERATION, "max_new_tokens", 8)


@pytest.mark.parametrize("kind", KINDS)
def test_each_class_answers_batches_without_repeating_the_prompt(kind: str, tmp_path: Path) -> None:
    make, form, name = KINDS[kind]
    make(tmp_path)
    model = ImageCaptioner(str(tmp_path), Settings(offline=True))
    assert model.form == form
    assert type(model._network).__name__.startswith(name)
    answers = model.caption(PICTURES, PROMPTS)
    assert len(answers) == 3
    assert any(answers)
    assert answers == model.caption(PICTURES, PROMPTS)
    for answer, prompt in zip(answers, PROMPTS, strict=True):
        assert not answer.startswith(prompt)
        assert len(answer) <= 80
    alone = [model.caption([picture], [prompt])[0] for picture, prompt in zip(PICTURES, PROMPTS, strict=True)]
    if form == "continuation":
        assert alone == answers
    else:
        assert alone[2] == answers[2]  # the longest prompt is never padded


def test_other_weights_have_another_fingerprint_wherever_they_lie(tmp_path: Path) -> None:
    import torch
    from transformers import BlipForConditionalGeneration

    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        tiny_captioners.blip(folder)
    one, same = (ImageCaptioner(str(folder), Settings(offline=True)).weights for folder in (first, second))
    assert one == same
    network = BlipForConditionalGeneration.from_pretrained(second)
    with torch.no_grad():
        network.text_decoder.cls.predictions.bias[0] += 0.5
    network.save_pretrained(second)
    assert ImageCaptioner(str(second), Settings(offline=True)).weights != one


def test_what_is_not_at_hand_is_said(tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match="someone/model"):
        ImageCaptioner("someone/model", Settings(offline=True, cache_dir=tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="image-to-text model"):
        ImageCaptioner(str(tmp_path), Settings(offline=True, cache_dir=tmp_path))


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ("An aerial picture of : a road", "a road"),
        ("an Aerial  picture, of", ""),
        ("a road by a river", "a road by a river"),
        ("an aerial pictures", "an aerial pictures"),
    ],
)
def test_a_repeated_prompt_is_cut(answer: str, left: str) -> None:
    assert captioner._without(answer, "an aerial picture of") == left
