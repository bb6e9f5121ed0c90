"""Whether the processor multiplies bfloat16 faster than float32, and how to let it."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def quick_bfloat16() -> bool:
    """Whether the processor has matrix tiles for bfloat16 (AMX), or multiplies it two at a time (AVX-512)."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def matrix_units() -> AbstractContextManager[object]:
    """Within it networks run in bfloat16 where the processor is quicker with that, else in float32 as ever."""
    return torch.autocast("cpu", torch.bfloat16, enabled=quick_bfloat16())
