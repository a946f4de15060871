"""What an account did, entry by entry, as raw books: every record is made from such a journal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.record import Record
from apex_trader.evaluation.trips import round_trips
from apex_trader.trading.account import Rules, executed_price
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath
from apex_trader.trading.rewards import TERMS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_PLACES, _SMALL = ("row", "next_row", "episode"), ("action", "transactions", "jump", "ruined")
_BOOKS = (
    "position", "equity", "pnl", "fee", "slippage", "funding", "quantity", "entry_price",
    "realised",
)  # fmt: skip
#: One step, or one jump over a gap (jump 1: no decision, action and transactions are 0). row,
#: next_row: global rows that it leads from and to. position, equity, quantity, entry_price,
#: realised: the account's after it. pnl (before costs), fee, slippage, funding: of it, in quote
#: currency. ruined: 1 when it liquidated the account.
ENTRY = np.dtype(
    [(n, np.float64) for n in _BOOKS]
    + [(n, np.int32) for n in _PLACES]
    + [(n, np.int8) for n in _SMALL]
)


@dataclass(frozen=True)
class Journal:
    """Entries [n] of dtype ENTRY of one account in time order, and reward terms [n, T] of each
    (zero in a jump); None where nobody asked for them."""

    entries: NDArray[Any]
    terms: F64 | None


def exit_costs(quantity: float, log_price: float, rules: Rules) -> F64:
    """[3] fee, slippage and funding, quote currency, of leaving a signed quantity at a price."""
    price = math.exp(log_price)
    executed = executed_price(price, -1 if quantity > 0.0 else 1, rules)
    slippage = abs(quantity) * abs(executed - price)
    return np.array([rules.fee * abs(quantity) * executed, slippage, 0.0])


def record_of(journal: Journal, path: MarketPath, trading: TradingConfig, name: str) -> Record:
    """The record of a journal, its account wound up: what is open is valued as if it was left.

    Costs of a jump join the step behind it; where the jump ruined the account, the one before.
    """
    entries, terms, start = journal.entries, journal.terms, trading.initial_equity
    step = np.flatnonzero(entries["jump"] == 0)
    # the step that each entry counts for
    owner = np.minimum(np.searchsorted(step, np.arange(len(entries))), len(step) - 1)
    steps, rows = entries[step], path.arrays.view(np.ndarray)
    before = np.concatenate([[start], entries["equity"][:-1]])
    gross = np.cumprod(1.0 + entries["pnl"] / before)
    costs = np.stack([
        np.bincount(owner, entries[kind], len(step)) / start
        for kind in ("fee", "slippage", "funding")
    ])  # fmt: skip
    closing = rows[int(steps["next_row"][-1])]
    left = exit_costs(float(entries["quantity"][-1]), float(closing["mark"]), Rules.of(trading))
    equity, position, gained = steps["equity"].copy(), steps["position"].copy(), gross[step]
    equity[-1] = entries["equity"][-1] - left.sum()
    position[-1], gained[-1] = entries["position"][-1], gross[-1]
    costs[:, -1] += left / start
    at = steps["row"]
    return Record(
        name=name,
        ts=rows["ts"][at],
        mark=np.exp(rows["mark"][at]),
        action=steps["action"].astype(np.uint8),
        position=position,
        equity=equity / start,
        gross=gained,
        fee=costs[0].copy(),
        slippage=costs[1].copy(),
        funding=costs[2].copy(),
        traded=steps["transactions"] > 0,
        episode=steps["episode"].astype(np.int32),
        terms={} if terms is None else {term: terms[step, i] for i, term in enumerate(TERMS)},
        trips=round_trips(entries, rows, start, float(left.sum())).copy(),
        ruined=bool(entries["ruined"][-1]),
    )
