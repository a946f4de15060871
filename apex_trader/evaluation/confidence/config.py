"""What confidence is about, and when an order is refused for lack of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from apex_trader.errors import ConfigError

#: A way from an order's features to its confidence; "auto" takes the one that foretells best.
Method = Literal["auto", "constant", "logistic", "beta", "isotonic", "market"]


@dataclass(frozen=True)
class ConfidenceConfig:
    """Confidence: the probability that an order beats keeping the position, net of costs.

    gate: an order that adds risk (an entry, or the entry half of a flip) passes at this confidence
        or above; refused, it leaves the account flat. Closing always passes. 0 lets all pass.
    horizon: decisions over which both choices are held and compared. The default is 1/(1 − γ) of
        the learner's γ 0.99, the time over which Q weighs what comes.
    method: how advantage becomes probability; "auto" takes, of all of them, the one with the
        least log loss on calibration days left out in turn.
    min_days: calibration days with orders below which confidence is not calibrated, and the gate
        not used. min_orders: the same for the orders on them.
    folds: groups of calibration days that are left out in turn; where there are fewer days, each.
    draws: of days, in the bootstrap of every interval.
    """

    gate: float = 0.7
    horizon: int = 100
    method: Method = "auto"
    min_days: int = 3
    min_orders: int = 100
    folds: int = 10
    draws: int = 1_000

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gate) and 0.0 <= self.gate <= 1.0):
            raise ConfigError("confidence.gate", self.gate, "0 (all orders pass) to 1")
        for name, least in (("horizon", 1), ("min_days", 2), ("min_orders", 1), ("folds", 2),
                            ("draws", 100)):  # fmt: skip
            if getattr(self, name) < least:
                raise ConfigError(
                    f"confidence.{name}", getattr(self, name), f"a whole number, {least} or more"
                )
