"""Where a picture speaks against a map, and how that is said."""

from __future__ import annotations

import numpy as np
import pytest

from geoanchor.protocols import Judgement, Vectors
from geoanchor.structure import CLASS_OF, CLASSES
from retrieval.causes import Diagnosis, diagnose, differences, disagreeing, unmapped_mismatch

CELLS = 24
LAND, BUILDING, WATER = (CLASS_OF[name] for name in ("other", "building", "water"))


def evidence() -> Vectors:
    return np.full((2, CELLS, CELLS), 0.5, np.float32)


def test_loud_disagreement_goes_on_where_it_is_soft() -> None:
    told = evidence()
    told[0, 2:14, 2:14] = -0.4
    told[0, 4:8, 4:8] = -2.0
    told[0, 18:22, 18:22] = -0.4  # soft, and nothing loud beside it
    told[1, 2:14, 2:14] = -0.4  # nor does another pair's count
    loud, all_of_it = disagreeing(told)
    assert not loud[0, 10:].any()
    assert loud[0, 4:8, 4:8].all()
    assert all_of_it[0, 3:13, 3:13].all()
    assert not all_of_it[0, 16:, 16:].any()
    assert not all_of_it[1].any()
    assert not (all_of_it & (told >= 0)).any()


def judged(shares: Vectors, beliefs: Vectors, told: Vectors, probability: float = 0.0) -> Judgement:
    none = np.zeros(1, np.float32)
    return Judgement(np.full(1, probability, np.float32), np.zeros((1, 2), np.float32), none, told, shares, beliefs, {})


def grid(kind: int, sure: float = 1.0) -> Vectors:
    shares = np.full((1, CELLS, CELLS, len(CLASSES)), (1 - sure) / (len(CLASSES) - 1), np.float32)
    shares[..., kind] = sure
    return shares


def told_of(mapped: int, seen: int, nodata: float = 0.0, gap: int = 0, shift: int = 0) -> Diagnosis:
    """A block of a class on the map where the picture shows another; the rest is land and water on both. The first
    columns of the picture may be missing, the last may lie beyond a shift."""
    shares, beliefs = grid(LAND), grid(LAND, 0.9)
    shares[:, 18:], beliefs[:, 18:] = grid(WATER)[:, 18:], grid(WATER, 0.9)[:, 18:]
    block = (slice(None), slice(4, 12), slice(8, 16))
    shares[block], beliefs[block] = grid(mapped)[block], grid(seen, 0.9)[block]
    beliefs[:, :, :gap] = beliefs[:, :, CELLS - shift :] = 0
    against = np.where((shares.argmax(-1) != beliefs.argmax(-1)) & (beliefs.sum(-1) > 0), -2.0, 0.5).astype(np.float32)
    found = differences(judged(shares, beliefs, against))
    return diagnose(found, 0, mismatch=0.9, informative=True, moved_m=None, nodata=(nodata, 0.0), gap=gap / CELLS)


@pytest.mark.parametrize(("probability", "said"), [(0.4, 0.3), (0.6, 0.0)])
def test_an_empty_map_that_is_held_to_be_wrong_lacks_all_that_is_shown(probability: float, said: float) -> None:
    """Houses between gardens speak nowhere loudly against open land."""
    beliefs = grid(LAND, 0.6)
    beliefs[:, :, ::2] = 0.0
    beliefs[:, :, ::2, BUILDING], beliefs[:, :, ::2, LAND] = 0.6, 0.4
    soft = np.full((1, CELLS, CELLS), -0.1, np.float32)
    found = differences(judged(grid(LAND), beliefs, soft, probability))
    assert found.picture_only[0].sum() == pytest.approx(said, abs=0.01)
    assert unmapped_mismatch(found)[0] == pytest.approx(1 - np.exp(-said / 0.05), abs=0.01)
    told = diagnose(found, 0, mismatch=0.9, informative=False, moved_m=None, nodata=(0.0, 0.0))
    assert told.cause == ("nothing mapped" if said else "not enough structure")
    mapped = grid(LAND)
    mapped[:, :8] = grid(BUILDING)[:, :8]
    assert differences(judged(mapped, beliefs, soft, probability)).picture_only[0].sum() == 0


def test_what_is_there_instead_is_named() -> None:
    behind = told_of(BUILDING, WATER)
    assert behind.cause in ("map behind", "imagery behind")
    assert "buildings on" in behind.reason
    assert "which shows" in behind.reason
    assert "water on" in behind.reason
    gone = told_of(BUILDING, LAND)
    assert gone.cause == "imagery behind"
    assert gone.reason.endswith("of the tile on the map, not in the picture")


@pytest.mark.parametrize(
    ("nodata", "gap", "cause"),
    [(0.3, 7, "map behind"), (0.3, 0, "cloud or no data"), (0.8, 7, "cloud or no data"), (0.2, 0, "map behind")],
)
def test_a_picture_is_told_by_what_is_left_of_it(nodata: float, gap: int, cause: str) -> None:
    """Where it is known what is missing; and not by next to nothing."""
    assert told_of(LAND, BUILDING, nodata, gap).cause == cause


def test_what_a_shift_moved_out_is_no_gap() -> None:
    assert told_of(LAND, BUILDING, 0.3, 0, 4).cause == "cloud or no data"


def test_a_gap_that_hides_all_that_differs_is_the_cause() -> None:
    assert told_of(LAND, BUILDING, 0.7, 17) == Diagnosis(
        "cloud or no data", "70.0 % of the picture is cloud or has no data"
    )


@pytest.mark.parametrize(("mismatch", "cause"), [(0.49, "agrees"), (0.51, "unclear"), (0.89, "unclear")])
def test_where_nothing_in_particular_disagrees_the_odds_decide(mismatch: float, cause: str) -> None:
    shares, beliefs = grid(LAND), grid(LAND, 0.9)
    found = differences(judged(shares, beliefs, np.full((1, CELLS, CELLS), 0.5, np.float32)))
    told = diagnose(found, 0, mismatch=mismatch, informative=True, moved_m=None, nodata=(0.0, 0.0), gap=0.0)
    assert told.cause == cause
