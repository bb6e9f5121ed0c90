"""Runs a network over a batch of pictures in slices, each on cores of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from threading import Barrier

import torch
from torch import Tensor

_MOST = 8
"""Slices at once: more would leave each too few pictures for its matrices to be worth multiplying."""
_WORTH_SLICING = 4
"""Pictures a slice; a smaller batch goes through the network as it is, on all cores."""


def in_slices(network: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """What `network` makes of pictures (n, ...), row for row; for inference only, the result carries no gradient.

    Cores that share each layer must meet after each layer, and whoever else wants a core, such as the threads that
    read pictures, makes all of them wait. Cores that take a slice each meet once a batch.
    """
    workers = _workers(torch.get_num_threads())
    if workers.count == 1 or len(pictures) < workers.count * _WORTH_SLICING:
        return _inferred(network, pictures)
    return torch.cat(list(workers.pool.map(lambda part: _inferred(network, part), pictures.chunk(workers.count))))


def _inferred(network: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    with torch.inference_mode():  # holds for one thread only
        return network(pictures)


@dataclass(frozen=True, slots=True)
class _Workers:
    pool: ThreadPoolExecutor
    count: int


@cache
def _workers(cores: int) -> _Workers:
    count = max(number for number in range(1, _MOST + 1) if cores % number == 0)
    ready = Barrier(count + 1)

    def take_share() -> None:
        torch.get_num_threads()  # a thread's first question gives it the process's number; only then does its own hold
        torch.set_num_threads(cores // count)
        ready.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="encode", initializer=take_share)
    for _ in range(count):
        pool.submit(ready.wait)
    ready.wait()
    # What a thread sets for itself is what later threads begin with.
    torch.set_num_threads(cores)
    ready.wait()
    return _Workers(pool, count)
