"""Relations between places: "stadium by the river" is a stadium here and, within reach, the best river.

One vector of the whole sentence mixes the two things; here each is scored alone. A phrase's scores are standardised
against its own background in the gallery (per layer, since scores of different layers are not comparable), turned into
a belief that the thing is there, and a row's score is

    belief(subject here) * max over rows nearby of belief(object there) * decay(distance)

so that both must hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from geoanchor.protocols import RowIds
from retrieval.distances import WITHIN, metres_of
from retrieval.index.flat import best_first, top
from retrieval.region import Places

DEFAULT_DECAY_M = 300.0
Scores = NDArray[np.float64]

_CANDIDATES = 2_000
"""Rows with the strongest subject whose surroundings are looked at; the others keep their rank by subject, below."""
_FIRST = 256
"""Candidates that set the score to beat where only the best are asked for."""
_REACH = 2.5
"""Decay lengths after which a neighbour counts for nothing."""
_HALF, _LEAST_Z, _STEEPNESS = 0.6, 1.5, 4.0
"""Belief is one half at this share of the strongest score's distance from the background, but at least at this many
standard deviations; and how steeply it turns there."""
_ALONE = 0.02
"""What is left of the subject's belief where no object is in reach: enough to keep an order, below every true match."""
_WORDS: tuple[tuple[str, float], ...] = (
    (r"right next to|next to|adjacent to|beside|bordering|abutting|against", 150.0),
    (r"along(?:side)?|by|at|on|facing|overlooking", 250.0),
    (r"close to|near(?:by)?(?: to)?|not far from|in the vicinity of|around", 400.0),
)
"""Words of nearness -> the decay length that they mean, metres."""
_WITHIN = re.compile(rf"^(?P<subject>.+?)\s+(?:lying\s+|located\s+)?{WITHIN}\s+(?P<object>.+)$")
_NEARNESS = tuple(
    (re.compile(rf"^(?P<subject>.+?)\s+(?:right\s+|just\s+)?(?:{words})\s+(?P<object>.+)$"), decay_m)
    for words, decay_m in _WORDS
)
_ARTICLE = re.compile(r"^(?:an?|the|some|any|its|their)\s+")
_NOT_PLACES = frozenset({
    "accident", "air", "all", "angle", "best", "bike", "boat", "bus", "car", "chance", "dawn", "day", "default",
    "design", "dusk", "far", "fire", "first", "foot", "hand", "hold", "large", "last", "law", "least", "midnight",
    "most", "nature", "night", "noon", "now", "once", "rest", "risk", "scale", "sunrise", "sunset", "time", "top",
    "train",
})  # fmt: skip
"""Objects that make "by", "at" or "on" no relation between places: by night, at dusk, on foot."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A subject wanted near an object.

    Attributes:
        subject, object: phrases without articles; decay_m: distance in metres over which nearness fades.
    """

    subject: str
    object: str
    decay_m: float = DEFAULT_DECAY_M


def parse_relation(text: str) -> Relation | None:
    """Read "A by B", "A next to B", "A along B", "A within 500 m of B" and the like; None where a text says none."""
    sentence = " ".join(text.lower().strip().rstrip(".!?").split())
    if match := _WITHIN.match(sentence):
        return _relation(match, metres_of(match) or 0.0)
    found = [(match, decay_m) for pattern, decay_m in _NEARNESS if (match := pattern.match(sentence))]
    # "school next to a park by the river": the first word of nearness parts the sentence; of "next to" and "close to
    # the", the longer wording.
    found.sort(key=lambda pair: (len(pair[0]["subject"]), len(pair[0]["object"])))
    relations = (_relation(match, decay_m) for match, decay_m in found)
    return next((relation for relation in relations if relation), None)


def _relation(match: re.Match[str], decay_m: float) -> Relation | None:
    subject, thing = _ARTICLE.sub("", match["subject"]), _ARTICLE.sub("", match["object"])
    # "one by one", "step by step" repeat; they do not relate.
    if thing.split()[0] in {*_NOT_PLACES, subject} or thing.replace(".", "").isdigit() or decay_m <= 0:
        return None
    return Relation(subject, thing, decay_m)


def beliefs(scores: Scores, groups: Iterable[RowIds], spill: csr_array) -> Scores:
    """How far a phrase's scores (g,) say that the thing is there, 0..1, calibrated within each group of rows (a layer).

    Args:
        spill: (g, g) what each row is given of its neighbours' scores; see `retrieval.neighbours.spill`.

    A thing that fills few tiles shows as scores far out of the background's spread, so the middle between the
    background and the strongest score is where belief is one half.
    """
    z, out = np.zeros(len(scores)), np.zeros(len(scores))
    groups = [rows for rows in groups if len(rows)]
    for rows in groups:
        own = scores[rows]
        z[rows] = (own - np.median(own)) / (own.std() + 1e-9)
    z = spill @ z
    for rows in groups:
        out[rows] = _belief(z[rows])
    return out


def grounded(belief: Scores, borne: Scores | None) -> Scores:
    """Beliefs (g,) where map tags have a say: rows that bear them all (1 of `borne`, (g,)) are believed before all that
    bear none, and each kind among itself by how it looks. None: tags say nothing, beliefs stay as they are."""
    return belief if borne is None else (belief + borne) / 2


