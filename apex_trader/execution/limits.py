"""The risk limits: which of the positions that an agent asks for may be taken."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from apex_trader.execution.config import RiskConfig
from apex_trader.time import DAY, MINUTE, SECOND

#: Reasons for which risk is not added; the first words of what a journal says.
POSITION, ORDER, RATE = "position limit", "order limit", "order rate"
DAILY_LOSS, DRAWDOWN = "daily loss", "drawdown"
STALE, SKEW, UNUSUAL = "stale data", "clock skew", "unusual state"
HALTED = "halted"


@dataclass(frozen=True)
class Situation:
    """What is known when an order is to be sent.

    ts: µs of the decision. now: µs by the exchange's clock. known: µs up to which the market is
    known. skew: seconds that this machine's clock is off the exchange's. clipped: share of the
    state's features at the edge of their range. equity: quote currency. position: −1, 0, 1. value,
    wanted_value: of the position held and of the one asked for, quote currency, signed.
    """

    ts: int
    now: int
    known: int
    skew: float
    clipped: float
    equity: float
    position: int
    value: float
    wanted_value: float


class Ruling(NamedTuple):
    """target: the position that may be taken, −1, 0, 1. reason: why not what was asked; or ""."""

    target: int
    reason: str


class RiskLimits:
    """Rules on every order, and remembers what they need: peaks, the day's start, recent orders.

    An order that adds risk and breaks a limit is refused: the position stays, and of a flip the
    closing half remains. A loss limit closes the position. Nothing that reduces risk is refused.
    """

    def __init__(self, config: RiskConfig) -> None:
        self.config = config
        self._orders: deque[int] = deque()
        self._day = -1
        self._day_equity = self._peak = math.nan
        self._lost_on = -1
        #: Why the run must halt; "" while it may go on.
        self.halt = ""

    def mark(self, ts: int, equity: float) -> None:
        """Take note of the equity at a decision (µs), before anything is asked there."""
        day = ts // DAY
        if day != self._day:
            self._day, self._day_equity = day, equity
        self._peak = equity if math.isnan(self._peak) else max(self._peak, equity)
        lost = 1.0 - equity / self._day_equity
        if lost >= self.config.daily_loss and self._lost_on != day:
            self._lost_on = day
        if 1.0 - equity / self._peak >= self.config.drawdown and not self.halt:
            self.halt = (
                f"{DRAWDOWN}: equity {equity:,.2f} is {1.0 - equity / self._peak:.1%} below its "
                f"highest, {self._peak:,.2f} (risk.drawdown={self.config.drawdown:g})"
            )

    def sent(self, ts: int) -> None:
        """An order was sent at a time (µs)."""
        self._orders.append(ts)

    def rule(self, wanted: int, now: Situation) -> Ruling:
        """What may be done instead of taking the position ``wanted``."""
        forced = self._forced()
        if forced:
            return Ruling(0, forced if now.position or wanted else "")
        if wanted in (0, now.position):
            return Ruling(wanted, "")
        reason = self._refusal(now)
        return Ruling(0 if reason else wanted, reason)

    def state(self) -> dict[str, Any]:
        """Plain values, to go on from after a restart."""
        return {
            "orders": list(self._orders), "day": self._day, "day_equity": self._day_equity,
            "peak": self._peak, "lost_on": self._lost_on, "halt": self.halt,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """See ``state``."""
        self._orders = deque(state["orders"])
        self._day, self._day_equity = int(state["day"]), float(state["day_equity"])
        self._peak, self._lost_on = float(state["peak"]), int(state["lost_on"])
        self.halt = str(state["halt"])

    def _forced(self) -> str:
        """Why the position must be closed now; "" when it need not."""
        if self.halt:
            return f"{HALTED}: {self.halt}"
        if self._lost_on == self._day and self._day >= 0:
            return f"{DAILY_LOSS}: nothing is opened until the next day (UTC)"
        return ""

    def _refusal(self, now: Situation) -> str:
        """Which limit an order that adds risk breaks; "" for none."""
        config = self.config
        age, traded = (now.now - now.known) / SECOND, abs(now.wanted_value - now.value)
        while self._orders and self._orders[0] <= now.ts - MINUTE:
            self._orders.popleft()
        broken = {
            POSITION: abs(now.wanted_value) > config.max_position * now.equity,
            ORDER: traded > config.max_order * now.equity,
            RATE: len(self._orders) >= config.orders_per_minute,
            STALE: age > config.stale_after,
            SKEW: not abs(now.skew) <= config.max_skew,
            UNUSUAL: not now.clipped <= config.max_clipped,
        }
        figures = {
            POSITION: f"{abs(now.wanted_value):,.2f} of equity {now.equity:,.2f}",
            ORDER: f"{traded:,.2f} of equity {now.equity:,.2f}",
            RATE: f"{len(self._orders)} orders in the last minute",
            STALE: f"the market is known up to {age:.1f} s ago",
            SKEW: f"this machine's clock is {now.skew:+.2f} s off the exchange's",
            UNUSUAL: f"{now.clipped:.1%} of the state at the edge of its range",
        }
        return next((f"{name}: {figures[name]}" for name, hit in broken.items() if hit), "")
