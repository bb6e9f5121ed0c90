"""Vision-language models through transformers: the hub's by name, or a folder's; what is not at hand is said."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from geoanchor.errors import BadInput, OfflineError
from geoanchor.settings import Settings

_SAMPLES = 64


def open_pretrained(
    model: str, settings: Settings, processor: Any, network: Any, kind: str, **options: object
) -> tuple[Any, Any]:
    """A model's processor and its network, ready on the accelerator where there is one.

    Args:
        model: the hub's name, or a folder with weights (safetensors) and processor.
        settings: offline: only what lies on this machine is opened; cache_dir: where the hub's files are kept.
        processor, network: classes of transformers. kind: what such a model is called in a message.
        options: for the processor.
    Raises:
        OfflineError: the hub's files are not at hand and cannot be fetched. BadInput: the folder holds no such model.
    """
    import torch

    where: dict[str, Any] = {"cache_dir": settings.cache_dir / "hub", "local_files_only": settings.offline}
    try:
        opened = processor.from_pretrained(model, **options, **where)
        weights = network.from_pretrained(model, dtype="auto", use_safetensors=True, **where)
    except (OSError, ValueError, KeyError) as error:
        if Path(model).is_dir():
            raise BadInput(model, f"holds no {kind} with its processor") from error
        raise OfflineError(f"{model}: cannot be fetched from the hub; name a folder that holds it") from error
    return opened, weights.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def fingerprint(network: Any) -> str:
    """SHA-256 over names, shapes and evenly spaced values of a network's tensors, wherever they were read from."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        flat = tensor.detach().reshape(-1)
        spread = flat[:: max(1, len(flat) // _SAMPLES)].cpu().double().numpy()
        digest.update(f"{name}{tuple(tensor.shape)}".encode() + spread.tobytes())
    return digest.hexdigest()
