"""Where an index's maps and imagery disagree: every pair compared, the worst explained, decisions remembered.

Two passes. The first judges every pair in chunks and keeps a few numbers of each; from those comes how the whole map
lies against the imagery, since a shifted map would make every tile look changed. The second goes down the list, worst
first, and judges again what may be shown, to say where and why; so memory does not grow with the region.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import get_args

import numpy as np

from geoanchor.change import LONGEST_NOTE, MAX_OFFSET, SILENT, Change, ChangeList, Decision, Review
from geoanchor.count import counted
from geoanchor.errors import UsageError
from geoanchor.protocols import Details, Judgement, RowIds, Vectors
from geoanchor.query import Region
from retrieval.heat import heat
from retrieval.listing import tell
from retrieval.matching import RowMatcher
from retrieval.pairs import NO_MAP, Pairs, find_pairs, pair_ids, unplaced
from retrieval.region import region_rows
from retrieval.registration import expected_offsets, frames_m, middles_m, sides_m
from retrieval.reviews import Reviews
from retrieval.serving import Serving
from retrieval.survey import CHUNK, Progress, Survey, survey_pairs

_FLOOR = 0.1
"""Mismatch below which a pair is not looked into."""
_SHOWN = 64
"""Pairs judged again at once for the list, which seldom needs many more than it shows."""
_COUNTED = 500
"""Pairs below a full list that are still looked into, only to count: a second or two more, not a region's worth."""


