"""Shaping potentials: what a state is worth beside the rewards that are stored.

They depend on things that change after the fact (the extractor, the mirror), so they are added
when a batch is gathered, by whoever gathers it. Functions take numpy arrays and torch tensors
alike, and nothing here is compiled: a learner needs no more than torch and numpy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from apex_trader.trading.config import RewardConfig


class PotentialWeights(NamedTuple):
    """Weights of the two potentials, scale included."""

    pivot: float
    cnn: float


def potential_weights(config: RewardConfig) -> PotentialWeights:
    """What to multiply ``pivot_potential`` and ``cnn_potential`` with, beside stored rewards."""
    return PotentialWeights(
        config.scale * config.pivot_potential, config.scale * config.cnn_potential
    )


def pivot_potential(position: Any, trend: Any) -> Any:
    """Φ of the confirmed trend: position · trend, both −1…1; numpy or torch, any equal shapes.

    Even under the mirror. Multiply with ``potential_weights(config).pivot``.
    """
    return position * trend


def cnn_potential(position: Any, predictions: Any) -> Any:
    """Φ of the CNN: position · mean over horizons of direction · confidence; numpy or torch.

    position [...]; predictions [..., 16] in the order of the ``cnn_predictions`` block. Multiply
    with ``potential_weights(config).cnn``.
    """
    return position * (predictions[..., 0::4] * predictions[..., 1::4]).mean(-1)


def shaping(discount: Any, before: Any, after: Any) -> Any:
    """What a potential adds to an n-step reward: discount · Φ(s_n) − Φ(s_0).

    Over n steps the terms of Ng, Harada & Russell (1999) telescope to this, so optimal policies
    stay optimal. discount: γⁿ, and 0 after termination, which makes Φ(terminal) = 0.
    """
    return discount * after - before
