"""Indexing asked for over REST: one `geoanchor index` at a time, in a process of its own that can be killed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.access import Access
from app.allowed import allowed_source, offered
from app.handlers import Forbidden, NotFound
from geoanchor.errors import IndexLocked, UsageError
from geoanchor.image import Layer

FILE_NAME = "job.json"
"""In the index folder while a job is unfinished, so that it can be taken up after the service was stopped."""
_KEPT = 50
_GRACE_S = 15.0
_LONGEST_LINE = 500
_LINES = 4
"""Of what a build says in the end."""

State = Literal["running", "stopped", "failed", "done"]
Degrees = Annotated[float, Field(ge=-180, le=180)]


class JobRequest(BaseModel):
    """What to index.

    Attributes:
        source: city:SEED, service:NAME, or a file or folder in an allowed folder.
        layer, zoom, within (west, south, east, north, degrees), style: as of `geoanchor index`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str = Field(min_length=1, max_length=2000)
    layer: Layer | None = None
    zoom: int | None = Field(default=None, ge=0, le=24)
    within: tuple[Degrees, Degrees, Degrees, Degrees] | None = None
    style: Literal["standard", "light", "google", "dark"] = "standard"


class Job(BaseModel):
    """A job and how far it is.

    Attributes:
        done, total: pictures; eta_s: seconds left, None while that cannot be told.
        message: what the build says: last, or its result in the end, or why it failed.
    """

    id: str
    request: JobRequest
    state: State
    done: int = 0
    total: int = 0
    eta_s: float | None = None
    elapsed_s: float = 0.0
    started: datetime
    message: str = ""


