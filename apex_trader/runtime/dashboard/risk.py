"""How far each risk limit is used, at the latest decision."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apex_trader.execution.config import RiskConfig
from apex_trader.time import DAY, MINUTE, SECOND

#: A limit that is used by this share or more is near.
NEAR = 0.75


@dataclass(frozen=True)
class LimitUse:
    """One limit. used, limit: in words with units. share: of the limit that is used, 0 and up; NaN
    where nothing is known. says: what happens beyond it. setting: its name."""

    name: str
    setting: str
    used: str
    limit: str
    share: float
    says: str

    @property
    def status(self) -> str:
        """Of "unknown", "free", "near" and "hit"."""
        if math.isnan(self.share):
            return "unknown"
        return "hit" if self.share >= 1.0 else "near" if self.share >= NEAR else "free"


@dataclass(frozen=True)
class RiskState:
    """uses: every limit. halted: why the run halts, or "". closed_today: the day's loss limit was
    hit, nothing is opened until the next day."""

    uses: tuple[LimitUse, ...]
    halted: str
    closed_today: bool


def risk_state(config: RiskConfig, last: Mapping[str, Any], order: float) -> RiskState:
    """Of the latest decision (a record of ``DECISIONS``, times in µs).

    order: value of the latest order, quote currency; NaN while there is none.
    """
    known = json.loads(last["limits"])
    equity, value = last["equity"], abs(last["quantity"]) * math.exp(last["mark"] or math.nan)
    orders = sum(ts > last["ts"] - MINUTE for ts in known["orders"])
    lost, fallen = _below(equity, known["day_equity"]), _below(equity, known["peak"])
    age = (last["seen"] - last["ts"]) / SECOND
    skew, clipped = abs(_number(last["skew"])), _number(last["clipped"])
    no_risk = "no risk is added"
    uses = (
        LimitUse("position", "max_position", f"{value / equity:.2f} × equity",
                 f"{config.max_position:g} ×", value / equity / config.max_position,
                 "the order is refused"),
        LimitUse("latest order", "max_order", _text(order / equity, "{:.2f} × equity"),
                 f"{config.max_order:g} ×", order / equity / config.max_order,
                 "the order is refused"),
        LimitUse("orders in the last minute", "orders_per_minute", str(orders),
                 str(config.orders_per_minute), orders / config.orders_per_minute, no_risk),
        LimitUse("loss of the day (UTC)", "daily_loss", f"{lost:.2%}", f"{config.daily_loss:.2%}",
                 lost / config.daily_loss, "the position is closed until the next day"),
        LimitUse("drawdown from the peak", "drawdown", f"{fallen:.2%}", f"{config.drawdown:.2%}",
                 fallen / config.drawdown, "the position is closed, the run halts"),
        LimitUse("age of the data", "stale_after", f"{age:.2f} s", f"{config.stale_after:g} s",
                 age / config.stale_after, no_risk),
        LimitUse("clock skew", "max_skew", _text(skew, "{:.2f} s"), f"{config.max_skew:g} s",
                 skew / config.max_skew, no_risk),
        LimitUse("clipped share of the state", "max_clipped", _text(clipped, "{:.2%}"),
                 f"{config.max_clipped:.2%}", clipped / config.max_clipped, no_risk),
    )  # fmt: skip
    return RiskState(uses, known["halt"], known["lost_on"] == last["ts"] // DAY)


def _below(equity: float, before: float) -> float:
    """Share that was lost since; 0 for a gain, and while nothing is known."""
    lost = 1.0 - equity / before if before else math.nan
    return max(lost, 0.0) if lost == lost else 0.0


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _text(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)
