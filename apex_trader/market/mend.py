"""Which command brings a period of a store anew."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import numpy as np

from apex_trader.market import intervals
from apex_trader.market.exchange.config import ARCHIVES
from apex_trader.market.store import MarketStore
from apex_trader.market.transaction import split_market
from apex_trader.market.types import I64
from apex_trader.time import DAY, format_date

#: Commands that are shown for one finding.
SHOWN = 3


def mending(
    store: MarketStore,
    market: str,
    kinds: Sequence[str],
    spans: I64,
    *,
    replace: bool = True,
    source: str = "",
) -> str:
    """The command that downloads ``spans`` ([k, 2] µs, widened to whole days) of some kinds.

    replace: in place of what is there; otherwise only what is missing. Of a market that no known
    exchange has, what else can be done. A line each; of many spans the first ones.
    """
    if store.info(market).synthetic is not None:
        return "the market is synthetic: synthesize it again, into another store"
    exchange, symbol = split_market(market)
    if exchange not in ARCHIVES:
        period = " with --replace" if replace else ""
        return f"import that period again{period}"
    days = intervals.union(intervals.round_out(spans, DAY))
    options = (["--source", source] if source else []) + (["--replace"] if replace else [])
    commands = [
        shlex.join([
            "python", "-m", "apex_trader.data", "download", "--store", store.url, "--exchange",
            exchange, "--symbols", symbol, "--kinds", ",".join(kinds), "--from", format_date(start),
            "--to", format_date(end), *options,
        ])
        for start, end in days[:SHOWN].tolist()
    ]  # fmt: skip
    more = len(days) - SHOWN
    return "\n".join(commands + ([f"and so for {more:,} more stretches"] if more > 0 else []))


def days_of(ts: I64) -> I64:
    """The days that hold these times, as intervals; days next to each other are one."""
    starts = np.unique(ts // DAY) * DAY
    return intervals.union(np.stack([starts, starts + DAY], axis=1))