class JobRunner:
    """Runs the jobs of one index folder.

    Args:
        folder: of the index. access: whether, and from where, anything may be indexed.
        offline: whether jobs, too, never open a connection to another machine.
    """

    def __init__(self, folder: Path, access: Access, offline: bool = False) -> None:
        self._folder = folder.resolve()
        self._access = access
        self._flags = ("--offline",) * offline + ((f"--config={access.config.resolve()}",) if access.config else ())
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        if access.indexing and (left := _unfinished(self._folder / FILE_NAME)):
            self._runs["1"] = _Run("1", left, self._folder, self._flags)

    @property
    def allowed(self) -> bool:
        """Whether the service was started with --allow-indexing."""
        return self._access.indexing

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders from which may be indexed."""
        return self._access.folders

    @property
    def sources(self) -> list[str]:
        """What lies in those folders, to choose from."""
        return offered(self._access.folders)

    def start(self, request: JobRequest) -> Job:
        """Begin a job. Raises Forbidden, IndexLocked while another one runs."""
        self._require()
        request = request.model_copy(update={"source": allowed_source(request.source, self._access.folders)})
        with self._lock:
            self._require_idle()
            for old in list(self._runs)[: max(0, len(self._runs) - _KEPT + 1)]:
                del self._runs[old]
            name = str(max(map(int, self._runs), default=0) + 1)
            run = _Run(name, request, self._folder, self._flags)
            run.start()
            self._runs[name] = run
        return run.job()

    def resume(self, name: str) -> Job:
        """Go on with a job that was stopped or failed."""
        self._require()
        run = self._run(name)
        with self._lock:
            self._require_idle()
            if run.state == "done":
                raise UsageError(f"job {name} is done already")
            allowed_source(run.request.source, self._access.folders)
            run.start()
        return run.job()

    def cancel(self, name: str) -> Job:
        """Stop a job; what is in the index stays, and `resume` goes on from there."""
        self._require()
        run = self._run(name)
        run.stop()
        return run.job()

    def get(self, name: str) -> Job:
        """A job. Raises NotFound."""
        return self._run(name).job()

    def all(self) -> list[Job]:
        """All jobs, newest first."""
        return [run.job() for run in reversed(list(self._runs.values()))]

    def close(self) -> None:
        """Stop whatever runs."""
        for run in list(self._runs.values()):
            run.stop()

    def _require(self) -> None:
        if not self._access.indexing:
            raise Forbidden("this service only searches: start it with --allow-indexing to index from here")

    def _require_idle(self) -> None:
        for run in self._runs.values():
            if run.state == "running":
                raise IndexLocked(f"job {run.name} is running; wait until it is done, or cancel it")

    def _run(self, name: str) -> _Run:
        if name not in self._runs:
            raise NotFound(f"no job {name!r}")
        return self._runs[name]


class _Run:
    """One job's process, and what it said."""

    def __init__(self, name: str, request: JobRequest, folder: Path, flags: Sequence[str]) -> None:
        self.name = name
        self.request = request
        self._flags = flags
        self.state: State = "stopped"
        self._folder = folder
        self._file = folder / FILE_NAME
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._stopped = False
        self._facts: dict[str, float] = {}
        self._said: deque[str] = deque(maxlen=_LINES)
        self._started, self._since, self._elapsed_s = datetime.now(UTC), time.monotonic(), 0.0

    def start(self) -> None:
        """Raises UsageError where the process cannot be started; what the run says of itself is then as before."""
        partial = self._file.with_suffix(".part")
        try:
            partial.write_text(self.request.model_dump_json(), "utf-8")
            partial.replace(self._file)
            self._process = subprocess.Popen(
                command(self.request, self._folder, self._flags), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise UsageError(f"{self._folder}: no job can be started ({error.strerror})") from error
        self.state, self._stopped, self._said, self._facts = "running", False, deque(maxlen=_LINES), {}
        self._started, self._since = datetime.now(UTC), time.monotonic()
        self._reader = threading.Thread(target=self._read, args=(self._process,), name=f"job {self.name}", daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End the process, which the index survives at any moment; killed when it takes too long.

        Not as Ctrl+C does: what a shell starts in the background, and its children, may be deaf to that.
        """
        process, reader = self._process, self._reader
        if self.state != "running" or process is None or reader is None:
            return
        self._stopped = True
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
        reader.join(_GRACE_S)

    def job(self) -> Job:
        running = self.state == "running"
        elapsed = time.monotonic() - self._since if running else self._elapsed_s
        eta = self._facts.get("eta_s") if running and self._facts.get("done") else None
        return Job(
            id=self.name, request=self.request, state=self.state, done=int(self._facts.get("done", 0)),
            total=int(self._facts.get("total", 0)), eta_s=eta, elapsed_s=round(elapsed, 1), started=self._started,
            message="; ".join(self._said if self.state == "done" else list(self._said)[-1:]),
        )  # fmt: skip

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if facts := _facts(line):
                self._facts = facts
            elif line.strip():
                self._said.append(line.strip()[:_LONGEST_LINE])
        code = process.wait()
        process.stdout.close()
        self._elapsed_s = time.monotonic() - self._since
        if code == 0:
            self._file.unlink(missing_ok=True)
        self.state = "done" if code == 0 else "stopped" if self._stopped else "failed"


def command(request: JobRequest, folder: Path, flags: Sequence[str] = ()) -> Sequence[str]:
    """The command line of a job, with the service's own flags; nothing of a request can be taken for an option."""
    words = [sys.executable, "-m", "app.cli", "index", f"--into={folder}", "--progress=json", *flags]
    if request.layer is not None:
        words.append(f"--layer={request.layer}")
    if request.zoom is not None:
        words.append(f"--zoom={request.zoom}")
    if request.within is not None:
        words.append("--within=" + ",".join(map(str, request.within)))
    return [*words, f"--style={request.style}", "--", request.source]


def _facts(line: str) -> dict[str, float]:
    """How far the job is; nothing of a line that says something else, or was cut off."""
    try:
        return dict(json.loads(line)) if line.startswith('{"done"') else {}
    except ValueError:
        return {}


def _unfinished(path: Path) -> JobRequest | None:
    try:
        return JobRequest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
