"""Batches made one step ahead of their use."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

B = TypeVar("B")


class ReadAhead(Generic[B]):
    """The same batches; the next one is made in a thread of its own while the model learns from this one."""

    def __init__(self, batches: Callable[[int], B]) -> None:
        self._batches = batches
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._next: tuple[int, Future[B]] | None = None

    def __call__(self, step: int) -> B:
        """The batch of one step."""
        batch = self._next[1].result() if self._next and self._next[0] == step else self._batches(step)
        self._next = step + 1, self._pool.submit(self._batches, step + 1)
        return batch
