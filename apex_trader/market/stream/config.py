"""How the live feed behaves."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from apex_trader.errors import ConfigError


@dataclass(frozen=True)
class StreamConfig:
    """The live feed. All values are seconds, of the exchange's time.

    watermark: how long after its end a second is known to be whole, when nothing proves it sooner;
    must lie inside the trading latency, since decisions wait for it. reorder: how long a trade may
    be overtaken by later ones before REST is asked for it. patience: how long closing waits for
    trades that are known to be missing while the socket is alive and nothing comes of asking;
    after that seconds close incomplete.
    ping: time between pings, whose pongs close quiet seconds; 0: none are sent (then a second
    without a later trade waits for one). stall: a socket without any frame, or a market without
    trades where REST has some, for so long has stalled and is replaced.
    backoff, backoff_limit: wait before connecting again, doubled each time, and at most.
    skew: time between measurements of the exchange's clock. save: time between writes to the
    store: what a crash costs is asked for again by REST. reach: how far back REST may go to join
    what the store holds; older holes are for ``data download``.
    """

    watermark: float = 0.3
    reorder: float = 0.1
    patience: float = 60.0
    ping: float = 1.0
    stall: float = 10.0
    backoff: float = 0.25
    backoff_limit: float = 30.0
    skew: float = 60.0
    save: float = 60.0
    reach: float = 86_400.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            least = 0.0 if name in ("reorder", "ping", "reach") else 1e-3
            if not (math.isfinite(value) and value >= least):
                allowed = "0 or more seconds" if least == 0 else "more than 0 seconds"
                raise ConfigError(f"stream.{name}", value, allowed)
        if self.backoff_limit < self.backoff:
            raise ConfigError("stream.backoff_limit", self.backoff_limit, "at least backoff")
        if self.ping and self.stall < 2 * self.ping:
            raise ConfigError("stream.stall", self.stall, "at least twice stream.ping")
