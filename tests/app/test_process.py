"""The real program in a process of its own: what leaves by its pipes, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import geopandas
import pytest


def _process(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "app.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def test_bytes_and_words_leave_by_stdout_alone(painted_index: Path) -> None:
    done = _process("search", painted_index, "red", "-k", 40, "--format", "geoparquet")
    assert done.returncode == 0
    assert len(geopandas.read_parquet(BytesIO(done.stdout))) == 32
    assert b"32 rows" in done.stderr


@pytest.mark.parametrize("format", ["table", "geojson", "geoparquet"])
def test_a_reader_that_leaves_early_is_no_error(painted_index: Path, format: str) -> None:
    command = f"{sys.executable} -m app.cli search '{painted_index}' red --no-tags -k 32 --format {format}"
    # A reader that has gone before anything is written.
    done = subprocess.run(["bash", "-c", f"{command} > >(exec true); echo $?"], capture_output=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"0\n", b"")


@pytest.mark.parametrize(
    "words", [("search", "INDEX", "red"), ("search", "INDEX", "red", "--format", "json"), ("info", "INDEX")]
)
def test_a_full_disk_is_one_sentence(painted_index: Path, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "app.cli", *(str(painted_index) if word == "INDEX" else word for word in words)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60)
    said = b"geoanchor: the result cannot be written to standard output: no space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_what_is_stopped_by_hand_says_so() -> None:
    """Ctrl+C while an index is being opened."""
    code = (
        "import signal, sys, threading; import app.wiring; from app.cli import main;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "app.wiring.open = lambda *_: (print('ready', flush=True), threading.Event().wait(60));"
        "main(['search', 'any.index', 'red'])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    said = b"geoanchor: stopped; an interrupted build goes on where it was when it is run again\n"
    assert (process.returncode, out, err) == (130, b"", said)


def test_failure_of_the_real_program() -> None:
    done = _process("search", "no.index", "red")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith("geoanchor: no.index: ")
    assert _process("--version").stdout.decode().startswith("geoanchor ")
