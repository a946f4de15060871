"""What a download is after: stretches of time of one kind of data of one market."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market import intervals
from apex_trader.market.exchange.config import ARCHIVES, LACKING
from apex_trader.market.exchange.listings import Listing
from apex_trader.market.kinds import KINDS, kind_named
from apex_trader.market.manifest import KindEntry
from apex_trader.market.store import MarketStore
from apex_trader.market.types import I64
from apex_trader.time import SECOND, format_time

#: µs after which the newest events are taken to be all there.
SETTLED = 5 * SECOND


@dataclass(frozen=True)
class Want:
    """One kind of one market in [start, end) µs: whole bars, or whole seconds of events."""

    listing: Listing
    market: str
    kind: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.market} {self.kind}"

    @property
    def span(self) -> I64:
        """The wanted time as intervals."""
        return intervals.one(self.start, self.end)


def offered(exchange: str, kinds: list[str]) -> tuple[list[str], list[str]]:
    """(kinds that the exchange has, a remark for each that it has not), in the order of KINDS.

    ConfigError for a mistyped kind; ApexError when nothing is left.
    """
    known = [kind_named(kind).name for kind in kinds]
    wanted = [kind for kind in KINDS if kind in known]
    remarks = [
        f"{exchange} {kind}: left out, {LACKING[exchange, kind]}"
        for kind in wanted
        if (exchange, kind) in LACKING
    ]
    left = [kind for kind in wanted if (exchange, kind) not in LACKING]
    if not left:
        raise ApexError("; ".join(remarks) or "--kinds is empty: give one of " + ", ".join(KINDS))
    return left, remarks


def want(listing: Listing, market: str, kind: str, start: int, end: int, now: int) -> Want:
    """The want in whole bars (seconds, for events) that are over by ``now``."""
    step = KINDS[kind].step or SECOND
    end = min(end, now - SETTLED)
    return Want(listing, market, kind, -(-start // step) * step, end // step * step)


def check_span(start: int, end: int, now: int) -> None:
    """ConfigError unless [start, end) is some time of the past."""
    if start >= end:
        raise ConfigError("--from", format_time(start), f"before --to {format_time(end)}")
    if start >= now:
        raise ConfigError("--from", format_time(start), f"in the past (now {format_time(now)})")


def missing(store: MarketStore, wanted: Want) -> I64:
    """[k, 2] wanted intervals (µs) that the store's rows do not speak for."""
    entry = store.manifest.markets.get(wanted.market)
    held = KindEntry() if entry is None else entry.kinds.get(wanted.kind, KindEntry())
    return intervals.subtract(wanted.span, held.covered())


def total(parts: I64) -> int:
    """Length (µs) of all intervals together."""
    return int(np.sum(parts[:, 1] - parts[:, 0]))


def has_archive(exchange: str) -> bool:
    """Whether the exchange's public archive is known."""
    return exchange in ARCHIVES
