"""Captioned pictures kept as arrays: pixels, sentence vectors, kinds of scene."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

import numpy as np

from geoanchor.image import Pixels
from geoanchor.protocols import Vectors
from models.text import SentenceEncoder
from training.data import shrunk
from training.datasets import Pictures, read_captions
from training.datasets.split import bucket
from training.runlog import Log
from training.scenes.recipe import Scenes

Part = Literal["train", "validation"]


def part_of(name: str) -> Part:
    """Which part a picture is of: SHA-256 of its name modulo ten, 0 is for judging alone."""
    return "train" if bucket(name, 10) else "validation"


def cache_scenes(scenes: Scenes, folder: Path, log: Log) -> None:
    """Read and shrink every picture once; nothing where the folder is there already.

    Raises UsageError when pictures or captions are not there, BadInput when a picture cannot be read.
    """
    if folder.is_dir():
        return
    listed = read_captions(scenes.captions)
    pictures = Pictures(scenes.pictures)
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    for part in ("train", "validation"):
        (partial / part).mkdir(parents=True)
        own = [item for item in listed if part_of(item.image) == part][: scenes.limit or None]
        pixels = np.stack([shrunk(pictures.read(item.image), scenes.cache_px) for item in own])
        texts = list(dict.fromkeys(text for item in own for text in item.captions))
        np.save(partial / part / "pixels.npy", pixels)
        np.save(partial / part / "sentences.npy", SentenceEncoder().encode(texts).astype(np.float16))
        facts = {
            "names": [item.image for item in own],
            "kinds": [item.scene or "" for item in own],
            "captions": [item.captions for item in own],
            "texts": texts,
        }
        (partial / part / "words.json").write_text(json.dumps(facts), "utf-8")
        log(f"kept {len(own)} pictures with {len(texts)} captions for {part}")
    partial.rename(folder)


class ScenePictures:
    """One part of a cache.

    Attributes:
        pixels: (n, size, size, 3) uint8, memory-mapped. sentences: (t, 384) unit vectors of the distinct captions.
        captions: for each picture the rows of its captions. mean: (n, 384) unit vectors of their sums.
        kinds: names of the scenes; kind: (n,) number of each picture's.
    """

    def __init__(self, folder: Path, part: Part) -> None:
        facts = json.loads((folder / part / "words.json").read_text("utf-8"))
        row = {text: number for number, text in enumerate(facts["texts"])}
        self.names: list[str] = facts["names"]
        self.pixels: Pixels = np.load(folder / part / "pixels.npy", mmap_mode="r")
        self.sentences: Vectors = np.load(folder / part / "sentences.npy").astype(np.float32)
        self.captions = [np.array([row[text] for text in own]) for own in facts["captions"]]
        self.kinds = sorted(set(facts["kinds"]))
        self.kind = np.array([self.kinds.index(kind) for kind in facts["kinds"]])
        sums = np.stack([self.sentences[own].sum(axis=0) for own in self.captions])
        self.mean: Vectors = sums / np.linalg.norm(sums, axis=1, keepdims=True)

    def __len__(self) -> int:
        return len(self.names)