def _belief(z: Scores) -> Scores:
    strongest = float(z.max())
    threshold = max(_LEAST_Z, _HALF * strongest)
    return np.asarray(1 / (1 + np.exp(-_STEEPNESS * (z - threshold) / max(strongest - threshold, 1.0))))


@dataclass(frozen=True, slots=True)
class Matches:
    """Scores of a relation over some rows.

    Attributes:
        scores: (n,) 0..1; partner: (n,) row of the object that counted, -1 for none; distance_m: (n,) to it.
    """

    scores: Scores
    partner: RowIds
    distance_m: Scores


def match_relation(subject: Scores, thing: Scores, decay_m: float, places: Places, rows: RowIds) -> Matches:
    """Score "subject here, object near" for some rows.

    Args:
        subject, thing: beliefs (g,) of the two phrases for all rows; rows: sorted positions (n,) to score.
        decay_m: distance over which nearness fades, as exp(-(distance / decay)^2 / 2).
    """
    found = Matches(subject[rows] * _ALONE, np.full(len(rows), -1, np.int64), np.full(len(rows), np.nan))
    if not len(rows):
        return found
    strongest = _strongest(subject[rows])
    near, apart, starts = places.around(rows[strongest], _REACH * decay_m)
    worth = thing[near] * np.exp(-((apart / decay_m) ** 2) / 2)
    best = _first_best(worth, starts)
    found.scores[strongest] = _score(subject[rows[strongest]], worth[best])
    found.partner[strongest], found.distance_m[strongest] = near[best], apart[best]
    return found


def best_matches(
    subject: Scores, thing: Scores, decay_m: float, places: Places, rows: RowIds, count: int
) -> tuple[Scores, RowIds]:
    """The best `count` of some rows as `match_relation` scores them, best first, ties by lower row: scores and rows.

    The strongest subjects set a score to beat; of the others only those are scored that have an object near enough and
    likely enough to reach it.
    """
    strongest = rows[_strongest(subject[rows])]
    first, rest = _parted(strongest, subject[strongest], max(_FIRST, count))
    scores, least = np.empty(0), 0.0
    if len(rest):
        scores = match_relation(subject, thing, decay_m, places, first).scores
        to_beat, strength = scores[top(scores, count)].min(), max(float(subject[rest].max()), 1e-12)
        # What an object must be worth beside the strongest of the others; a little less, for rounding.
        least = (to_beat / strength - _ALONE) / (1 - _ALONE) * (1 - 1e-9)
    if least <= 0:
        return best_first(match_relation(subject, thing, decay_m, places, rows).scores, rows, count)
    likely = np.flatnonzero(thing >= least)
    reach = min(_REACH, np.sqrt(2 * np.log(max(1.0, thing.max() / least))) + 1e-9)
    others = rest[places.has_near(rest, likely, reach * decay_m)]
    scores = np.append(scores, match_relation(subject, thing, decay_m, places, others).scores)
    return best_first(scores, np.append(first, others), count)


def likely_partners(thing: Scores, decay_m: float, places: Places, rows: RowIds, count: int) -> RowIds:
    """Rows (n, count) in whose reach the object counts most for each of some rows, best first; -1 where no more are."""
    found = np.full((len(rows), count), -1, np.int64)
    if not len(rows):
        return found
    near, apart, starts = places.around(rows, _REACH * decay_m)
    worth = thing[near] * np.exp(-((apart / decay_m) ** 2) / 2)
    for i, (first, end) in enumerate(pairwise([*starts.tolist(), len(near)])):
        best = np.argsort(-worth[first:end], kind="stable")[:count]
        found[i, : len(best)] = near[first:end][best]
    return found


def _score(subject: Scores, worth: Scores) -> Scores:
    """Of beliefs in a subject, and in objects near them less what the distance takes."""
    return subject * (_ALONE + (1 - _ALONE) * worth)


def _strongest(belief: Scores) -> RowIds:
    """Positions of the strongest candidates, of equal ones the first."""
    if len(belief) <= _CANDIDATES:
        return np.arange(len(belief))
    least = belief[top(belief, _CANDIDATES)].min()
    above = np.flatnonzero(belief > least)
    return np.concatenate([above, np.flatnonzero(belief == least)[: _CANDIDATES - len(above)]])


def _first_best(worth: Scores, starts: RowIds) -> RowIds:
    """Position of the first largest value of each run; starts: (runs,) where each begins."""
    sizes = np.diff(np.append(starts, len(worth)))
    is_best = worth == np.repeat(np.maximum.reduceat(worth, starts), sizes)
    return np.asarray(np.minimum.reduceat(np.where(is_best, np.arange(len(worth)), len(worth)), starts))


def _parted(rows: RowIds, worth: Scores, count: int) -> tuple[RowIds, RowIds]:
    """The best `count` of some rows, and the others."""
    if count >= len(rows):
        return rows, rows[:0]
    order = np.argpartition(-worth, count)
    return rows[order[:count]], rows[order[count:]]
