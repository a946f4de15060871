"""What the CNN has to beat, on the same validation rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier

from apex_trader.models.scores import direction_scores

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

CLASSES = np.arange(3)
#: Learning rates that the logistic regression is fitted with side by side.
RATES = (0.1, 0.3, 1.0)
#: Pseudo-count per class, so that a class unseen while fitting is improbable, not impossible.
_PSEUDO = 1.0


def majority(fit: I64, classes: I64, move: F64) -> dict[str, float]:
    """Always the most frequent class of the fitting rows; its probabilities are their shares."""
    counts = np.bincount(fit, minlength=3) + _PSEUDO
    shares = np.tile(counts / counts.sum(), (len(classes), 1))
    return direction_scores(shares, classes, move)


def last_sign(fit_past: I64, fit: I64, past: I64, classes: I64, move: F64) -> dict[str, float]:
    """The move of the same length just ended goes on.

    Calls the class of the trailing move. Its probabilities are the shares of what followed that
    class in the fitting rows.
    """
    counts = np.full((3, 3), _PSEUDO)
    np.add.at(counts, (fit_past, fit), 1.0)
    table = counts / counts.sum(1, keepdims=True)
    return direction_scores(table[past], classes, move, predicted=past)


#: Gathers the extractor's input of decision rows, some of them mirrored: [m, features] float32.
Inputs = Callable[[I64, Bool], F32]


class LogisticBaseline:
    """Logistic regression on the CNN's own inputs, one set of weights a horizon.

    Fitted by averaged stochastic gradient descent in minibatches, one-against-rest, half of
    each batch mirrored, like the CNN. Inputs are divided by √features, which makes one range of
    learning rates fit every schema: on small windows it comes within 0.002 nats of an exact
    solver. Several rates run side by side, and the best on validation is reported: the choice
    favours the baseline.

    Cost: rows × features × 3 classes × ``len(RATES)`` per horizon.
    """

    def __init__(self, horizons: int, seed: int) -> None:
        self.models = [
            [
                SGDClassifier(
                    loss="log_loss", alpha=1e-4, learning_rate="invscaling", eta0=rate,
                    power_t=0.25, average=True, random_state=seed + 17 * h,
                )
                for rate in RATES
            ]
            for h in range(horizons)
        ]  # fmt: skip

    def fit(
        self, inputs: Inputs, rows: I64, classes: NDArray[np.int8], valid: Bool, batch: int
    ) -> None:
        """One pass over ``rows`` [m]; classes, valid [m, horizons] are theirs."""
        for start in range(0, len(rows), batch):
            part = slice(start, start + batch)
            mirrored = np.arange(len(rows[part])) % 2 == 0
            x = _scaled(inputs(rows[part], mirrored))
            y = np.where(mirrored[:, None], 2 - classes[part], classes[part]).astype(np.int64)
            for h, models in enumerate(self.models):
                keep = valid[part, h]
                if keep.any():
                    for model in models:
                        model.partial_fit(x[keep], y[keep, h], classes=CLASSES)

    def probabilities(self, inputs: Inputs, rows: I64, batch: int) -> F64:
        """[rates, m, horizons, 3]."""
        out = np.empty((len(RATES), len(rows), len(self.models), 3))
        for start in range(0, len(rows), batch):
            at = rows[start : start + batch]
            x = _scaled(inputs(at, np.zeros(len(at), np.bool_)))
            for h, models in enumerate(self.models):
                for a, model in enumerate(models):
                    out[a, start : start + batch, h] = model.predict_proba(x)
        return out


def best_rate(probabilities: F64, classes: I64, move: F64) -> dict[str, float]:
    """Scores of the rate with the least log loss; probabilities [rates, m, 3]."""
    scored = [direction_scores(p, classes, move) for p in probabilities]
    return min(scored, key=lambda scores: scores["log_loss"])


def _scaled(x: F32) -> F32:
    return x * np.float32(x.shape[1] ** -0.5)
