"""Figures of a census: which tags, which together, in which groups; which captions, how long, how good, how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.datareport.census import Record
from training.captions.quality import Quality, judge

_CLUSTERS = range(2, 13)
_SAMPLE = 1200
"""Pictures of which silhouettes are measured; the measure grows with their square."""
_DIMENSIONS = 12
_COMMON = 80
"""Tags that groups are made of; rarer ones say little."""

Counts = list[tuple[str, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Pictures in groups of like tags.

    Attributes:
        rows: (m,) positions of the pictures that have tags. points: (m, 2) their first two principal components.
        labels: (m,) group, the largest is 0. explained: share of the variance that the two show, 0..1.
        silhouettes: mean silhouette by number of groups. tags: of each group what sets it apart, best first.
    """

    rows: NDArray[np.int64]
    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    explained: float
    silhouettes: dict[int, float]
    tags: list[list[str]]


def tag_counts(records: Sequence[Record]) -> Counts:
    """Tags with how many pictures bear them, the commonest first."""
    return Counter(tag for record in records for tag in record.tags).most_common()


def together(records: Sequence[Record], tags: Sequence[str]) -> NDArray[np.float64]:
    """(t, t) Jaccard index of each two tags: pictures that bear both among those that bear either."""
    bears = _incidence(records, tags)
    both = bears.T @ bears
    own = np.diag(both)
    either = own[:, None] + own[None] - both
    return np.asarray(np.divide(both, either, out=np.zeros_like(both), where=either > 0))


def clusters(records: Sequence[Record]) -> Clusters | None:
    """Groups of pictures with like tags, as many as the silhouette likes best; None where there are too few kinds.

    Rarer tags count for more (TF-IDF); k-means on the first principal components.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.metrics import silhouette_score

    tags = [tag for tag, _ in tag_counts(records)[:_COMMON]]
    bears = _incidence(records, tags)
    rows = np.flatnonzero(bears.any(axis=1)) if len(bears) else np.zeros(0, np.int64)
    kinds = len(np.unique(bears[rows], axis=0)) if len(rows) else 0
    if kinds < 4:
        return None
    weighted = TfidfTransformer().fit_transform(bears[rows]).toarray()
    pca = PCA(min(_DIMENSIONS, kinds - 1, *weighted.shape), random_state=0).fit(weighted)
    reduced = pca.transform(weighted)
    sample = np.random.default_rng(0).permutation(len(rows))[:_SAMPLE]
    fits, silhouettes = {}, {}
    distinct = len(np.unique(reduced[sample].round(9), axis=0))
    for count in (k for k in _CLUSTERS if 3 * k <= distinct):
        fits[count] = KMeans(count, n_init=2, random_state=0).fit(reduced[sample])
        silhouettes[count] = float(silhouette_score(reduced[sample], fits[count].labels_))
    if not fits:
        return None
    best = fits[max(silhouettes, key=lambda count: silhouettes[count])].predict(reduced)
    order = np.argsort(-np.bincount(best), kind="stable")
    labels = np.argsort(order)[best]
    return Clusters(
        rows, reduced[:, :2], labels, float(pca.explained_variance_ratio_[:2].sum()), silhouettes,
        [_apart(bears[rows], labels == group, tags) for group in range(len(order))],
    )  # fmt: skip


def _apart(bears: NDArray[np.float64], mine: NDArray[np.bool_], tags: Sequence[str]) -> list[str]:
    """The four tags whose share in a group exceeds that in the others most."""
    others = bears[~mine].mean(axis=0) if (~mine).any() else 0.0
    lead = bears[mine].mean(axis=0) - others
    return [tags[column] for column in np.argsort(-lead, kind="stable")[:4] if lead[column] > 0]


def _incidence(records: Sequence[Record], tags: Sequence[str]) -> NDArray[np.float64]:
    """(n, t) 1 where a picture bears a tag."""
    column = {tag: number for number, tag in enumerate(tags)}
    bears = np.zeros((len(records), len(tags)))
    for row, record in enumerate(records):
        bears[row, [column[tag] for tag in record.tags if tag in column]] = 1.0
    return bears


def normalised(caption: str) -> str:
    """A caption as it is compared with others: lower case, no full stops, single spaces."""
    return " ".join(caption.lower().replace(".", " ").split())


def repeated(records: Sequence[Record]) -> Counts:
    """Captions that more than one picture bears, with how many do, the commonest first."""
    counts = Counter(text for record in records for text in {normalised(caption) for caption in record.captions})
    return [(text, count) for text, count in counts.most_common() if count > 1]


def judged(records: Sequence[Record], by_tags: bool) -> list[tuple[Record, Quality]]:
    """Each captioned picture with the quality of its first caption.

    Args:
        by_tags: whether the tags say more than the captions themselves.
    """
    return [
        (record, judge(record.captions[0], record.tags if by_tags else ())) for record in records if record.captions
    ]
