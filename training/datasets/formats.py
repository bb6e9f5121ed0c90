"""Which format a captions file is in, told by what is in it."""

from __future__ import annotations

from pathlib import Path

from geoanchor.errors import UsageError
from training.datasets.captioned import Captioned, merged
from training.datasets.lists import is_captions_list, read_list, read_lists
from training.datasets.records import read_json
from training.datasets.split import of_split
from training.datasets.table import read_table

KNOWN = (
    'a JSON list of {"image", "captions"}, a JSON object {"images": [{"filename", "split", "sentences"}]}, '
    "a CSV with a column of pictures and one of captions, or lists such as test_caps.txt with test_filename.txt"
)


def read_captions(path: Path, split: str | None = None) -> list[Captioned]:
    """Captioned pictures of a file or a folder of caption lists, each picture once, of one split or all.

    Args:
        path: our own JSON list, a Karpathy JSON (RSICD, RSITMD, UCM-Captions, Sydney), a CSV or TSV (SkyScript,
            UrbanCross; with train_list.txt, ... beside it these say the splits), a "..._caps.txt" or its folder.
        split: as `training.datasets.split.of_split` reads it.

    Raises UsageError when the format is not known, the file is damaged, or it holds nothing of that split.
    """
    return of_split(merged(_read(path), path), split, path)


def _read(path: Path) -> list[Captioned]:
    if path.is_dir():
        return read_lists(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot read captions ({error.strerror})") from error
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
        return read_json(data, path)
    if is_captions_list(path):
        return read_list(path)
    items = read_table(data, path)
    if items is None:
        raise UsageError(f"{path}: not a list of captions in a format that is known: {KNOWN}")
    return items
