"""What the live feed hands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.types import I64


@dataclass(frozen=True)
class LiveSeconds(ClosedSeconds):
    """Closed seconds of a live feed.

    closed_at: the exchange's time (µs) when they closed. incomplete: by market, the seconds of
    [start, until) that closed although trades of theirs may be missing; absent: none.
    """

    closed_at: int = 0
    incomplete: Mapping[str, I64] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every trade of these seconds is there, as far as the exchange says."""
        return not any(len(seconds) for seconds in self.incomplete.values())
