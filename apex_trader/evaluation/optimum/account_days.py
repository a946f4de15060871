"""A planned policy's account over a path, day by day, at the simulator's own books."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.evaluation.backtest import episode_starts
from apex_trader.evaluation.journal import exit_costs
from apex_trader.evaluation.optimum.policy import TablePolicy
from apex_trader.time import DAY
from apex_trader.trading.account import ACCOUNT, Ledger, MarketStep, Rules, book, new_ledger
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_EQUITY = (ACCOUNT.names or ()).index("equity")


@dataclass(frozen=True)
class AccountDays:
    """What one account earned; d = UTC days with decisions.

    days [d] µs. quote [d]: log return of the equity of each day, the exit of a position left open
    at the end in its last. log [d]: return of the log account, the sum of position · log return
    less costs, which planning is for. transactions [d]. All are 0 on the days that a ruined
    account does not live to see.
    """

    days: I64
    quote: F64
    log: F64
    transactions: I64


def account_days(path: MarketPath, policy: TablePolicy, trading: TradingConfig) -> AccountDays:
    """One account over the whole path, as ``backtest.run_continuous`` runs it, in one kernel."""
    starts = episode_starts(path)
    ledger, rules = new_ledger(1, trading), Rules.of(trading)
    wanted = Actions.of(trading).wanted[np.arange(3), policy.best]
    rows = path.arrays.view(np.ndarray)
    row, equity, earned, count = _run(rows, starts, wanted, ledger.view(np.ndarray), rules)
    _leave(ledger, rows[row[-1]], rules, trading, equity, earned)
    day = rows["ts"][row - (rows["next_row"][row] < 0)] // DAY * DAY
    lived, first = np.unique(day, return_index=True)
    days = np.unique(rows["ts"][path.startable] // DAY * DAY)
    last = np.append(first[1:], len(day)) - 1
    ends = np.concatenate([[trading.initial_equity], equity[last]])
    quote, log = np.zeros(len(days)), np.zeros(len(days))
    transactions = np.zeros(len(days), np.int64)
    at = np.searchsorted(days, lived)
    quote[at] = np.diff(np.log(np.maximum(ends, np.finfo(np.float64).tiny)))
    log[at], transactions[at] = np.add.reduceat(earned, first), np.add.reduceat(count, first)
    return AccountDays(days, quote, log, transactions)


def _leave(
    ledger: Ledger, row: Any, rules: Rules, trading: TradingConfig, equity: F64, earned: F64
) -> None:
    """Books the exit of a position that is left at the end, as a record does."""
    costs = exit_costs(float(ledger.quantity[0]), float(row["mark"]), rules)
    equity[-1] -= float(costs.sum())
    earned[-1] -= trading.exposure * abs(int(ledger.position[0])) * (rules.fee + rules.slippage)


@njit(cache=True, nogil=True)
def _run(rows: NDArray[Any], starts: I64, wanted: NDArray[np.int8], ledger: NDArray[Any],
         rules: Rules) -> tuple[I64, F64, F64, I64]:  # fmt: skip
    """After each step: (row it led to, equity, log return of it, transactions)."""
    account, size = ledger[0], len(rows) + len(starts)
    at, equity = np.empty(size, np.int64), np.empty(size)
    earned, count = np.empty(size), np.empty(size, np.int64)
    n, ruined = 0, False
    for episode in range(len(starts)):
        row = starts[episode]
        if episode > 0:
            before, funding = at[n - 1], 0.0
            for passed in range(before, row):
                funding += rows[passed].funding
            step = MarketStep(rows[before].ts, rows[row].ts, rows[before].mark, rows[row].mark,
                              np.nan, 0, funding)  # fmt: skip
            booked = book(account, account.position, step, rules)
            at[n], equity[n], earned[n] = row, account.equity, booked.core
            count[n], ruined, n = booked.transactions, booked.ruined, n + 1
        while not ruined and rows[row].next_row >= 0:
            now, later = rows[row], rows[rows[row].next_row]
            step = MarketStep(now.ts, later.ts, now.mark, later.mark, now.fill_price, now.fill_ts,
                              now.funding)  # fmt: skip
            booked = book(account, wanted[row, account.position + 1], step, rules)
            row = now.next_row
            at[n], equity[n], earned[n] = row, account.equity, booked.core
            count[n], ruined, n = booked.transactions, booked.ruined, n + 1
        if ruined:
            break
    return at[:n], equity[:n], earned[:n], count[:n]
