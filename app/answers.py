"""What Python gets back: hits and changes as sequences, with the answer they are of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from geoanchor.change import Change, ChangeList
from geoanchor.query import Answer, Hit, Query


@dataclass(frozen=True, slots=True)
class Hits(Sequence[Hit]):
    """The hits of one query, best first, with the query they answer.

    Attributes:
        query: what was asked. answer: the page of hits, `total` and `note`.
    """

    query: Query
    answer: Answer

    @property
    def total(self) -> int:
        """Rows that passed the filters."""
        return self.answer.total

    @property
    def note(self) -> str:
        """Why fewer than k hits came back, or ""."""
        return self.answer.note

    def __len__(self) -> int:
        return len(self.answer.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.answer.hits)

    @overload
    def __getitem__(self, at: int) -> Hit: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Hit]: ...
    def __getitem__(self, at: int | slice) -> Hit | Sequence[Hit]:
        return self.answer.hits[at]


@dataclass(frozen=True, slots=True)
class Changes(Sequence[Change]):
    """The places where map and imagery disagree, worst first.

    Attributes:
        answer: the list with what is known of the region as a whole: registration, heat over H3 cells, note.
    """

    answer: ChangeList

    def __len__(self) -> int:
        return len(self.answer.changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.answer.changes)

    @overload
    def __getitem__(self, at: int) -> Change: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Change]: ...
    def __getitem__(self, at: int | slice) -> Change | Sequence[Change]:
        return self.answer.changes[at]
