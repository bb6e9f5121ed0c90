"""The hub of published weights, as far as settings let it be asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from geoanchor.errors import OfflineError
from geoanchor.settings import Settings


@contextmanager
def fetching(name: str, settings: Settings | None) -> Iterator[None]:
    """Lets a library fetch the weights of a name. Raises OfflineError where they are not at hand and cannot be had."""
    if settings and settings.offline:
        # The libraries take no word of it; this is the hub's client's own switch.
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    except (HfHubHTTPError, OSError, RuntimeError) as error:
        raise OfflineError(
            f"{name}: its published weights are not on this machine and cannot be fetched; run once with a network and "
            "without --offline"
        ) from error
