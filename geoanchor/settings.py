"""One frozen Settings, from a TOML file, environment and flags."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoanchor.errors import UsageError, first_fault, reason_of

FILE_NAME = "geoanchor.toml"
MAX_PIXELS = 100_000_000
"""A picture with more is refused unless the settings say otherwise."""


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/geoanchor`, else `~/.cache/geoanchor`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "geoanchor"


class Settings(BaseModel):
    """What a whole run agrees on.

    Attributes:
        offline: never open a connection to anything but this machine.
        cache_dir: downloaded tiles and weights.
        threads: worker threads for reading; 0 takes the number of cores.
        batch_size: pictures an encoder sees at once.
        max_pixels: a picture with more is refused (decompression bombs).
        max_upload_bytes: largest request body of the service.
        text_model_dir: your own copy of all-MiniLM-L6-v2; None takes the installed package's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    offline: bool = False
    cache_dir: Path = Field(default_factory=default_cache_dir)
    threads: int = Field(default=0, ge=0)
    batch_size: int = Field(default=64, ge=1)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)
    max_upload_bytes: int = Field(default=20_000_000, ge=1)
    text_model_dir: Path | None = None


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """Settings from `file` (default: geoanchor.toml in the working folder, if any); overrides that are not None win.

    Raises UsageError when the file is missing, not TOML, or names an unknown setting.
    """
    path = file or Path(FILE_NAME)
    data: dict[str, Any] = {}
    if file is not None or path.is_file():
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: cannot read settings ({reason_of(error)})") from error
    if os.environ.get("GEOANCHOR_OFFLINE", "") not in ("", "0"):
        data["offline"] = True
    data |= {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise UsageError(f"{path}: setting {first_fault(error)}") from error
