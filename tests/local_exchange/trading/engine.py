"""The matching engine: orders, accounts and the tape of the market, moved on in the order of time.

Of one moment trades come first, then funding, then what expires. Nothing in here looks ahead: an
order is filled by trades that become known when it has arrived, or at that very moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import numpy as np

from apex_trader.errors import ApexError
from tests.local_exchange.feed import Feed, Listing, Venue
from tests.local_exchange.trading.book import Book, Match, Offer, Print, crosses
from tests.local_exchange.trading.config import Account, TradingConfig
from tests.local_exchange.trading.events import (
    BalanceEvent,
    Event,
    Execution,
    Listener,
    OrderEvent,
    SettingEvent,
)
from tests.local_exchange.trading.filters import Filters, refused
from tests.local_exchange.trading.margin_account import Margin, MarginAccount
from tests.local_exchange.trading.money import exact, to_money
from tests.local_exchange.trading.orders import ZERO, Fill, NewOrder, Order, Status
from tests.local_exchange.trading.spot_account import SpotAccount
from tests.local_exchange.trading.tape import Tape

#: Ids of orders begin here: whoever mixes them up with those of trades shall notice.
FIRST_ORDER = 8_000_001


class Engine:
    """Everything that is traded. ``listen``: who hears of every change, in its order."""

    def __init__(
        self, feed: Feed, accounts: Sequence[Account], config: TradingConfig, now: int
    ) -> None:
        self.config, self.time = config, now
        self.listeners: list[Listener] = []
        self.orders: dict[int, Order] = {}
        self.fills: list[Fill] = []
        self.listings = {listing.info.market: listing for listing in feed.all()}
        self.filters = {market: Filters.of(x) for market, x in self.listings.items()}
        self._tapes = {market: Tape(listing, now) for market, listing in self.listings.items()}
        self._books = {market: Book(self.filters[market].lot) for market in self.listings}
        self._funding = {
            market: int(np.searchsorted(listing.funding.ts, now, side="right"))
            for market, listing in self.listings.items()
        }
        # Trades of this moment: an order that arrives now may still have what is left of them.
        self._offers: dict[tuple[str, int], Offer] = {}
        self.spot: dict[str, SpotAccount] = {}
        self.futures: dict[str, MarginAccount] = {}
        for account in accounts:
            self._admit(account)

    def _admit(self, account: Account) -> None:
        if account.name in self.spot:
            raise ApexError(f"there are two accounts of the name {account.name!r}")
        self.spot[account.name] = spot = SpotAccount(account.name)
        self.futures[account.name] = futures = MarginAccount(
            account.name, account.leverage, self.config.maintenance
        )
        for owned, funds in ((spot, account.spot), (futures, account.futures)):
            for asset, amount in funds.items():
                owned.deposit(self.time, asset, Decimal(amount))

    # -- time ---------------------------------------------------------------------------------

    @property
    def next_time(self) -> int | None:
        """µs at which something may happen to an account next; None: nothing ever will."""
        times = [self._next(market) for market in self._live()]
        ends = [order.ends for order in self.open_orders() if order.ends is not None]
        return min([time for time in times if time is not None] + ends, default=None)

    def advance(self, now: int) -> None:
        """Let everything happen that happens until now."""
        while (due := self.next_time) is not None and due <= now:
            self._at(due)
            for market in self._live():
                self._trade(market, due)
            for market in self._live():
                self._fund(market, due)
            for order in self.open_orders():
                if order.ends is not None and order.ends <= due:
                    self._end(order, "EXPIRED", due)
        self._at(max(now, self.time))
        for market, tape in self._tapes.items():
            tape.skip_to(self.time)
            paid = np.searchsorted(self.listings[market].funding.ts, self.time, side="right")
            self._funding[market] = max(self._funding[market], int(paid))

    def _at(self, time: int) -> None:
        if time > self.time:
            self.time, self._offers = time, {}

    def _live(self) -> list[str]:
        """Markets in which somebody has an open order or a position."""
        return [
            market
            for market, book in self._books.items()
            if book.orders or any(
                market in account.positions and account.positions[market].amount
                for account in self.futures.values()
            )
        ]  # fmt: skip

    def _next(self, market: str) -> int | None:
        funding, at = self.listings[market].funding.ts, self._funding[market]
        times = [self._tapes[market].next_time, int(funding[at]) if at < len(funding) else None]
        return min((time for time in times if time is not None), default=None)

    # -- what the market does -----------------------------------------------------------------

    def last(self, market: str) -> Print | None:
        """The market's latest trade."""
        return self._tapes[market].last

    def marks(self) -> dict[str, Decimal]:
        """Price of the latest trade by market, where there is one."""
        lasts = {market: tape.last for market, tape in self._tapes.items()}
        return {market: last.price for market, last in lasts.items() if last is not None}

    def _trade(self, market: str, now: int) -> None:
        tape = self._tapes[market]
        while (time := tape.next_time) is not None and time <= now:
            trade = tape.step()
            self._meet(market, self._offer(market, trade))
            self._liquidate(market)

    def _offer(self, market: str, trade: Print) -> Offer:
        return self._offers.setdefault((market, trade.place), Offer(trade, trade.amount))

    def _meet(self, market: str, offer: Offer) -> None:
        for match in self._books[market].meet(offer, self._room):
            self._fill(match)
        self._sweep(market)

    def _sweep(self, market: str) -> None:
        """End what nothing can fill any more."""
        for order in list(self._books[market].orders):
            account = self.futures[order.account]
            if order.asked.reduce_only and not account.room(order):
                self._end(order, "EXPIRED", self.time)

    def _room(self, order: Order, price: Decimal) -> Decimal:
        if order.listing.venue == "spot":
            return self.spot[order.account].room(order, price)
        if order.asked.reduce_only:
            return self.futures[order.account].room(order)
        return order.remaining or ZERO

    def _fill(self, match: Match) -> None:
        order, price, quantity = match.order, match.price, match.quantity
        spot, (base, quote) = order.listing.venue == "spot", order.listing.assets
        realised = ZERO
        if not spot:
            realised = self.futures[order.account].fill(order, quantity, price)
        received = base if spot and order.asked.side == "BUY" else quote
        rates = self.config.maker if match.maker else self.config.taker
        worth = quantity if received == base and spot else price * quantity
        fill = Fill(
            len(self.fills) + 1, order.id, order.account, order.market, order.asked.client_id,
            order.asked.side, self.time, price, quantity, match.maker,
            to_money(worth * rates[order.listing.venue]), received, realised, match.trade,
        )  # fmt: skip
        self.fills.append(fill)
        order.take(fill)
        if spot:
            self.spot[order.account].fill(order, fill)
        else:
            self.futures[order.account].book(fill, quote)
        by_value = order.asked.quantity is None
        if by_value and self._room(order, price) < self.filters[order.market].lot:
            # What is left of the value buys no further lot.
            order.status = "FILLED"
        if not order.open:
            self._leave(order, self.time)
        self._tell_order(order, "TRADE", fill)
        self._tell_balance(order)

    def _fund(self, market: str, now: int) -> None:
        funding, listing = self.listings[market].funding, self.listings[market]
        while self._funding[market] < len(funding) and funding.ts[self._funding[market]] <= now:
            at = self._funding[market]
            self._funding[market] += 1
            mark = published_mark(listing, int(funding.ts[at]))
            if mark is None:
                continue
            quote = listing.assets[1]
            for account in self.futures.values():
                got = account.fund(now, market, quote, exact(funding.rate[at]), mark)
                if got:
                    self._tell(BalanceEvent(
                        now, "futures", account.name, "FUNDING_FEE", (quote,), (market,), got
                    ))  # fmt: skip
            self._liquidate(market)

    # -- liquidation --------------------------------------------------------------------------

    def margin(self, account: str, asset: str, more: Iterable[Order] = ()) -> Margin:
        """Figures of an account's margin asset, with these orders besides the open ones."""
        markets = [
            market for market, listing in self.listings.items()
            if listing.venue == "futures" and listing.assets[1] == asset
        ]  # fmt: skip
        orders = [*self.open_orders(account, "futures"), *more]
        return self.futures[account].margin(asset, markets, self.marks(), orders)

    def _liquidate(self, market: str) -> None:
        """Close the positions of accounts that have lost their margin."""
        asset = self.listings[market].assets[1]
        for account in self.futures.values():
            held = [
                held for held, position in account.positions.items()
                if position.amount and self.listings[held].assets[1] == asset
            ]  # fmt: skip
            if market not in account.positions:
                continue
            if account.liquidating and not held:
                self._cleared(account, asset)
            if account.liquidating or not held:
                continue
            margin = self.margin(account.name, asset)
            if margin.balance >= margin.maintenance:
                continue
            account.liquidating = True
            for order in self.open_orders(account.name, "futures"):
                self._end(order, "CANCELED", self.time)
            for mine in held:
                self._force(account, mine)

    def _force(self, account: MarginAccount, market: str) -> None:
        """Send the order that closes a position, whatever comes."""
        position, listing = account.position(market), self.listings[market]
        amount, mark = position.amount, self.marks()[market]
        fee = to_money(abs(amount) * mark * self.config.liquidation_fee)
        account.ledger.book(self.time, "INSURANCE_CLEAR", listing.assets[1], -fee, market)
        asked = NewOrder(
            "SELL" if amount > 0 else "BUY", "MARKET", "GTC", abs(amount), None,
            f"autoclose-{self.time // 1000}", reduce_only=True,
        )  # fmt: skip
        self._enter(account.name, listing, asked, None, liquidation=True)
        self._tell(BalanceEvent(
            self.time, "futures", account.name, "INSURANCE_CLEAR", (listing.assets[1],),
            change=-fee,
        ))  # fmt: skip

    def _cleared(self, account: MarginAccount, asset: str) -> None:
        """The insurance fund pays what a bankrupt account owes."""
        account.liquidating = False
        owed = -account.ledger.total(asset)
        if owed > 0:
            account.ledger.book(self.time, "INSURANCE_CLEAR", asset, owed)
            self._tell(BalanceEvent(
                self.time, "futures", account.name, "INSURANCE_CLEAR", (asset,), change=owed
            ))  # fmt: skip

    # -- orders -------------------------------------------------------------------------------

    def place(self, account: str, listing: Listing, asked: NewOrder, now: int) -> Order:
        """Take an order, or raise the ExchangeError that refuses it."""
        self.advance(now)
        self.check(account, listing, asked)
        span = self.config.market_for if asked.type == "MARKET" else self.config.immediate_for
        order = self._enter(account, listing, asked, self.time + span if asked.at_once else None)
        # A trade of this very moment is a trade at its arrival.
        for trade in self._tapes[order.market].since(self.time):
            if order.open:
                self._meet(order.market, self._offer(order.market, trade))
        return order

    def check(self, account: str, listing: Listing, asked: NewOrder) -> None:
        """ExchangeError for an order that would be refused now."""
        market, spot = listing.info.market, listing.venue == "spot"
        last = self.last(market)
        self.filters[market].check(asked, None if last is None else last.price)
        mine = [order for order in self.open_orders(account) if order.market == market]
        if any(order.asked.client_id == asked.client_id for order in mine):
            if spot:
                raise refused(-2010, "Duplicate order sent.")
            raise refused(-4116, "ClientOrderId is duplicated.")
        if len(mine) >= self.filters[market].most_orders:
            if spot:
                raise refused(-2010, "Filter failure: MAX_NUM_ORDERS")
            raise refused(-2025, "Reach max open order limit.")
        if asked.post_only and crosses(asked, last):
            if spot:
                raise refused(-2010, "Order would immediately match and take.")
            raise refused(
                -5022, "Due to the order could not be executed as maker, the Post Only order will "
                "be rejected. The order will not be recorded in the order history",
            )  # fmt: skip
        order = self._made(account, listing, asked, None)
        if spot:
            self.spot[account].check(order, None if last is None else last.price)
        else:
            self._check_margin(order)

    def cancel(self, order: Order, now: int) -> None:
        """End an open order; -2011 when it is over, or ends by itself before now."""
        self.advance(now)
        if not order.open or order.liquidation:
            raise refused(-2011, "Unknown order sent.")
        self._end(order, "CANCELED", self.time)

    def set_leverage(self, account: str, listing: Listing, leverage: int) -> None:
        """Change an account's leverage in a market, or raise the ExchangeError that refuses it."""
        if not 1 <= leverage <= self.config.max_leverage:
            raise refused(-4028, f"Leverage {leverage} is not valid")
        owner, market = self.futures[account], listing.info.market
        before = owner.leverage(market)
        owner.set_leverage(market, leverage)
        figures = self.margin(account, listing.assets[1])
        if leverage < before and figures.initial > figures.balance:
            owner.set_leverage(market, before)
            raise refused(-2028, "Leverage is smaller than permitted: insufficient margin balance")
        if leverage != before:
            self._tell(SettingEvent(self.time, account, market, leverage))

    def open_orders(self, account: str | None = None, venue: Venue | None = None) -> list[Order]:
        """Orders that may still be filled, by id."""
        found = [
            order for book in self._books.values() for order in book.orders
            if account in (None, order.account) and venue in (None, order.listing.venue)
        ]  # fmt: skip
        return sorted(found, key=lambda order: order.id)

    def _check_margin(self, order: Order) -> None:
        account = self.futures[order.account]
        if account.liquidating:
            raise refused(-2023, "User in liquidation mode now.")
        if order.asked.reduce_only:
            if not account.room(order):
                raise refused(-2022, "ReduceOnly Order is rejected.")
            return
        asset = order.listing.assets[1]
        before = self.margin(order.account, asset)
        after = self.margin(order.account, asset, [order])
        if after.initial > before.initial and after.initial > after.balance:
            raise refused(-2019, "Margin is insufficient.")

    def _made(self, account: str, listing: Listing, asked: NewOrder, ends: int | None) -> Order:
        taking = crosses(asked, self.last(listing.info.market)) or asked.at_once
        number = FIRST_ORDER + len(self.orders)
        return Order(
            number, account, listing, asked, self.time, taking, ends, updated=self.time
        )  # fmt: skip

    def _enter(
        self, account: str, listing: Listing, asked: NewOrder, ends: int | None,
        *, liquidation: bool = False,
    ) -> Order:  # fmt: skip
        order = self._made(account, listing, asked, ends)
        order.liquidation = liquidation
        self.orders[order.id] = order
        self._books[order.market].add(order)
        if listing.venue == "spot":
            last = self.last(order.market)
            self.spot[account].open(order, None if last is None else last.price)
        self._tell_order(order, "NEW")
        if listing.venue == "spot":
            self._tell_balance(order)
        return order

    def _end(self, order: Order, status: Status, time: int) -> None:
        assert status in ("CANCELED", "EXPIRED")
        order.status, order.updated = status, time
        self._leave(order, time)
        self._tell_order(order, status)
        if order.listing.venue == "spot":
            self._tell_balance(order)

    def _leave(self, order: Order, time: int) -> None:
        self._books[order.market].remove(order)
        if order.listing.venue == "spot":
            self.spot[order.account].close(order, time)

    # -- who listens --------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)

    def _tell_order(self, order: Order, execution: Execution, fill: Fill | None = None) -> None:
        self._tell(OrderEvent(self.time, order, execution, fill))

    def _tell_balance(self, order: Order) -> None:
        base, quote = order.listing.assets
        spot = order.listing.venue == "spot"
        assets, markets = ((base, quote), ()) if spot else ((quote,), (order.market,))
        self._tell(BalanceEvent(
            self.time, order.listing.venue, order.account, "ORDER", assets, markets
        ))  # fmt: skip


def published_mark(listing: Listing, moment: int) -> Decimal | None:
    """The mark price of a funding payment as it is published: the last trade's by then."""
    at = int(np.searchsorted(listing.trades.ts, moment // 1000 * 1000, side="right"))
    return exact(listing.trades.price[at - 1]) if at else None
