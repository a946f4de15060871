"""Whatever is ordered, in whatever market: no order is filled better than the rules say, and no
coin or cent appears or is lost.

Everything is computed anew here from the tape and the fills, by other ways than the engine's.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from apex_trader.time import SECOND
from tests.local_exchange import Account, TradingConfig
from tests.local_exchange.answers import ExchangeError
from tests.local_exchange.desk import Row, tape
from tests.local_exchange.trading.engine import Engine
from tests.local_exchange.trading.events import BalanceEvent, Event, OrderEvent
from tests.local_exchange.trading.money import exact
from tests.local_exchange.trading.orders import NewOrder, Order
from tests.local_exchange.truth import check
from tests.market.samples import MONDAY

ZERO = Decimal(0)
SPOT, PERPETUAL = "binance:ETHUSDT", "binanceusdm:ETHUSDT"
NAMES = ("rich", "poor")
ACCOUNTS = [
    Account("rich", "rich", spot={"USDT": "100000", "ETH": "50"}, futures={"USDT": "100000"}),
    Account("poor", "poor", spot={"USDT": "3000", "ETH": "1"}, futures={"USDT": "150"},
            leverage=100),
]  # fmt: skip
TERMS = TradingConfig(market_for=5 * SECOND, immediate_for=2 * SECOND)


@dataclass(frozen=True)
class Wait:
    """Time passes, µs."""

    span: int


@dataclass(frozen=True)
class Place:
    """An order; price: ticks away from the last price, None for a market order."""

    account: str
    market: str
    side: Any
    lots: int
    price: int | None
    force: Any
    reduce_only: bool = False
    by_value: bool = False


@dataclass(frozen=True)
class Cancel:
    """The order of this number (modulo all) is cancelled."""

    number: int


@dataclass(frozen=True)
class Lever:
    """Another leverage."""

    account: str
    leverage: int


@dataclass
class Story:
    """What was done, and what was told of it."""

    engine: Engine
    told: list[Event] = field(default_factory=list)
    #: (order, execution, filled, status) as they were when told.
    steps: list[tuple[int, str, Decimal, str]] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    #: The opening of each order: whether it took, and when it arrived.
    took: dict[int, bool] = field(default_factory=dict)


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[Row], list[tuple[float, float]], list[Any]]:
    """(tape, funding payments, actions): drawn by a seed, so that each is busy, and cut short."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 60))
    return _rows(rng), _payments(rng), [_action(rng) for _ in range(count)]


def _rows(rng: np.random.Generator) -> list[Row]:
    """Prices that wander by some 0.5% a trade, so that levered accounts are ruined at times."""
    waits = rng.integers(0, 2500, 100)
    prices = np.round(2000 * np.exp(np.cumsum(rng.normal(0, 0.005, 100))), 2)
    amounts = rng.integers(1, 1500, 100) / 1000
    columns = (np.cumsum(waits) / 1000, prices, amounts, rng.integers(-1, 2, 100))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _payments(rng: np.random.Generator) -> list[tuple[float, float]]:
    at = np.sort(rng.choice(np.arange(1, 120), 4, replace=False))
    return [(float(second), float(rng.choice([1e-4, -3e-4, 7.5e-3]))) for second in at]


def _action(rng: np.random.Generator) -> Any:
    kind, account = rng.random(), str(rng.choice(NAMES))
    if kind < 0.4:
        return Wait(int(rng.integers(0, 8000)) * 1000)
    if kind < 0.47:
        return Cancel(int(rng.integers(0, 50)))
    if kind < 0.5:
        return Lever(account, int(rng.integers(1, 126)))
    spot = rng.random() < 0.4
    most = 400 if spot and account == "poor" else 2500
    force = str(rng.choice(["GTC", "GTC", "IOC", "FOK", "GTX"]))
    price = None if rng.random() < 0.4 else int(rng.normal(0, 1500))
    return Place(
        account, SPOT if spot else PERPETUAL, "BUY" if rng.random() < 0.5 else "SELL",
        int(rng.integers(1, most)), price, force, rng.random() < 0.3, rng.random() < 0.5,
    )  # fmt: skip


