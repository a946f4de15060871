"""Figures of a record. Ratios come from empyrical and use a 365-day year."""

from __future__ import annotations

import math
import warnings

import empyrical
import numpy as np
import pandas as pd

from apex_trader.evaluation.record import Record

#: Fewer days than this carry no annualised figure.
MIN_DAYS = 5
YEAR = 365


def summarize(record: Record) -> dict[str, float]:
    """Figures of one record; NaN where the period is too short to tell.

    net_return, gross_return, fee, slippage, funding: shares of the starting equity.
    sharpe, sortino, calmar: annualised over 365 days from daily net returns (at least 5 days).
    max_drawdown: of the equity at decision times, ≤ 0. turnover: traded exposure a day.
    exposure: mean |position|; long, short: share of time. trades: fills; trades_per_day.
    hit_rate: share of round trips with a net gain. mean_holding_seconds: of round trips.
    """
    if len(record) == 0:
        raise ValueError(f"{record.name}: no decision in the period")
    days, daily = record.daily_returns()
    change = np.abs(np.diff(record.position, prepend=0.0))
    closed = closed_trades(record)
    figures = {
        "net_return": record.equity[-1] - 1.0,
        "gross_return": record.gross[-1] - 1.0,
        "fee": record.fee.sum(),
        "slippage": record.slippage.sum(),
        "funding": record.funding.sum(),
        "max_drawdown": float(drawdown(record).min()),
        "days": float(len(days)),
        "decisions": float(len(record)),
        "turnover": change.sum() / len(days),
        "exposure": np.abs(record.position).mean(),
        "long": (record.position > 0).mean(),
        "short": (record.position < 0).mean(),
        "trades": float(record.traded.sum()),
        "trades_per_day": record.traded.sum() / len(days),
        "hit_rate": (closed["gain"] > 0).mean() if len(closed) else math.nan,
        "mean_holding_seconds": closed["seconds"].mean() if len(closed) else math.nan,
    }
    return {k: float(v) for k, v in (figures | annualised(daily)).items()}


def annualised(daily: np.ndarray) -> dict[str, float]:
    """Sharpe, Sortino and Calmar of daily net returns [d]; NaN for fewer than 5 days."""
    names = ("sharpe", "sortino", "calmar")
    if len(daily) < MIN_DAYS or np.ptp(daily) == 0:
        return dict.fromkeys(names, math.nan)
    returns = pd.Series(daily)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        values = (
            empyrical.sharpe_ratio(returns, annualization=YEAR),
            empyrical.sortino_ratio(returns, annualization=YEAR),
            empyrical.calmar_ratio(returns, annualization=YEAR),
        )
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def drawdown(record: Record) -> np.ndarray:
    """[n] equity below its running peak (the start counts), as a share ≤ 0."""
    peak = np.maximum(np.maximum.accumulate(record.equity), 1.0)
    return record.equity / peak - 1.0


def closed_trades(record: Record) -> pd.DataFrame:
    """Round trips: one row each with start, end (µs), seconds, side and gain (net, of equity).

    A trip ends with the fill that closes or turns its position; one that is still open when the
    record ends is valued as if it was left at the last mark, exit costs and all.
    """
    frame = pd.DataFrame(record.trips)
    frame["seconds"] = (frame["end"] - frame["start"]) / 1e6
    return frame[["start", "end", "seconds", "side", "gain"]]
