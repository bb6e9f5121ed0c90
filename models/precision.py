"""Whether the processor multiplies small matrices in hardware, and how to let it."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def matrix_units() -> AbstractContextManager[object]:
    """Within it networks run in bfloat16 where the processor has matrix tiles for that, else in float32 as ever."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu.get_capabilities().get("amx_bf16", False))
