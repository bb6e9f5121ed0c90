"""`geoanchor index` as the service starts it, with a model that takes its time: it can be stopped halfway."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from app import jobs

_PROGRAM = """
import runpy, signal, time
from models.toy import ToyEncoder

# As what a shell starts in the background.
signal.signal(signal.SIGINT, signal.SIG_IGN)
plain = ToyEncoder.encode

def slow(*args, **kwargs):
    time.sleep(0.5)
    return plain(*args, **kwargs)

ToyEncoder.encode = slow
runpy.run_module("app.cli", run_name="__main__")
"""


def take_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second a batch of 64 pictures, in every job that is started from here on."""
    plain = jobs.command

    def command(request: jobs.JobRequest, folder: Path, flags: Sequence[str]) -> Sequence[str]:
        interpreter, module, name, *words = plain(request, folder, flags)
        assert (module, name) == ("-m", "app.cli")
        return [interpreter, "-c", _PROGRAM, *words]

    monkeypatch.setattr(jobs, "command", command)
