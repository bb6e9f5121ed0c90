"""Decisions that outlast kills, torn lines and two reviewers at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from geoanchor.change import Review
from geoanchor.errors import UsageError
from retrieval.reviews import FILE_NAME, Reviews

_APPEND = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from geoanchor.change import Review
from retrieval.reviews import Reviews
reviews = Reviews(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    name = f"{sys.argv[2]}{number}"
    reviews.add(Review(change=name, map_id="m", aerial_id="a" * 500, decision="reject", time=datetime.now(UTC)))
    if not number:
        print("ready", flush=True)
"""


def made(name: str, decision: str = "accept", note: str = "") -> Review:
    return Review(
        change=name, map_id=None, aerial_id="a", decision=decision, note=note, time=datetime(2024, 1, 2, tzinfo=UTC)
    )  # fmt: skip


def appender(folder: Path, prefix: str, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _APPEND, str(folder), prefix, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def test_what_is_added_is_read(tmp_path: Path) -> None:
    reviews = Reviews(tmp_path)
    assert (dict(reviews.latest()), reviews.damaged()) == ({}, 0)
    for review in (made("x"), made("y", note="a line\nand \u2028 more \x1e"), made("x", "reject")):
        reviews.add(review)
    assert list(reviews.latest().values()) == [made("y", note="a line\nand \u2028 more \x1e"), made("x", "reject")]
    assert reviews.damaged() == 0


def test_a_decision_taken_back_is_none_and_one_line_more(tmp_path: Path) -> None:
    reviews = Reviews(tmp_path)
    reviews.add(made("x"), made("y", "reject"))
    before = reviews.path.read_bytes()
    reviews.add(made("x", "open"))
    assert dict(reviews.latest()) == {"y": made("y", "reject")}
    assert reviews.path.read_bytes().startswith(before)
    assert reviews.path.read_bytes().count(b"\n") == 3
    assert reviews.damaged() == 0
    reviews.add(made("x", "reject"))
    assert list(reviews.latest()) == ["y", "x"]


def test_decisions_of_one_moment_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    Reviews(tmp_path).add(*(made(f"{number}") for number in range(5)))
    assert list(Reviews(tmp_path).latest()) == ["0", "1", "2", "3", "4"]
    assert len(synced) == 1


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"reviews\.jsonl: cannot be written"):
        Reviews(tmp_path / "gone").add(made("x"))


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_line_is_passed_over_and_the_next_is_whole(tmp_path: Path, cut: int) -> None:
    reviews = Reviews(tmp_path)
    reviews.add(made("x"))
    reviews.add(made("y"))
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-cut])
    # Only the line's end missing loses nothing.
    assert list(reviews.latest()) == (["x", "y"] if cut == 1 else ["x"])
    reviews.add(made("z"))
    assert list(reviews.latest()) == (["x", "y", "z"] if cut == 1 else ["x", "z"])
    assert reviews.damaged() == (0 if cut == 1 else 1)


def test_a_killed_reviewer_leaves_a_readable_file(tmp_path: Path) -> None:
    with appender(tmp_path, "k", 100_000) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
    reviews = Reviews(tmp_path)
    known = list(reviews.latest())
    assert known == [f"k{number}" for number in range(len(known))]
    assert len(known) >= 1
    assert reviews.damaged() <= 1
    reviews.add(made("after"))
    assert list(reviews.latest())[-1] == "after"


def test_two_reviewers_at_once_do_not_mix(tmp_path: Path) -> None:
    with appender(tmp_path, "a", 60) as one, appender(tmp_path, "b", 60) as other:
        assert (one.wait(60), other.wait(60)) == (0, 0)
    reviews = Reviews(tmp_path)
    assert set(reviews.latest()) == {f"{who}{number}" for who in "ab" for number in range(60)}
    assert reviews.damaged() == 0
