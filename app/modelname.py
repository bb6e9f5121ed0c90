"""Names of model bundles: as an index keeps them, and where one that an index keeps is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geoanchor.errors import ModelNotFound
from geoanchor.manifest import FILE_NAME as MANIFEST_NAME
from geoanchor.manifest import model_of, read_manifest


def lasting(model: str) -> str:
    """A name that means the same from every working folder: paths become absolute, other names stay."""
    from models.bundle import MANIFEST_NAME as BUNDLE_NAME
    from models.bundle import bundle_folder

    folder = bundle_folder(model)
    # A shipped bundle lies where the package does, which is not to be kept.
    if folder == Path(model) and (folder / BUNDLE_NAME).is_file():
        return str(folder.resolve())
    architecture, _, weights = model.partition("/")
    if architecture.startswith("clip:") and Path(weights).is_file():
        return f"{architecture}/{Path(weights).resolve()}"
    return model


@contextmanager
def model_named_by(folder: str | Path, model: str | None) -> Iterator[None]:
    """Opens the model of an index; where it is gone, ModelNotFound says who named it and what helps.

    Args:
        model: as it is to be opened, None for the name that the index keeps.
    """
    try:
        yield
    except ModelNotFound as error:
        named = _kept_by(Path(folder))
        # Another model may be missing as well: one that was asked for, or what cuts pictures into segments.
        if not named or model not in (None, named) or named not in str(error):
            raise
        raise ModelNotFound(
            f"{folder}: the index names the model {named!r}, which is not there; say where it lies now with --model"
        ) from error


def _kept_by(folder: Path) -> str:
    """The name that an index keeps, "" where there is no index yet."""
    return model_of(folder, read_manifest(folder)) if (folder / MANIFEST_NAME).is_file() else ""
