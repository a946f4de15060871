"""A venue of paper: orders fill at the live trades, as the simulator's do."""

from __future__ import annotations

import numpy as np

from apex_trader.execution.orders import Order, Outcome
from apex_trader.market.fills import FillConfig, order_fills
from apex_trader.market.source import MarketSource
from apex_trader.state.outcomes import fill_prices

NOT_FILLED = "nobody traded while the order waited"


class PaperVenue:
    """Fills each order at the first trade from its arrival to its deadline, on trades or, where the
    stream keeps none, at the opens of seconds.

    Args:
        market: the traded one; it must be known up to an order's deadline when that is asked for.
        fills: latency and wait of an order, for how far to look.
    """

    def __init__(self, market: MarketSource, fills: FillConfig) -> None:
        self._market, self._fills = market, fills

    def send(self, order: Order) -> None:
        """See ``Venue.send``: paper has nobody to send it to."""

    def outcome(self, order: Order) -> Outcome:
        """See ``Venue.outcome``."""
        prices = fill_prices(self._market, "1s", order.ts, order.ts, self._fills)
        latency, wait = order.arrives - order.ts, order.deadline - order.arrives
        price, ts = order_fills(np.array([order.ts]), prices, latency, wait)
        found = float(price[0])
        return Outcome(found, int(ts[0]), NOT_FILLED if np.isnan(found) else "")

    def differs(self, quantity: float) -> str:
        """See ``Venue.differs``: paper holds what the account says."""
        return ""
