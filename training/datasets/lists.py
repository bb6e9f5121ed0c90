"""Captions one a line beside the names of their pictures, as AMFMN, GaLR and UrbanCross keep them."""

from __future__ import annotations

import re
from pathlib import Path

from geoanchor.errors import UsageError
from training.datasets.captioned import Captioned, merged

_NAME = re.compile(r"(?P<split>[^_]+)_caps(?P<verified>_verify)?\.txt")
_BYTES = re.compile(r"""b(['"])(.*)\1""")
"""How Python 2's successors wrote a line that they had read as bytes."""


def is_captions_list(path: Path) -> bool:
    """Whether a file is named like a list of captions: "test_caps.txt", "train_caps_verify.txt"."""
    return _NAME.fullmatch(path.name) is not None


def read_lists(folder: Path) -> list[Captioned]:
    """Every split of a folder; "train_caps_verify.txt" (train without validation) goes before "train_caps.txt".

    Raises UsageError when there are none or one does not fit its names.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*_caps*.txt")):
        if found := _NAME.fullmatch(path.name):
            files[found["split"]] = path
    if not files:
        raise UsageError(f"{folder}: holds no lists of captions such as test_caps.txt with test_filename.txt")
    return [item for path in files.values() for item in read_list(path)]


def read_list(path: Path) -> list[Captioned]:
    """Items of one list; the names stand beside it, one for each caption or one for each equal run of captions.

    Raises UsageError when the names are missing or their number does not fit.
    """
    named = path.with_name(path.name.replace("_caps", "_filename"))
    captions, names = _lines(path), _lines(named)
    if not names or len(captions) % len(names):
        raise UsageError(
            f"{path}: has {len(captions)} captions, which {len(names)} names in {named.name} do not divide"
        )
    each = len(captions) // len(names)
    split = path.name.partition("_")[0]
    items = [
        Captioned(image=name, captions=own, split=split)
        for row, name in enumerate(names)
        if (own := tuple(text for text in captions[row * each : (row + 1) * each] if text))
    ]
    return merged(items, path)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8", errors="replace").split("\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); captions and names belong together") from error
    while lines and not lines[-1].strip():
        lines.pop()
    return [_plain(line.strip()) for line in lines]


def _plain(line: str) -> str:
    found = _BYTES.fullmatch(line)
    return found[2] if found else line
