"""Captions of many pictures: asked for in batches, remembered, judged; the best of each picture kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from geoanchor.errors import BadInput, OnBad
from geoanchor.image import Pixels
from geoanchor.protocols import Encoder, Vectors
from models.captioner import GENERATION, Form
from training.captions.prompts import Prompt
from training.captions.quality import Quality, is_sentence, judge
from training.captions.subjects import Subject
from training.encoding import shared_space
from training.memory import Memory, key_of

TEMPLATES = "templates"
"""Who wrote a caption that no model did."""


class Captioner(Protocol):
    """What says of pictures what they show; `models.captioner.ImageCaptioner` is one."""

    @property
    def name(self) -> str:
        """Which model."""

    @property
    def weights(self) -> str:
        """What tells its weights from others'."""

    @property
    def form(self) -> Form:
        """How it is spoken to."""

    def caption(self, pictures: Sequence[Pixels], prompts: Sequence[str]) -> list[str]:
        """What it says of each of n pictures, each with its own prompt."""


class Answer(BaseModel):
    """What a model said, kept on disk; "" where it failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """The captions of one picture, best first.

    Attributes:
        by: "templates" or the model. prompt: name of the variant that was best, "" for templates. quality: of the
            first caption.
        variants: quality by prompt of all that the model said, also of what was not kept.
    """

    subject: Subject
    captions: tuple[str, ...]
    by: str
    prompt: str
    quality: Quality
    variants: dict[str, Quality]


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """How a model is asked.

    Attributes:
        prompts: variants, all put to each picture. memory: what was answered before. batch_size: pictures at once.
    """

    captioner: Captioner
    prompts: tuple[Prompt, ...]
    memory: Memory[Answer]
    batch_size: int = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """A picture, what was said of it by prompt, and its vector where an encoder judges."""

    subject: Subject
    texts: dict[str, str]
    vector: Vectors | None


def write_templates(subjects: Iterable[Subject], on_bad: OnBad) -> list[Written]:
    """Captions from tags alone; no picture is read."""
    written = []
    for subject in subjects:
        if subject.texts:
            written.append(_by_templates(subject))
        else:
            on_bad(BadInput(subject.name, "nothing is known of its ground; name vectors, or a model that looks"))
    return written


def write_captions(
    subjects: Iterable[Subject], asking: Asking, encoder: Encoder | None, on_bad: OnBad, advance: Callable[[int], None]
) -> list[Written]:
    """Captions by a model, those from tags where it fails.

    Each picture is asked about with every prompt that fits it; of the answers the one that is judged best is kept.

    Args:
        encoder: also judges how well a caption suits its picture, compared with the others of this run; may be None.
        advance: told how many pictures are done.
    """
    said: list[_Said] = []
    pending = iter(subjects)
    while batch := list(islice(pending, asking.batch_size)):
        said += _asked(batch, asking, encoder, on_bad)
        advance(len(said))
    likeness = _likeness(said, encoder) if encoder is not None else {}
    written = []
    for number, item in enumerate(said):
        judged = {
            name: judge(text, item.subject.tags, likeness.get((number, name))) for name, text in item.texts.items()
        }
        best = max(judged, key=lambda name: judged[name].score, default=None)
        if best is not None:
            captions = (item.texts[best],)
            written.append(Written(item.subject, captions, asking.captioner.name, best, judged[best], judged))
        elif item.subject.texts:
            written.append(_by_templates(item.subject))
        else:
            on_bad(BadInput(item.subject.name, "the model said nothing of use, and nothing is known of its ground"))
    return written


def _by_templates(subject: Subject) -> Written:
    quality = judge(subject.texts[0], subject.tags)
    return Written(subject, subject.texts, TEMPLATES, "", quality, {})


def _asked(batch: Sequence[Subject], asking: Asking, encoder: Encoder | None, on_bad: OnBad) -> Iterator[_Said]:
    """All that the model says of a batch of pictures; those that cannot be read are left out."""
    pictures: list[tuple[Subject, Pixels]] = []
    for subject in batch:
        try:
            pictures.append((subject, subject.read()))
        except BadInput as bad:
            on_bad(bad)
    texts: list[dict[str, str]] = [{} for _ in pictures]
    for prompt in asking.prompts:
        rows = [n for n, (subject, _) in enumerate(pictures) if subject.tags or not prompt.needs_tags]
        for row, text in zip(rows, _answers([pictures[n] for n in rows], prompt, asking), strict=True):
            if is_sentence(text):
                texts[row][prompt.name] = text
    for (subject, pixels), own in zip(pictures, texts, strict=True):
        vector = None
        if encoder is not None:
            space = shared_space(encoder, subject.layer, "text")
            vector = encoder.encode([encoder.prepare(pixels, subject.layer)], subject.layer, "gallery")[space][0]
        yield _Said(subject, own, vector)


def _answers(pictures: Sequence[tuple[Subject, Pixels]], prompt: Prompt, asking: Asking) -> list[str]:
    """Captions of pictures by one prompt, from memory where they were asked for before."""
    words = [prompt.words(subject.tags) for subject, _ in pictures]
    who = f"{asking.captioner.weights} {sorted(GENERATION.items())}"
    keys = [key_of(pixels, asked, who) for (_, pixels), (asked, _) in zip(pictures, words, strict=True)]
    known = [asking.memory.find(key) for key in keys]
    new = [n for n, answer in enumerate(known) if answer is None]
    made = _generated(asking.captioner, [pictures[n][1] for n in new], [words[n][0] for n in new])
    texts = [answer.text if answer else "" for answer in known]
    for row, text in zip(new, made, strict=True):
        if text is not None:
            texts[row] = text
            asking.memory.keep(keys[row], Answer(text=text))
    return [f"{begun} {text}".strip() if text else "" for (_, begun), text in zip(words, texts, strict=True)]


def _generated(captioner: Captioner, pictures: Sequence[Pixels], prompts: Sequence[str]) -> list[str | None]:
    """What the model says; None, which is not remembered, of a picture that it fails on even alone."""
    if not pictures:
        return []
    try:
        return list(captioner.caption(pictures, prompts))
    except (RuntimeError, ValueError, IndexError):  # out of memory, or an input that the model cannot take
        if len(pictures) == 1:
            return [None]
    half = len(pictures) // 2
    first = _generated(captioner, pictures[:half], prompts[:half])
    return first + _generated(captioner, pictures[half:], prompts[half:])


def _likeness(said: Sequence[_Said], encoder: Encoder) -> dict[tuple[int, str], float]:
    """How well each text suits its picture, 0..1: where its cosine stands among those of the whole run."""
    pairs = [(number, name, text) for number, item in enumerate(said) for name, text in item.texts.items()]
    if not pairs:
        return {}
    space = shared_space(encoder, said[0].subject.layer, "text")
    vectors = encoder.encode([text for _, _, text in pairs], "text", "query")[space]
    pictures = np.stack([vector for number, _, _ in pairs if (vector := said[number].vector) is not None])
    cosines = np.einsum("nd,nd->n", vectors, pictures)
    spread = float(cosines.std()) or 1.0
    standard = (cosines - cosines.mean()) / spread
    return {
        (number, name): 0.5 * (1.0 + math.erf(float(value) / math.sqrt(2.0)))
        for (number, name, _), value in zip(pairs, standard, strict=True)
    }
