"""Evaluation that others can repeat: recall@k of texts and pictures, maps and aerial pictures, with chance beside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from geoanchor.errors import BadInput, UnsupportedModality, UsageError
from geoanchor.image import Pixels
from geoanchor.picture import read_rgb
from geoanchor.protocols import Encoder, Vectors
from geoanchor.space import Modality
from retrieval import metrics
from training.datasets import Captioned, Pair, Pictures

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are."""
_Name = TypeVar("_Name", str, Path)
_TIE_RULE = "expected recall under random tie-breaking"


def silent(_done: int, _total: int) -> None:
    """Progress that goes nowhere."""


def evaluate_retrieval(
    encoder: Encoder,
    pictures: Pictures,
    captioned: Sequence[Captioned],
    *,
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Text-to-image and image-to-text recall with c captions an image (methods 0.3, 0.4), in percent.

    Image-to-text counts an image when any of its own captions is among the k best; text-to-image counts each caption.
    `text_equivalent` also accepts an image that carries the very same caption (`normalised`).
    Pictures that cannot be read are left out and counted in `skipped`. Intervals are 95 % bootstrap over images.
    """
    space = shared_space(encoder, "aerial", "text")
    captions_of = {item.image: item.captions for item in captioned}
    names = list(captions_of)
    images, kept = _encode_readable(encoder, names, pictures.read, "aerial", space, batch_size, progress)
    texts = [text for name in kept for text in captions_of[name]]
    owner = np.repeat(np.arange(len(kept)), [len(captions_of[name]) for name in kept])
    captions = encode_texts(encoder, texts, space)
    own_captions = [np.flatnonzero(owner == image) for image in range(len(kept))]
    own_image = [np.asarray([image], np.int64) for image in owner]
    to_image = metrics.hits_of_vectors(captions, images, own_image)
    to_text = metrics.hits_of_vectors(images, captions, own_captions)
    equivalent = metrics.hits_of_vectors(captions, images, _same_text(texts, owner))
    result: dict[str, Any] = {
        "text_to_image": metrics.percent(to_image),
        "image_to_text": metrics.percent(to_text),
        "mean_recall": round(50 * float(to_image.mean() + to_text.mean()), 2),
        "images": len(kept),
        "captions": len(texts),
        "text_equivalent": {"text_to_image": metrics.percent(equivalent)},
        "chance": {
            "text_to_image": metrics.chance(own_image, len(kept)),
            "image_to_text": metrics.chance(own_captions, len(texts)),
        },
        "intervals": {
            "text_to_image": _intervals(to_image, owner, seed),
            "image_to_text": _intervals(to_text, None, seed),
        },
        "skipped": len(names) - len(kept),
    }
    return result | _protocol(encoder, space, seed)


def evaluate_map_to_aerial(
    encoder: Encoder,
    pairs: Sequence[Pair],
    *,
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Recall of the aerial picture by its map and back over the label-1 pairs, in percent.

    Pictures that occur in several pairs are one gallery item with several right answers. Unreadable ones are left out
    together with their pairs and counted in `skipped`.
    """
    space = shared_space(encoder, "aerial", "map")
    same = [pair for pair in pairs if pair.label == 1]
    if not same:
        raise UsageError("none of the pairs has label 1, so there is nothing to retrieve")
    aerial, maps, kept = _encode_pairs(encoder, same, space, batch_size, progress)
    aerial_of = _positions([pair.aerial for pair in kept])
    map_of = _positions([pair.map for pair in kept])
    aerial_right, map_right = _matches(map_of, aerial_of), _matches(aerial_of, map_of)
    to_aerial = metrics.hits_of_vectors(maps, aerial, aerial_right)
    to_map = metrics.hits_of_vectors(aerial, maps, map_right)
    result: dict[str, Any] = {
        "map_to_aerial": metrics.percent(to_aerial),
        "aerial_to_map": metrics.percent(to_map),
        "pairs": len(kept),
        "chance": {
            "map_to_aerial": metrics.chance(aerial_right, len(aerial)),
            "aerial_to_map": metrics.chance(map_right, len(maps)),
        },
        "intervals": {
            "map_to_aerial": _intervals(to_aerial, None, seed),
            "aerial_to_map": _intervals(to_map, None, seed),
        },
        "skipped": len(same) - len(kept),
    }
    return result | _protocol(encoder, space, seed)


def evaluate_matching(
    encoder: Encoder,
    pairs: Sequence[Pair],
    *,
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """AUROC and F1 (0..1) of "same place, unchanged" by the similarity of the two pictures' vectors.

    The threshold is cross-fitted: each half of the pairs (drawn by hash of their names, within each label) is judged
    with the threshold that is best on the other half; the mean of the two is reported. Raises UsageError when a label
    has fewer than two pairs.
    """
    space = shared_space(encoder, "aerial", "map")
    aerial, maps, kept = _encode_pairs(encoder, pairs, space, batch_size, progress)
    rows = _positions([pair.aerial for pair in kept]), _positions([pair.map for pair in kept])
    scores = np.einsum("nd,nd->n", aerial[rows[0]], maps[rows[1]]).astype(np.float64)
    positive = np.asarray([pair.label == 1 for pair in kept])
    if min(positive.sum(), (~positive).sum()) < 2:
        raise UsageError("matching needs two pairs or more of each label, 1 (same) and 0 (changed or another place)")
    half = _halves(kept, positive)
    thresholds = [metrics.best_threshold(scores[half != side], positive[half != side]) for side in (0, 1)]
    predicted = scores - np.where(half == 0, thresholds[0], thresholds[1])
    result: dict[str, Any] = {
        "auroc": round(metrics.auroc(scores, positive), 4),
        "f1": round(metrics.f1(predicted, positive, 0.0), 4),
        "threshold": round(float(np.mean(thresholds)), 6),
        "pairs": len(kept),
        "skipped": len(pairs) - len(kept),
    }
    return result | _protocol(encoder, space, seed)


def shared_space(encoder: Encoder, first: Modality, second: Modality) -> str:
    """Name of the encoder's first space that knows both modalities. Raises UnsupportedModality."""
    for name, space in encoder.spaces.items():
        if {first, second} <= set(space.modalities):
            return name
    raise UnsupportedModality(f"model {encoder.name!r} has no space that holds both {first} and {second}")


def encode_texts(encoder: Encoder, texts: Sequence[str], space: str) -> Vectors:
    """Query vectors (n, d) of texts; equal texts are encoded once."""
    unique = list(dict.fromkeys(texts))
    position = {text: row for row, text in enumerate(unique)}
    vectors = encoder.encode(unique, "text", "query")[space]
    return vectors[[position[text] for text in texts]]


def encode_pictures(
    encoder: Encoder, pictures: Iterable[Pixels], modality: Modality, space: str, batch_size: int
) -> Vectors:
    """Gallery vectors (n, d) of pictures of any size, a batch at a time."""
    blocks: list[Vectors] = []
    batch: list[Pixels] = []
    for pixels in pictures:
        batch.append(encoder.prepare(pixels, modality))
        if len(batch) == batch_size:
            blocks.append(encoder.encode(batch, modality)[space])
            batch = []
    if batch:
        blocks.append(encoder.encode(batch, modality)[space])
    return np.concatenate(blocks) if blocks else np.zeros((0, encoder.spaces[space].dim), np.float32)


def _encode_readable(
    encoder: Encoder,
    names: Sequence[_Name],
    read: Callable[[_Name], Pixels],
    modality: Modality,
    space: str,
    batch_size: int,
    progress: Progress,
) -> tuple[Vectors, list[_Name]]:
    """Vectors of the pictures that could be read, and their names in the same order."""
    kept: list[_Name] = []

    def readable() -> Iterable[Pixels]:
        for done, name in enumerate(names):
            progress(done, len(names))
            try:
                pixels = read(name)
            except (BadInput, OSError):
                continue
            kept.append(name)
            yield pixels

    vectors = encode_pictures(encoder, readable(), modality, space, batch_size)
    if not kept:
        raise UsageError(f"none of the {len(names)} {modality} pictures could be read")
    return vectors, kept


def _encode_pairs(
    encoder: Encoder, pairs: Sequence[Pair], space: str, batch_size: int, progress: Progress
) -> tuple[Vectors, Vectors, list[Pair]]:
    """Vectors of the distinct aerial and map pictures, in order of first use, and the pairs that could be read."""

    def encoded(paths: list[Path], modality: Modality) -> tuple[Vectors, list[Path]]:
        return _encode_readable(encoder, paths, _read_file, modality, space, batch_size, progress)

    aerial, aerial_paths = encoded(list(dict.fromkeys(pair.aerial for pair in pairs)), "aerial")
    maps, map_paths = encoded(list(dict.fromkeys(pair.map for pair in pairs)), "map")
    aerial_row = {path: row for row, path in enumerate(aerial_paths)}
    map_row = {path: row for row, path in enumerate(map_paths)}
    kept = [pair for pair in pairs if pair.aerial in aerial_row and pair.map in map_row]
    if not kept:
        raise UsageError("no pair has both its pictures readable")
    aerial = aerial[[aerial_row[path] for path in dict.fromkeys(pair.aerial for pair in kept)]]
    maps = maps[[map_row[path] for path in dict.fromkeys(pair.map for pair in kept)]]
    return aerial, maps, kept


def _read_file(path: Path) -> Pixels:
    return read_rgb(path.read_bytes(), str(path))


def _positions(paths: Sequence[Path]) -> NDArray[np.int64]:
    order = {path: row for row, path in enumerate(dict.fromkeys(paths))}
    return np.asarray([order[path] for path in paths], np.int64)


def _matches(query_of: NDArray[np.int64], gallery_of: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [np.unique(gallery_of[query_of == query]) for query in range(int(query_of.max()) + 1)]


def _same_text(texts: Sequence[str], owner: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    owners: dict[str, list[int]] = {}
    for text, image in zip(texts, owner, strict=True):
        owners.setdefault(normalised(text), []).append(int(image))
    return [np.unique(np.asarray(owners[normalised(text)], np.int64)) for text in texts]


def normalised(text: str) -> str:
    """Lower case, full stops removed, white space folded (methods 2.5)."""
    return " ".join(text.lower().replace(".", " ").split())


def _intervals(hits: NDArray[np.float64], groups: NDArray[np.int64] | None, seed: int) -> dict[str, list[float]]:
    return {
        f"R@{k}": [round(100 * end, 2) for end in metrics.interval(hits[:, column], groups, seed)]
        for column, k in enumerate(metrics.KS)
    }


def _halves(pairs: Sequence[Pair], positive: NDArray[np.bool_]) -> NDArray[np.int64]:
    """0 or 1 for each pair; each label is split evenly, whatever the order of the file."""
    digests = [hashlib.sha256(f"{pair.aerial.name}|{pair.map.name}".encode()).hexdigest() for pair in pairs]
    order = sorted(range(len(pairs)), key=lambda row: (positive[row], digests[row]))
    half = np.zeros(len(pairs), np.int64)
    half[order] = np.arange(len(pairs)) % 2
    return half


def _protocol(encoder: Encoder, space: str, seed: int) -> dict[str, Any]:
    return {
        "model": encoder.name,
        "space": space,
        "fingerprint": encoder.spaces[space].fingerprint,
        "ties": _TIE_RULE,
        "seed": seed,
    }