class ChangeFinder:
    """Finds changes in an opened index.

    Args:
        serving: the index. matcher: for its rows. details: of rows that are shown, from the store of record.
        chunk: pairs judged at once; the result does not depend on it.
    """

    def __init__(self, serving: Serving, matcher: RowMatcher, details: Details, chunk: int = CHUNK) -> None:
        self._serving, self._matcher, self._details, self._chunk = serving, matcher, details, chunk
        self._reviews = Reviews(serving.folder)
        self._last: tuple[object, Survey] | None = None

    def find(
        self,
        region: Region | None = None,
        k: int = 50,
        *,
        all_dates: bool = False,
        unmapped: bool = True,
        reviewed: bool = False,
        everything: bool = False,
        max_offset: float = MAX_OFFSET,
        progress: Progress | None = None,
    ) -> ChangeList:
        """The k worst places of a region; the same region is not judged twice in a row.

        Args:
            all_dates: compare every map with every aerial picture of its ground, not the newest alone.
            unmapped: compare aerial pictures that no map row shows with an empty map.
            reviewed: also give pairs that were reviewed.
            everything: also give those, and pairs that agree or say too little.
            max_offset: how far the map may lie off, as a share of a tile's side.

        Raises UsageError when there is nothing to compare.
        """
        if not 0 <= max_offset <= 0.5:
            raise UsageError(f"a map can be looked for up to 0.5 of a tile's side away, not {max_offset}")
        question = (region.model_dump_json() if region else "", all_dates, unmapped, max_offset)
        last = self._last  # others may ask of other regions meanwhile
        if last is None or last[0] != question:
            pairs = self.pairs(region, all_dates=all_dates, unmapped=unmapped)
            where = sides_m(self._serving, pairs.aerials), frames_m(self._serving, pairs)
            self._last = last = question, survey_pairs(
                self._matcher, pairs, *where, middles_m(self._serving, pairs.aerials), max_offset=max_offset,
                chunk=self._chunk, progress=progress,
            )  # fmt: skip
        survey = last[1]
        pairs, settled = survey.pairs, self._settled(survey.pairs)
        passed_over = () if reviewed or everything else settled
        order = _order(survey.mismatch, 0.0 if everything else _FLOOR, passed_over)
        found, places = self._worst(survey, settled, order, max_offset, everything, k)
        bare = int((pairs.maps == NO_MAP).sum())
        return ChangeList(
            changes=found,
            pairs=len(pairs) - bare,
            unmapped=bare,
            reviewed=len(passed_over),
            places=places,
            registration=survey.common,
            heat=heat(self._serving.places.cells[pairs.aerials], np.where(survey.known, survey.mismatch, np.nan)),
            note=_joined(
                _cut(len(found), places, len(order)),
                "" if everything or len(found) == k else _few(len(found), len(passed_over)),
                _apart(len(pairs.apart)),
            ),
        )

    def pairs(self, region: Region | None = None, *, all_dates: bool = False, unmapped: bool = True) -> Pairs:
        """What is compared with what. Raises UsageError when that is nothing."""
        maps, aerials = (self._matcher.comparable(self._serving.layers[layer]) for layer in ("map", "aerial"))
        if not len(maps) or not len(aerials):
            missing = "maps" if len(aerials) else "aerial pictures"
            raise UsageError(f"{self._serving.folder}: holds no {missing} to compare; index both layers of one area")
        nothing = f"{self._serving.folder}: no map and aerial picture show the same ground"
        if nowhere := unplaced(self._serving, maps, aerials):
            raise UsageError(_joined(nothing, nowhere))
        pairs = find_pairs(self._serving, maps, aerials, all_dates=all_dates, unmapped=unmapped)
        if region is not None:
            pairs = pairs.among(region_rows(region, self._serving.places))
        if not len(pairs):
            where = " in that region" if region is not None else ""
            raise UsageError(_joined(nothing + where, _apart(len(pairs.apart))))
        return pairs

    def judge(self, change_id: str, max_offset: float = MAX_OFFSET) -> Judgement:
        """The matcher's whole word on one pair, for pictures of it: as in the last list, where that shows it. Raises
        UsageError when there is no such pair."""
        pair = self._pair(change_id)
        return self._matcher.judge(pair, max_offset, self._expected(pair))

    def _expected(self, pair: Pairs) -> Vectors:
        """Where (1, 2) the map of a pair is expected: as in the last list, or by its frame alone."""
        last = self._last  # others may ask for another list meanwhile
        if last is not None and len(at := last[1].pairs.places(pair)):
            return last[1].expected(at)
        return expected_offsets(frames_m(self._serving, pair), sides_m(self._serving, pair.aerials))

    def review(self, change_id: str, decision: Decision, note: str = "") -> Review:
        """Keep a decision on a change. Raises UsageError when the index has no such pair, or on an impossible word."""
        return self.review_all({change_id: decision}, note)[0]

    def review_all(self, decisions: Mapping[str, Decision], note: str = "") -> tuple[Review, ...]:
        """Keep decisions by change, all of them or, where `review` would raise for one, none."""
        made = tuple(self._review(change, decision, note) for change, decision in decisions.items())
        if made:
            self._reviews.add(*made)
        return made

    def _review(self, change_id: str, decision: Decision, note: str) -> Review:
        if decision not in get_args(Decision):
            raise UsageError(f"a change can be given {' or '.join(get_args(Decision))}, not {decision!r}")
        if len(note) > LONGEST_NOTE:
            raise UsageError(f"a note can have {LONGEST_NOTE} characters, not {len(note)}")
        pair = self._pair(change_id)
        ids = self._serving.rows.column("id")
        aerial_id = ids[int(pair.aerials[0])].as_py()
        map_id = None if pair.maps[0] == NO_MAP else ids[int(pair.maps[0])].as_py()
        hashes = self._hashes({aerial_id, map_id})
        return Review(
            change=change_id, map_id=map_id, aerial_id=aerial_id, map_hash=hashes[map_id],
            aerial_hash=hashes[aerial_id], decision=decision, note=note, time=datetime.now(UTC),
        )  # fmt: skip

    def _pair(self, change_id: str) -> Pairs:
        pairs, places = self._named
        if change_id not in places:
            raise UsageError(f"{self._serving.folder}: no change has the id {change_id!r}; `changes` lists them")
        return pairs.take(np.asarray([places[change_id]]))

    @cached_property
    def _named(self) -> tuple[Pairs, dict[str, int]]:
        """Every pair of the index, and where each is by id."""
        pairs = self.pairs(all_dates=True)
        return pairs, {name: at for at, name in enumerate(pair_ids(self._serving, pairs))}

    def _settled(self, pairs: Pairs) -> dict[int, Review]:
        """Reviews of pairs as they are now, by their place."""
        latest = self._reviews.latest()
        if not latest:
            return {}
        decided = {at: latest[name] for at, name in enumerate(pair_ids(self._serving, pairs)) if name in latest}
        hashes = self._hashes({row for review in decided.values() for row in (review.map_id, review.aerial_id)})
        return {
            at: review
            for at, review in decided.items()
            if (hashes.get(review.map_id), hashes.get(review.aerial_id)) == (review.map_hash, review.aerial_hash)
        }

    def _worst(
        self, survey: Survey, settled: dict[int, Review], order: RowIds, max_offset: float, everything: bool, k: int
    ) -> tuple[tuple[Change, ...], int | None]:
        """The k worst, in the order given, and how many there are: None where that is too much to look into."""
        found: list[Change] = []
        places = 0
        for looked_into, change in enumerate(self._told(survey, settled, order, max_offset), 1):
            if everything or change.cause not in SILENT:
                places += 1
                if places <= k:
                    found.append(change.model_copy(update={"rank": places}))
            if everything and places == k:
                return tuple(found), len(order)
            # Only one more than is shown tells that there are more.
            if places > k and len(order) - looked_into > _COUNTED:
                return tuple(found), None
        return tuple(found), places

    def _told(self, survey: Survey, settled: dict[int, Review], order: RowIds, max_offset: float) -> Iterator[Change]:
        """The second pass, in the order given, as far as it is asked for."""
        step, percentile = min(self._chunk, _SHOWN), survey.percentile()
        for start in range(0, len(order), step):
            at = order[start : start + step]
            pairs = survey.pairs.take(at)
            rows = np.concatenate([pairs.aerials, pairs.maps[pairs.maps != NO_MAP]])
            nodata = self._details(self._serving.rows.column("id").take(np.unique(rows)).to_pylist(), "nodata")
            judged = self._matcher.judge(pairs, max_offset, survey.expected(at))
            gap = self._matcher.gap_shares(pairs)
            yield from tell(self._serving, survey, at, judged, percentile, nodata, gap, settled)

    def _hashes(self, ids: Collection[str | None]) -> dict[str | None, str]:
        """Content hash by row id; that of no row is empty."""
        hashes: dict[str | None, str] = {None: ""}
        hashes.update(self._details(sorted(row for row in ids if row is not None), "content_hash"))
        return hashes


def _order(mismatch: Vectors, floor: float, passed_over: Collection[int]) -> RowIds:
    """Places of pairs, worst first, ties in the order of pairs; without those below the floor or passed over."""
    order = np.argsort(-mismatch, kind="stable")
    return order[~(mismatch[order] < floor) & ~np.isin(order, list(passed_over))]


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _cut(shown: int, places: int | None, looked_at: int) -> str:
    """That there are more places than are shown, or ""; those not counted are at most the pairs looked at."""
    if places == shown:
        return ""
    return f"{shown} of {f'up to {looked_at}' if places is None else places} places shown, worst first"


def _few(found: int, reviewed: int) -> str:
    """Why there are fewer changes than were asked for."""
    said = f"only {counted(found, 'place disagrees', 'places disagree')}" if found else "no place disagrees"
    return f"{said}; {counted(reviewed, 'was', 'were')} reviewed before" if reviewed else said


def _apart(count: int) -> str:
    """What could not be compared, or ""."""
    if not count:
        return ""
    here, there = "at another zoom than the map of", "index one of the two again with --zoom"
    return f"{counted(count, f'picture lies {here} its', f'pictures lie {here} their')} ground; {there}"
