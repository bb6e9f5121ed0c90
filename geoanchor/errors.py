"""Every error GeoAnchor raises on purpose: one base, its leaves.

A message is one sentence that says what is wrong, where, and what to do about it. `exit_code` is what the command line
returns: 2 for wrong use, 1 for a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class GeoAnchorError(Exception):
    """Base of all errors a user can cause or meet; its text is fit to be shown as it is."""

    exit_code = 1


class UsageError(GeoAnchorError):
    """The call itself is wrong: an unknown name, an impossible value, options that exclude each other."""

    exit_code = 2


class BadInput(GeoAnchorError):
    """One input (a file, a tile, a response) cannot be used; a build records it and goes on."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason

    def __reduce__(self) -> tuple[type[BadInput], tuple[str, str]]:
        return type(self), (self.where, self.reason)


OnBad = Callable[[BadInput], None]
"""Told of every picture that cannot be used."""


class UnsupportedModality(UsageError):
    """An encoder was asked for a modality that it has no branch for."""


class SpaceMismatch(UsageError):
    """Vectors of two different embedding spaces were about to be compared."""


class NotAnIndex(UsageError):
    """The folder holds no finished index."""


class IndexLocked(GeoAnchorError):
    """Another process is writing to the index."""


class IndexCorrupt(GeoAnchorError):
    """The folder's parts do not fit together; `geoanchor doctor` says which."""


class TrainingFailed(GeoAnchorError):
    """A training came to numbers that are none; the last checkpoint is as it was."""


class ModelNotFound(UsageError):
    """No bundle of that name, folder or file."""


class OfflineError(GeoAnchorError):
    """Something would have to be fetched and the network is switched off."""


class _Faults(Protocol):
    """What pydantic and FastAPI raise."""

    def errors(self) -> Sequence[Any]: ...


def reason_of(error: Exception) -> str:
    """Why a file cannot be used, in words: of the system's errors, which also tell number and path, the words alone."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def first_fault(error: _Faults) -> str:
    """The first thing that pydantic found wrong, as "where: what"."""
    fault = error.errors()[0]
    where, what = ".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what
