"""Logistic regression on the agent's own state: how far a linear view of the same market gets.

It is streamed: minibatches of a day at a time, standardised by running means and deviations, so
that training days of any number fit into memory. Its answer is an expected log return over a stated
horizon, (2p − 1) · mean |return|, on which ``baselines.expected_move_policy`` trades.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier

from apex_trader.errors import ApexError
from apex_trader.state.gather import MarketTables, gather
from apex_trader.trading.path import MarketPath

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

BATCH = 512
#: Deviation below which a column counts as constant: states lie within ±5.
_LEAST = 0.02


class LogisticMarket:
    """Direction of the market over ``horizon`` decisions, from states [m, features].

    Averaged stochastic gradient descent (Polyak & Juditsky 1992), inputs standardised online
    (Welford's recursion by batches, Chan et al. 1983) and divided by √features.
    """

    def __init__(self, features: int, horizon: int, seed: int) -> None:
        self.horizon = horizon
        self._model: Any = SGDClassifier(
            loss="log_loss", alpha=1e-4, learning_rate="invscaling", eta0=0.3, power_t=0.25,
            average=True, random_state=seed,
        )  # fmt: skip
        self._mean, self._square = np.zeros(features), np.zeros(features)
        self._size = 0.0
        #: Rows learned from.
        self.rows = 0

    def learn(self, states: F32, move: F64) -> None:
        """One minibatch: states [m, features] and the log returns that followed [m], none NaN."""
        kept = move != 0.0
        states, move = states[kept], move[kept]
        if not len(move):
            return
        self._standardise(states)
        self._size += (float(np.abs(move).mean()) - self._size) * len(move) / self.rows
        self._model.partial_fit(self._scaled(states), (move > 0).astype(int), classes=[0, 1])

    def expected(self, states: F32) -> F64:
        """[m] expected log return over the horizon. ApexError before anything was learned."""
        if not self.rows:
            raise ApexError("the logistic regression has learned nothing: no training day has rows")
        weights = self._model.coef_[0] / self._deviation() / np.sqrt(states.shape[1])
        score = states @ weights.astype(np.float32) - float(self._mean @ weights)
        move: F64 = np.tanh(0.5 * (score + self._model.intercept_[0])) * self._size  # 2p − 1
        return move

    def _standardise(self, states: F32) -> None:
        count = len(states)
        mean = states.mean(0, dtype=np.float64)
        off = mean - self._mean
        total = self.rows + count
        self._square += states.var(0, dtype=np.float64) * count
        self._square += off**2 * self.rows * count / total
        self._mean += off * count / total
        self.rows = total

    def _deviation(self) -> F64:
        spread = np.sqrt(self._square / max(self.rows, 1))
        return np.where(spread < _LEAST, 1.0, spread)

    def _scaled(self, states: F32) -> F32:
        scale = 1.0 / (self._deviation() * np.sqrt(states.shape[1]))
        scaled: F32 = (states - self._mean.astype(np.float32)) * scale.astype(np.float32)
        return scaled


def horizon_returns(path: MarketPath, horizon: int) -> F64:
    """[n] log return from the fill of an order at each row to the mark ``horizon`` decisions later;
    NaN where it is not filled or the episode ends before."""
    rows = path.arrays.view(np.ndarray)
    broken = np.concatenate([[0], np.cumsum(~path.startable)])
    found = np.full(len(path), np.nan)
    last = len(path) - horizon
    if last > 0:
        whole = broken[horizon:-1] == broken[:last]
        moved = rows["mark"][horizon:] - rows["fill_price"][:last]
        found[:last] = np.where(whole, moved, np.nan)
    return found


def learn_day(
    model: LogisticMarket, tables: MarketTables, path: MarketPath, random: np.random.Generator
) -> None:
    """Learn from a day's decisions, each once, in random order; tables and path are numbered
    alike."""
    moves = horizon_returns(path, model.horizon)
    for rows in _batches(random.permutation(np.flatnonzero(np.isfinite(moves)))):
        model.learn(gather(tables, torch.from_numpy(rows)).numpy(), moves[rows])


def _batches(rows: I64) -> Iterator[I64]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
