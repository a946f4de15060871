"""How good class probabilities of a coming move are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Least probability that the log loss charges for.
_LEAST = 1e-6


def direction_scores(
    probabilities: F64, classes: I64, move: F64, predicted: I64 | None = None
) -> dict[str, float]:
    """Scores of one horizon on m rows.

    Args:
        probabilities: [m, 3] of down, flat, up.
        classes: [m] what happened, 0 to 2.
        move: [m] ln price change.
        predicted: [m] the class called, the most probable one when None.

    Returns:
        accuracy; balanced_accuracy, the mean recall of the classes that occur; log_loss in nats;
        directional_accuracy, the share of moves beyond the dead band whose sign agrees with
        P(up) − P(down), a tie counting half (0.5 when there is no such move);
        information_coefficient, the correlation of P(up) − P(down) with the move (0 when either is
        constant).
    """
    called = probabilities.argmax(1) if predicted is None else predicted
    right = called == classes
    recalls = [float(right[classes == c].mean()) for c in range(3) if (classes == c).any()]
    chosen = probabilities[np.arange(len(classes)), classes]
    lean = probabilities[:, 2] - probabilities[:, 0]
    moved = classes != 1
    agreement = 0.5 + 0.5 * np.sign(lean[moved]) * (classes[moved] - 1)
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "log_loss": float(-np.log(np.maximum(chosen, _LEAST)).mean()),
        "directional_accuracy": float(agreement.mean()) if moved.any() else 0.5,
        "information_coefficient": _correlation(lean, move),
    }


def _correlation(a: F64, b: F64) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 1e-300 else 0.0
