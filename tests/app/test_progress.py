"""What is said of a job's progress and of the time that is left."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from app.commands import output


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that goes when it is told to."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(output.time, "monotonic", lambda: clock.now)
    return clock


def test_time_left_counts_from_the_first_step_and_not_from_what_came_before(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with output.progress_as("bar", "learning") as advance:
        clock.now += 300  # spent on other things, with nothing done
        for done in range(1, 22):
            advance(done, 101)
            clock.now += 1

    assert capsys.readouterr().err.splitlines() == ["learning: 2 of 101, 99 s left", "learning: 12 of 101, 89 s left"]


def test_where_the_end_is_not_known_only_what_is_done_is_told(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with output.progress_as("bar", "captioning") as advance:
        for done in range(1, 5):
            clock.now += 6
            advance(done, None)

    assert capsys.readouterr().err.splitlines() == ["captioning: 2", "captioning: 4"]


def test_what_an_earlier_build_had_done_is_no_pace(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress_as("json", "index") as advance:
        advance(500, 1000)
        clock.now += 10
        advance(600, 1000)

    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["eta_s"] for line in told] == [None, pytest.approx(40)]