def told(rows: list[Row], payments: list[tuple[float, float]], done: list[Any]) -> Story:
    """Do it all, and let the rest of the tape come."""
    engine = Engine(tape(rows, payments), ACCOUNTS, TERMS, MONDAY)
    story = Story(engine)
    engine.listeners.append(lambda event: _note(story, event))
    now = MONDAY
    for number, action in enumerate(done):
        if isinstance(action, Wait):
            now += action.span
        try:
            _do(engine, action, number, now)
        except ExchangeError as error:
            story.refused.append(error.code)
    engine.advance(now + 1000 * SECOND)
    return story


def _note(story: Story, event: Event) -> None:
    story.told.append(event)
    if isinstance(event, OrderEvent):
        order = event.order
        story.steps.append((order.id, event.execution, order.filled, order.status))
        if event.execution == "NEW":
            story.took[order.id] = order.taking


def _do(engine: Engine, action: Any, number: int, now: int) -> None:
    engine.advance(now)
    if isinstance(action, Place):
        engine.place(action.account, engine.listings[action.market], _asked(engine, action, number),
                     now)  # fmt: skip
    elif isinstance(action, Cancel) and engine.orders:
        ordered = list(engine.orders.values())
        engine.cancel(ordered[action.number % len(ordered)], now)
    elif isinstance(action, Lever):
        engine.set_leverage(action.account, engine.listings[PERPETUAL], action.leverage)


def _asked(engine: Engine, action: Place, number: int) -> NewOrder:
    last = engine.last(action.market)
    assert last is not None
    spot, lots = action.market == SPOT, Decimal(action.lots) / 1000
    if action.price is None:
        value = spot and action.by_value
        return NewOrder(
            action.side, "MARKET", "GTC", None if value else lots, None, f"id-{number}",
            action.reduce_only and not spot, (lots * 2000).quantize(ZERO + 1) if value else None,
        )  # fmt: skip
    maker = spot and action.force == "GTX"
    return NewOrder(
        action.side, "LIMIT_MAKER" if maker else "LIMIT", "GTC" if maker else action.force, lots,
        last.price + Decimal(action.price) / 100, f"id-{number}",
        action.reduce_only and not spot,
    )  # fmt: skip


any_story = given(stories())
thorough = settings(max_examples=120, deadline=None)


@thorough
@any_story
def test_no_order_is_filled_beyond_its_quantity_and_each_trade_is_had_once(
    drawn: Any,
) -> None:
    story = told(*drawn)
    amounts = {}
    for market, listing in story.engine.listings.items():
        for number, amount in zip(listing.ids.tolist(), listing.trades.amount, strict=True):
            amounts[market, number] = exact(amount)
    had: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    for fill in story.engine.fills:
        assert fill.quantity > 0
        assert fill.quantity % Decimal("0.001") == 0
        had[fill.market, fill.trade] += fill.quantity
    for key, quantity in had.items():
        assert quantity <= amounts[key]
    for order in story.engine.orders.values():
        assert sum((f.quantity for f in order.fills), ZERO) == order.filled
        if order.asked.quantity is not None:
            assert order.filled <= order.asked.quantity
            assert (order.status == "FILLED") == (order.filled == order.asked.quantity)
        if order.asked.value is not None:
            assert order.value <= order.asked.value
        if order.asked.time_in_force == "FOK":
            assert order.filled in (0, order.asked.quantity)
    event(f"fills: {min(9, len(story.engine.fills))}")
    event(f"statuses: {sorted({o.status for o in story.engine.orders.values()})}")


