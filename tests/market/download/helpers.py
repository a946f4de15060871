"""What tests of the download share: requests to a local exchange, and comparing stores."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from apex_trader.market.download.download import DownloadRequest, DownloadResult, download
from apex_trader.market.download.want import Want
from apex_trader.market.store import MarketStore
from apex_trader.market.transaction import WriteSummary
from apex_trader.time import DAY
from tests.local_exchange import Clock, Feed, LocalExchange
from tests.market.exchange.local import config
from tests.market.samples import MONDAY

SPOT = ("trades", "1s", "1m", "1h", "1d")


class Silent:
    """A ``Watch`` that remembers what it was told."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self.bytes: Counter[str] = Counter()
        self.covered: Counter[str] = Counter()

    def planned(self, wanted: Want, micros: int) -> None:
        self.bytes[str(wanted)] = 0

    def received(self, wanted: Want, size: int) -> None:
        self.bytes[str(wanted)] += size

    def delivered(self, wanted: Want, covered: tuple[int, int], summary: WriteSummary) -> None:
        self.covered[str(wanted)] += covered[1] - covered[0]

    def remark(self, text: str) -> None:
        self.remarks.append(text)


def opened(given: Feed, **options: Any) -> LocalExchange:
    """A local exchange, days after its last trade unless a clock is given."""
    clock = options.pop("clock", None) or Clock(given.end // DAY * DAY + 3 * DAY, speed=0)
    return LocalExchange(given, clock=clock, **options)


def request(
    exchange: LocalExchange, name: str = "binance", settings: dict[str, Any] | None = None,
    **changes: Any,
) -> DownloadRequest:  # fmt: skip
    """All kinds of one day of ETHUSDT, unless said otherwise."""
    given: dict[str, Any] = {
        "symbols": ("ETHUSDT",), "kinds": SPOT if name == "binance" else ("1m", "1d", "funding"),
        "start": MONDAY, "end": MONDAY + DAY, **changes,
    }  # fmt: skip
    return DownloadRequest(config(exchange, name, **(settings or {})), **given)


def fetch(store: MarketStore, wanted: DownloadRequest) -> DownloadResult:
    """Download, with a generator of its own."""
    return download(store, wanted, Silent(), np.random.default_rng(0))


def content(store: MarketStore) -> dict[str, bytes]:
    """Every file in the store's folder, by its path."""
    root = Path(store.url)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
