"""What reviewers decided: one JSON line each in `reviews.jsonl` of the index folder, only ever appended.

A decision that was taken back stays in the file, with a later line that says so. Decisions of one moment are one write,
so that two reviewers do not mix theirs and a build may run meanwhile. A line cut off by a kill is passed over, and the
next one begins on a line of its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from geoanchor.change import Review
from geoanchor.errors import UsageError

FILE_NAME = "reviews.jsonl"


class Reviews:
    """The decisions kept in an index folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def add(self, *reviews: Review) -> None:
        """Keep decisions; a later one on the same change counts instead of it.

        Raises UsageError where the file cannot be written.
        """
        lines = b"".join(review.model_dump_json().encode() + b"\n" for review in reviews)
        try:
            with open(self.path, "a+b", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                torn = size and os.pread(file.fileno(), 1, size - 1) != b"\n"
                lines = b"\n" + lines if torn else lines
                if (file.write(lines) or 0) < len(lines):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written ({error.strerror})") from error

    def latest(self) -> Mapping[str, Review]:
        """Change id -> the last decision on it, in the order of decisions, without those that were taken back."""
        found: dict[str, Review] = {}
        for review in self._read()[0]:
            found.pop(review.change, None)
            if review.decision != "open":
                found[review.change] = review
        return found

    def damaged(self) -> int:
        """Lines that cannot be read."""
        return self._read()[1]

    def _read(self) -> tuple[list[Review], int]:
        if not self.path.is_file():
            return [], 0
        reviews, damaged = [], 0
        for line in self.path.read_bytes().splitlines():
            try:
                reviews.append(Review.model_validate_json(line))
            except ValueError:
                damaged += bool(line.strip())
        return reviews, damaged