@thorough
@any_story
def test_no_fill_is_better_than_the_rules_say(drawn: Any) -> None:
    """A taker gets the price of a trade that came with or after it, a maker its own."""
    story = told(*drawn)
    trades = {}
    for market, listing in story.engine.listings.items():
        columns = (listing.ids.tolist(), listing.trades.price, listing.known.tolist())
        for number, price, known in zip(*columns, strict=True):
            trades[market, number] = (exact(price), known)
    for fill in story.engine.fills:
        order = story.engine.orders[fill.order]
        price, known = trades[fill.market, fill.trade]
        limit, sign = order.asked.price, order.asked.sign
        assert known >= order.arrived
        if limit is not None:
            assert sign * (limit - fill.price) >= 0
            assert sign * (limit - price) >= 0
        assert fill.price == (limit if fill.maker else price)
        rates = TERMS.maker if fill.maker else TERMS.taker
        spot = fill.market == SPOT
        worth = fill.quantity if spot and order.asked.side == "BUY" else fill.value
        assert abs(fill.fee - worth * rates["spot" if spot else "futures"]) <= Decimal("5E-9")
        assert not (fill.maker and order.asked.at_once)
        assert not (order.asked.post_only and not fill.maker)
        if order.asked.time_in_force != "FOK":
            # All or nothing: its trades are kept until they are enough.
            assert fill.time == max(known, order.arrived)
        if not story.took[order.id]:
            assert fill.maker


@thorough
@any_story
def test_positions_and_wallets_are_what_the_fills_make_of_them(
    drawn: Any,
) -> None:
    story = told(*drawn)
    engine, mark = story.engine, exact(drawn[0][-1][1])
    for given_ in ACCOUNTS:
        account = engine.futures[given_.name]
        mine = [f for f in engine.fills if (f.account, f.market) == (given_.name, PERPETUAL)]
        signed = [f.quantity if f.side == "BUY" else -f.quantity for f in mine]
        position = account.position(PERPETUAL)
        assert position.amount == sum(signed, ZERO)
        # Equity is the deposit, what trading gave at the last price, and what was paid besides.
        flows = -sum((s * f.price for s, f in zip(signed, mine, strict=True)), ZERO)
        fees = sum((f.fee for f in mine), ZERO)
        other = sum((e.amount for e in account.ledger.entries
                     if e.kind in ("FUNDING_FEE", "INSURANCE_CLEAR")), ZERO)  # fmt: skip
        equity = account.ledger.total("USDT") + position.unrealised(mark)
        deposit = Decimal(given_.futures["USDT"])
        assert equity == deposit + flows + position.amount * mark - fees + other
        # The wallet itself moves by realised profit and fees alone.
        realised = sum((f.realised for f in mine), ZERO)
        assert account.ledger.total("USDT") == deposit + realised - fees + other
        if not position.amount:
            assert position.cost == 0
            assert realised == flows
    event(f"liquidated: {any(o.liquidation for o in engine.orders.values())}")


@thorough
@any_story
def test_no_coin_of_a_spot_wallet_appears_or_is_lost(drawn: Any) -> None:
    engine = told(*drawn).engine
    for given_ in ACCOUNTS:
        wallet = engine.spot[given_.name]
        base, quote = Decimal(given_.spot["ETH"]), Decimal(given_.spot["USDT"])
        for fill in engine.fills:
            if (fill.account, fill.market) != (given_.name, SPOT):
                continue
            sign = 1 if fill.side == "BUY" else -1
            assert fill.fee_asset == ("ETH" if sign > 0 else "USDT")
            base += sign * fill.quantity - (fill.fee if sign > 0 else 0)
            quote -= sign * fill.value + (fill.fee if sign < 0 else 0)
        assert (wallet.ledger.total("ETH"), wallet.ledger.total("USDT")) == (base, quote)
        assert base >= 0
        assert quote >= 0
        open_ones = engine.open_orders(given_.name, "spot")
        for asset, side in (("ETH", "SELL"), ("USDT", "BUY")):
            locked = sum((o.locked for o in open_ones if o.asked.side == side), ZERO)
            assert wallet.locked(asset) == locked
            assert 0 <= locked <= wallet.ledger.total(asset)


@thorough
@any_story
def test_reduce_only_orders_never_open_or_turn_a_position(
    drawn: Any,
) -> None:
    story = told(*drawn)
    held: dict[str, Decimal] = defaultdict(Decimal)
    for fill in story.engine.fills:
        if fill.market != PERPETUAL:
            continue
        before = held[fill.account]
        held[fill.account] += fill.quantity if fill.side == "BUY" else -fill.quantity
        if story.engine.orders[fill.order].asked.reduce_only:
            assert abs(held[fill.account]) < abs(before)
            assert held[fill.account] * before >= 0


