"""Where the profit came from: the record divided by what the market was like at each decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.record import Record
from apex_trader.trading.path import MarketPath

#: A confirmed trend beyond this is a trend; choppiness above this is choppy.
TREND, CHOPPY = 1 / 3, 0.5


@dataclass(frozen=True)
class Regime:
    """One row of the table. The shares and the log returns of a division add up over its regimes.

    division: what the market was divided by; name: of the regime. share: of the decisions.
    log_return: net, of the steps decided in it. per_decision: its mean. exposure: mean |position|.
    trades: orders filled.
    """

    division: str
    name: str
    share: float
    log_return: float
    per_decision: float
    exposure: float
    trades: int


def regime_table(path: MarketPath, record: Record) -> list[Regime]:
    """Regimes as the state knows them at each decision: confirmed trend, volatility of an hour
    against the median of the period, choppiness."""
    at = np.searchsorted(path.arrays.ts, record.ts)
    rows = path.arrays.view(np.ndarray)[at]
    trend, sigma = path.trend[at], rows["sigma_hour"]
    # a ruined account ends at what the liquidation left of it
    left = np.maximum(record.equity, np.finfo(np.float64).tiny)
    step = np.diff(np.log(left), prepend=0.0)
    wild = sigma > np.median(sigma)
    divisions: dict[str, dict[str, NDArray[np.bool_]]] = {
        "trend": {"rising": trend > TREND, "falling": trend < -TREND,
                  "none": np.abs(trend) <= TREND},
        "volatility": {"calm": ~wild, "wild": wild},
        "choppiness": {"smooth": rows["choppiness"] <= CHOPPY,
                       "choppy": rows["choppiness"] > CHOPPY},
    }  # fmt: skip
    return [
        _regime(division, name, chosen, step, record)
        for division, regimes in divisions.items()
        for name, chosen in regimes.items()
        if chosen.any()
    ]


def _regime(
    division: str, name: str, chosen: NDArray[np.bool_], step: NDArray[np.float64], record: Record
) -> Regime:
    return Regime(
        division, name, float(chosen.mean()), float(step[chosen].sum()),
        float(step[chosen].mean()), float(np.abs(record.position[chosen]).mean()),
        int(record.traded[chosen].sum()),
    )  # fmt: skip
