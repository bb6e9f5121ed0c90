"""From scores or features to a probability (Platt 1999)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoanchor.protocols import Vectors

Floats = NDArray[np.float64]
_TOLERANCE = 1e-9


def logistic_curve(
    features: Floats | Vectors, positive: NDArray[np.bool_], ridge: float, weights: Floats | Vectors | None = None
) -> Floats:
    """Bias and slopes (1 + f,) of the logistic regression that tells the positive rows of features (n, f).

    Args:
        ridge: half of it times the squared slopes is added to the loss, so that rows which a plane can part do not run
            off to infinity. weights: (n,) of the rows' losses; None for 1 each.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / ridge, solver="newton-cholesky", tol=_TOLERANCE)
    model.fit(features.astype(np.float64), positive, sample_weight=weights)
    return np.concatenate([model.intercept_, model.coef_[0]])
