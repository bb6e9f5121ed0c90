"""The end of the process at a chosen call, from which a build must recover."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest


class Killed(BaseException):
    """Stands for the end of the process."""


@contextmanager
def killed_at(call: int, owner: object, *names: str, after: bool = False) -> Iterator[None]:
    """What is done inside ends at one call, counted over all `names` of the owner: before it is made, or just after."""
    calls = count(1)

    def stopping(real: Callable[..., object]) -> Callable[..., object]:
        def stops(*args: object) -> object:
            last = next(calls) == call
            if last and not after:
                raise Killed
            result = real(*args)
            if last:
                raise Killed
            return result

        return stops

    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(owner, name, stopping(getattr(owner, name)))
        with pytest.raises(Killed):
            yield
