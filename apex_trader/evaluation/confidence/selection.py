"""Which calibrator foretells days best that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.confidence.calibrators import CALIBRATORS, Calibrator
from apex_trader.evaluation.confidence.config import ConfidenceConfig
from apex_trader.evaluation.confidence.orders import Orders

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Selected:
    """calibrator: fitted on all days. losses: method → log loss of days left out in turn, nats an
    order. foretold [n]: what the chosen method said of each order from the other days alone."""

    calibrator: Calibrator
    losses: dict[str, float]
    foretold: F64


def select(orders: Orders, config: ConfidenceConfig) -> Selected:
    """The configured calibrator, or of all the one with the least log loss on days left out.

    orders: labelled ones (``label.known``) of at least two days. Whole days are left out, in
    stretches: within a day labels overlap. Of equal losses the simplest method wins.
    """
    methods = list(CALIBRATORS) if config.method == "auto" else [config.method]
    foretold = {method: _left_out(CALIBRATORS[method], orders, config.folds) for method in methods}
    losses = {m: float(log_loss(p, orders.label.better).mean()) for m, p in foretold.items()}
    best = min(losses, key=losses.__getitem__)
    days = len(np.unique(orders.day))
    fitted = CALIBRATORS[best].fit(orders.features, orders.label.better, days)
    return Selected(fitted, losses, foretold[best])


def log_loss(probability: F64, better: NDArray[np.bool_]) -> F64:
    """[n] −ln of the probability given to what happened."""
    return np.asarray(-np.log(np.where(better, probability, 1.0 - probability)))


def _left_out(kind: type[Calibrator], orders: Orders, folds: int) -> F64:
    """[n] probabilities from calibrators that were fitted without the order's group of days."""
    days = np.unique(orders.day)
    out = np.empty(len(orders))
    for group in np.array_split(days, min(folds, len(days))):
        held = np.isin(orders.day, group)
        known = int(len(days) - len(group))
        fitted = kind.fit(orders.features[~held], orders.label.better[~held], known)
        out[held] = fitted.probability(orders.features[held])
    return out
