"""Stream names, and the messages that they carry."""

from __future__ import annotations

from dataclasses import dataclass

from apex_trader.market.types import I64
from tests.local_exchange.feed import FILL_OFFSET, Listing, Venue
from tests.local_exchange.text import decimal_texts

#: Events of trades, and the part of the futures venue ("category" of its address) that sends them.
CATEGORIES = {"aggTrade": "market", "trade": "public"}


@dataclass(frozen=True)
class Stream:
    """One stream: all events of a kind of one symbol."""

    symbol: str
    event: str

    @property
    def name(self) -> str:
        """As clients write it."""
        return f"{self.symbol.lower()}@{self.event}"


def parse_stream(name: str) -> Stream | None:
    """The stream of that name; None for those that never say anything here."""
    symbol, _, event = name.partition("@")
    return Stream(symbol.upper(), event) if event in CATEGORIES else None


def messages(
    listing: Listing, rows: I64, event: str, known: I64, *, micros: bool = False
) -> list[str]:
    """One message a row, as JSON; ``known`` [rows] is when each trade became known (E)."""
    trades, ids = listing.trades.take(rows), listing.ids[rows].tolist()
    unit = 1 if micros else 1000
    columns = zip(
        ids, decimal_texts(trades.price, listing.price_places),
        decimal_texts(trades.amount, listing.amount_places), (known // unit).tolist(),
        (trades.ts // unit).tolist(), (trades.side < 0).tolist(), strict=True,
    )  # fmt: skip
    make = _aggregate if event == "aggTrade" else _single
    return [make(listing.venue, listing.symbol, *row) for row in columns]


def _aggregate(venue: Venue, s: str, a: int, p: str, q: str, sent: int, t: int, m: bool) -> str:
    tail = ',"M":true' if venue == "spot" else ""
    fill = a + FILL_OFFSET
    return (
        f'{{"e":"aggTrade","E":{sent},"s":"{s}","a":{a},"p":"{p}","q":"{q}",'
        f'"f":{fill},"l":{fill},"T":{t},"m":{"true" if m else "false"}{tail}}}'
    )


def _single(venue: Venue, s: str, a: int, p: str, q: str, sent: int, t: int, m: bool) -> str:
    tail = ',"M":true' if venue == "spot" else ',"X":"MARKET"'
    return (
        f'{{"e":"trade","E":{sent},"s":"{s}","t":{a + FILL_OFFSET},"p":"{p}","q":"{q}",'
        f'"T":{t},"m":{"true" if m else "false"}{tail}}}'
    )
