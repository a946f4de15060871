"""The shaping potentials at an actor's rows, for the priorities that it gives itself."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from apex_trader.state.gather import MarketTables, gather
from apex_trader.trading.config import RewardConfig
from apex_trader.trading.potentials import cnn_potential, pivot_potential, potential_weights

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_PREDICTIONS = "cnn_predictions"


class Potentials:
    """Φ of the confirmed trend and of the CNN's predictions, weighted as the learner weights them.

    The learner adds discount·Φ(s_n) − Φ(s_0) to each reward when it gathers a batch, so a
    priority without them would be the error of another target.
    """

    def __init__(self, tables: MarketTables, config: RewardConfig) -> None:
        self.tables, self.weights = tables, potential_weights(config)
        self._has_cnn = tables.schema.has(_PREDICTIONS) and self.weights.cnn != 0.0

    def pivot(self, rows: I64, position: F32) -> F64:
        """[B] weighted Φ of the trend confirmed at global rows, for positions −1 … 1."""
        trend = self.tables.trend[torch.from_numpy(rows)].numpy()
        phi: F64 = self.weights.pivot * pivot_potential(position, trend).astype(np.float64)
        return phi

    def cnn(self, rows: I64, position: F32) -> F64:
        """[B] weighted Φ of the predictions at global rows; 0 where the schema has none."""
        if not self._has_cnn:
            return np.zeros(len(rows))
        distinct, place = np.unique(rows, return_inverse=True)
        predictions = gather(self.tables, torch.from_numpy(distinct), blocks=(_PREDICTIONS,))
        phi: F64 = self.weights.cnn * cnn_potential(position, predictions.numpy()[place])
        return phi.astype(np.float64)