@thorough
@any_story
def test_who_only_listens_knows_all(drawn: Any) -> None:
    """Orders begin with NEW, end once, and what was told adds up to what is."""
    story = told(*drawn)
    engine = story.engine
    steps: dict[int, list[tuple[str, Decimal, str]]] = defaultdict(list)
    for number, execution, filled, status in story.steps:
        steps[number].append((execution, filled, status))
    assert set(steps) == set(engine.orders)
    for number, mine in steps.items():
        order = engine.orders[number]
        assert [execution for execution, _, _ in mine].count("NEW") == 1
        assert mine[0][0] == "NEW"
        ends = [s for _, _, s in mine if s in ("FILLED", "CANCELED", "EXPIRED")]
        assert len(ends) == (0 if order.open else 1)
        assert mine[-1][1:] == (order.filled, order.status)
        assert len([e for e, _, _ in mine if e == "TRADE"]) == len(order.fills)
    fills = [e.fill for e in story.told if isinstance(e, OrderEvent) and e.fill is not None]
    assert fills == engine.fills
    times = [e.time for e in story.told]
    assert times == sorted(times)
    paid = sum((e.change for e in story.told
                if isinstance(e, BalanceEvent) and e.venue == "futures"), ZERO)  # fmt: skip
    booked = sum((e.amount for account in engine.futures.values() for e in account.ledger.entries
                  if e.kind in ("FUNDING_FEE", "INSURANCE_CLEAR")), ZERO)  # fmt: skip
    assert paid == booked
    check(engine)


@thorough
@any_story
def test_what_happens_depends_on_time_alone_and_not_on_who_looks(
    drawn: Any,
) -> None:
    """Moving on by small steps, or at once, makes the same fills."""
    rows, payments, done = drawn
    once = told(*drawn)
    looks: list[Any] = []
    for action in done:
        if isinstance(action, Wait):
            looks += [Wait(action.span // 4)] * 4
        else:
            looks.append(action)
    often = told(rows, payments, looks)
    assert [_essence(o) for o in once.engine.orders.values()] == [
        _essence(o) for o in often.engine.orders.values()
    ]


def _essence(order: Order) -> Any:
    fills = [(f.price, f.quantity, f.maker, f.trade, f.fee) for f in order.fills]
    return order.account, order.market, order.asked.side, order.status, order.filled, fills


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_an_account_that_lost_its_margin_is_closed_and_owes_nothing(seed: int) -> None:
    """Levered to the limit in a market that wanders far: who is ruined ends flat, at zero or
    above, and whoever is not never had less than the maintenance margin at a trade."""
    rng = np.random.default_rng(seed)
    prices = 2000 * np.exp(np.cumsum(rng.normal(0, 0.01, 60)))
    # The last price stays for a while: who is ruined by it must find someone to trade with.
    walk = [*prices.tolist(), prices[-1], prices[-1]]
    tape_rows = [(1.0 + k, round(float(p), 2), 50.0, 0) for k, p in enumerate(walk)]
    feed = tape(tape_rows)
    engine = Engine(feed, ACCOUNTS, TERMS, MONDAY)
    side: Any = "BUY" if rng.random() < 0.5 else "SELL"
    listing = engine.listings[PERPETUAL]
    engine.place("poor", listing, NewOrder(side, "MARKET", "GTC", Decimal(4), None, "all"), MONDAY)
    for second in range(1, 70):
        engine.advance(MONDAY + second * SECOND)
        margin = engine.margin("poor", "USDT")
        account = engine.futures["poor"]
        assert account.liquidating or margin.balance >= margin.maintenance
    engine.advance(MONDAY + 1000 * SECOND)
    account = engine.futures["poor"]
    forced = [o for o in engine.orders.values() if o.liquidation]
    event(f"liquidated: {bool(forced)}")
    if forced:
        assert account.position(PERPETUAL).amount == 0
        assert account.ledger.total("USDT") >= 0
        assert not account.liquidating
    check(engine)
