"""What simple and adaptive policies gain on a tape before costs: whether something is planted.

A policy decides each 5 s from trades before the decision and is filled at the first trade at or
after it, at no cost. On a martingale its mean gain is zero, whatever it looks at; on a tape that
foretells itself one of these has it. The day is the unit of significance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from apex_trader.market.types import Trades
from apex_trader.time import MINUTE, SECOND

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Time between decisions, and how long a day's first and last decisions keep from its ends.
STEP, MARGIN = 5 * SECOND, 30 * MINUTE
#: Looks back of the policies, seconds.
BACK = (1, 5, 15, 60)
#: Days that the regression learns from before it trades, and the weight that holds it at zero.
LEARNING_DAYS, RIDGE = 3, 1e3


class EdgeTest:
    """Gains of policies, day after day; the regression learns from the days before.

    leak: µs by which every signal sees ahead, to show that a fault is found.
    """

    def __init__(self, leak: int = 0) -> None:
        self._leak = leak
        self._square: F64 | None = None
        self._cross: F64 | None = None
        self._days = 0

    def gains(self, tape: Trades, other: Trades) -> dict[str, float]:
        """Mean log return per decision of each policy on one day's tape, beside the other symbol's.

        A policy holds the sign of its signal from one decision to the next. "adaptive" holds the
        sign of what ridge regression on all signals forecasts, fitted on earlier days (absent
        until there are LEARNING_DAYS of them).
        """
        first = -(-(int(tape.ts[0]) + MARGIN) // MINUTE) * MINUTE
        ts = np.arange(first, int(tape.ts[-1]) - MARGIN, STEP)
        fill = np.log(tape.price[np.searchsorted(tape.ts, ts, side="left")])
        earned, ts = np.diff(fill), ts[:-1]
        named = signals(tape, other, ts, self._leak)
        found = {name: float((np.sign(s) * earned).mean()) for name, s in named.items()}
        table = np.stack([s / max(float(s.std()), 1e-12) for s in named.values()], axis=1)
        forecast = self._forecast(table)
        if forecast is not None:
            found["adaptive"] = float((np.sign(forecast) * earned).mean())
        self._learn(table, earned / max(float(earned.std()), 1e-12))
        return found

    def _forecast(self, table: F64) -> F64 | None:
        if self._square is None or self._cross is None or self._days < LEARNING_DAYS:
            return None
        held = self._square + RIDGE * np.eye(len(self._square))
        forecast: F64 = table @ np.linalg.solve(held, self._cross)
        return forecast

    def _learn(self, table: F64, earned: F64) -> None:
        square, cross = table.T @ table, table.T @ earned
        self._square = square if self._square is None else self._square + square
        self._cross = cross if self._cross is None else self._cross + cross
        self._days += 1


def signals(tape: Trades, other: Trades, ts: I64, leak: int = 0) -> dict[str, F64]:
    """What policies look at [n] at each decision: trends of both symbols, where the price stands in
    its minute, order flow and activity. All of it odd in the price: it says up or down."""
    seen = ts + leak
    own, reference = _last(tape, seen), _last(other, seen)
    begun = (seen - 1) // MINUTE * MINUTE
    found = {}
    for back in BACK:
        found[f"trend {back} s"] = own - _last(tape, seen - back * SECOND)
        found[f"reference trend {back} s"] = reference - _last(other, seen - back * SECOND)
        found[f"reference ahead {back} s"] = (
            found[f"reference trend {back} s"] - found[f"trend {back} s"]
        )
    high, low, opened = _range_since(tape, begun, seen)
    inside = seen - begun
    found["from the open"] = own - opened
    found["from the middle of the minute"] = own - 0.5 * (high + low)
    found["at an extreme of the minute"] = (own >= high).astype(float) - (own <= low)
    for name, part in (("early", inside <= 20 * SECOND), ("late", inside > 40 * SECOND)):
        found[f"trend 5 s, {name}"] = found["trend 5 s"] * part
        found[f"reference trend 5 s, {name}"] = found["reference trend 5 s"] * part
    rows = _row(tape, seen) - _row(tape, seen - 5 * SECOND)
    flow = np.concatenate([[0.0], np.cumsum(tape.side * tape.amount)])
    found["flow 5 s"] = flow[_row(tape, seen)] - flow[_row(tape, seen - 5 * SECOND)]
    found["trend 5 s, busy"] = found["trend 5 s"] * (rows > np.median(rows))
    found["trend 5 s, quiet"] = found["trend 5 s"] * (rows <= np.median(rows))
    return found


def _row(tape: Trades, ts: I64) -> I64:
    return np.asarray(np.searchsorted(tape.ts, ts, side="left"), np.int64)


def _last(tape: Trades, ts: I64) -> F64:
    """Log price of the last trade before each time."""
    return np.asarray(np.log(tape.price[np.maximum(_row(tape, ts) - 1, 0)]))


def _range_since(tape: Trades, since: I64, ts: I64) -> tuple[F64, F64, F64]:
    """(highest, lowest, first) log price of the trades in [since, ts); the last one before, where
    there are none."""
    start, stop = _row(tape, since), _row(tape, ts)
    start = np.minimum(start, np.maximum(stop - 1, 0))
    bounds = np.stack([start, np.maximum(stop, start + 1)], axis=1).ravel()
    log_price = np.append(np.log(tape.price), 0.0)
    high = np.maximum.reduceat(log_price, bounds)[::2]
    low = np.minimum.reduceat(log_price, bounds)[::2]
    return high, low, log_price[start]


def t_statistics(days: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """(mean gain, its t over the days) of each policy."""
    found = {}
    for name in {name: None for day in days for name in day}:
        gain = np.array([day[name] for day in days if name in day])
        error = max(float(gain.std(ddof=1)) / np.sqrt(len(gain)), 1e-18)
        found[name] = (float(gain.mean()), float(gain.mean()) / error)
    return found


def sure_t(days: list[dict[str, float]], level: float = 0.05) -> float:
    """The t beyond which one policy of all these is more than the best of so many chances.

    Student's t over the days, two-sided, for whoever does a policy's opposite has its loss; the
    level is shared by the policies (Bonferroni).
    """
    policies = {name for day in days for name in day}
    return float(stats.t.ppf(1.0 - 0.5 * level / len(policies), len(days) - 1))
