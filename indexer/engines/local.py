"""Reads ahead in threads and encodes in the calling one, batch by batch, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from indexer.plan import Task

BATCHES_AHEAD = 3
"""Batches that are being read while one is encoded; bounds the memory that pictures take."""

Read = TypeVar("Read")
Encoded = TypeVar("Encoded")


def run(
    batches: Iterable[Sequence[Task]],
    read: Callable[[Task], Read],
    encode: Callable[[Sequence[Read]], Encoded],
    threads: int,
) -> Iterator[Encoded]:
    """What `encode` makes of each batch, in the order of the batches.

    Args:
        read: called from several threads at once. encode: called from this thread.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
    window: deque[list[Future[Read]]] = deque()
    try:
        for batch in batches:
            window.append([pool.submit(read, task) for task in batch])
            if len(window) > BATCHES_AHEAD:
                yield encode([future.result() for future in window.popleft()])
        while window:
            yield encode([future.result() for future in window.popleft()])
    finally:
        pool.shutdown(cancel_futures=True)
