"""The shaping potentials of gathered states, in the units of the stored reward."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from apex_trader.errors import ConfigError, MismatchError
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema
from apex_trader.trading.potentials import PotentialWeights, cnn_potential, pivot_potential


class Potentials(NamedTuple):
    """Φ of each state and account [B, …], by part, weights included."""

    pivot: Tensor
    cnn: Tensor


class PotentialSource:
    """Looks potentials up where a state is gathered: the replay never stores them.

    They follow the extractor that the tables hold now and the mirror of the row. Nothing here
    depends on a network, so no gradient flows through them.

    Raises:
        MismatchError: a weight asks for predictions, and the schema has none.
        ConfigError: a weight is not a number.
    """

    def __init__(self, tables: MarketTables, weights: PotentialWeights) -> None:
        for name, weight in weights._asdict().items():
            if not torch.isfinite(torch.tensor(float(weight))):
                raise ConfigError(f"reward.{name}_potential", weight, "a finite number")
        self._tables, self._weights = tables, weights
        self._predictions = _predictions_place(tables.schema, weights)

    def of(self, state: Tensor, account: Tensor, rows: Tensor, mirror: Tensor) -> Potentials:
        """Potentials of gathered states.

        state [B, market_size] and account [B, K, 8], mirrored already; rows [B] global decision
        rows; mirror [B] bool: which were mirrored. Φ is [B, K].
        """
        position = account[..., 0]
        zero = torch.zeros_like(position)
        pivot, cnn = zero, zero
        if self._weights.pivot:
            trend = self._tables.trend[rows]
            trend = torch.where(mirror, -trend, trend)
            pivot = self._weights.pivot * pivot_potential(position, trend[:, None])
        if self._weights.cnn and self._predictions is not None:
            cnn = self._weights.cnn * cnn_potential(position, state[:, None, self._predictions])
        return Potentials(pivot, cnn)


def _predictions_place(schema: Schema, weights: PotentialWeights) -> slice | None:
    if schema.has("cnn_predictions"):
        return schema.offsets["cnn_predictions"]
    if weights.cnn:
        raise MismatchError(
            f"reward.cnn_potential is above 0, but schema {schema.name} has no cnn_predictions: "
            "set it to 0 or keep the block"
        )
    return None
