"""What brings a period of a store anew: commands where there are such, otherwise words."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from apex_trader.market import intervals
from apex_trader.market.exchange.config import ARCHIVES, LACKING
from apex_trader.market.kinds import KINDS
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

    replace: in place of what is there; otherwise only what is missing. Kinds that the exchange
    does not give are to be imported again: then that is said. A line each; of many spans the first.
    """
    if store.info(market).synthetic is not None:
        return "the market is synthetic: synthesize it again, into another store"
    exchange, symbol = split_market(market)
    days = intervals.union(intervals.round_out(spans, DAY))
    given = [kind for kind in kinds if kind in downloadable(exchange)]
    lines = []
    if given:
        only = source if exchange in ARCHIVES else "rest"
        options = (["--source", only] if only else []) + (["--replace"] if replace else [])
        lines += _shown(days, lambda start, end: shlex.join([
            "python", "-m", "apex_trader.data", "download", "--store", store.url, "--exchange",
            exchange, "--symbols", symbol, "--kinds", ",".join(given), "--from", start, "--to", end,
            *options,
        ]))  # fmt: skip
    if "trades" in given and exchange not in ARCHIVES:
        lines.append(f"{exchange} may give only its latest trades over REST: files of older ones "
                     f"are imported again{_over(replace)}")  # fmt: skip
    if left := [kind for kind in kinds if kind not in given]:
        what = f"{exchange} gives no {' and no '.join(left)} to download"
        periods = "; ".join(_shown(days, lambda start, end: f"{start} to {end}"))
        lines.append(f"{what}: import the files of {periods} again{_over(replace)}")
    return "\n".join(lines)


@lru_cache
def downloadable(exchange: str) -> frozenset[str]:
    """The kinds that ``data download`` can bring of an exchange, by what ccxt says that it has."""
    if exchange in ARCHIVES:
        return frozenset(kind for kind in KINDS if (exchange, kind) not in LACKING)
    # Importing ccxt takes a second, which a store of Binance's markets need not spend.
    import ccxt

    if exchange not in ccxt.exchanges:
        return frozenset()
    client = getattr(ccxt, exchange)()
    abilities = {"trades": "fetchTrades", "funding": "fetchFundingRateHistory"}
    found = {kind for kind, ability in abilities.items() if client.has.get(ability) is True}
    if client.has.get("fetchOHLCV") is True:
        found |= set(KINDS) & set(client.timeframes or {})
    return frozenset(found)


def days_of(ts: I64) -> I64:
    """The days that hold these times, as intervals; days next to each other are one."""
    starts = np.unique(ts // DAY) * DAY
    return intervals.union(np.stack([starts, starts + DAY], axis=1))


def _shown(days: I64, line: Callable[[str, str], str]) -> list[str]:
    """A line for each of the first stretches, and how many more there are."""
    lines = [line(format_date(start), format_date(end)) for start, end in days[:SHOWN].tolist()]
    more = len(days) - SHOWN
    return lines + ([f"and so for {more:,} more stretches"] if more > 0 else [])


def _over(replace: bool) -> str:
    return " with --replace" if replace else ""
