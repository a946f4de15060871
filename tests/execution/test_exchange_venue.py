"""Orders to an exchange: sent once, followed until it is known what became of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError
from apex_trader.execution.exchange_requests import TradingRequests
from apex_trader.execution.exchange_venue import NOT_ARRIVED, PARTLY, REFUSED, ExchangeVenue
from apex_trader.execution.orders import Order, Outcome
from apex_trader.market.exchange.client import trading
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.source import MarketInfo
from apex_trader.time import SECOND
from apex_trader.trading.config import TradingConfig
from tests.local_exchange import Account, Clock, Feed, Listing, LocalExchange
from tests.local_exchange import TradingConfig as Terms
from tests.local_exchange.faults import (
    Close,
    Garbage,
    Hang,
    LostAnswer,
    On,
    Refuse,
    Status,
    TruncatedBody,
    Unknown,
)
from tests.local_exchange.samples import exact_trades
from tests.market.samples import MONDAY

FUTURES, SPOT = "binanceusdm:ETHUSDT", "binance:ETHUSDT"
OWNS = Account(spot={"USDT": "10000", "ETH": "2"}, futures={"USDT": "10000"})
#: Real seconds in which a request of these tests must arrive.
WINDOW = 1.0


def listing(market: str, seed: int = 4) -> Listing:
    trades = exact_trades(seed, 3000)
    amounts = np.round(trades.amount, 3) + 2.0  # an order of 0.5 finds its other side in seconds
    rules = ("perpetual", 0.01, 0.001, 5.0) if market == FUTURES else ("spot", 0.01, 0.0001, 5.0)
    trades = replace(trades, amount=np.round(amounts, 3), id=np.arange(3000))
    return Listing(MarketInfo(market, *rules), trades)


@dataclass
class Time:
    """Real time as a test lets it pass."""

    at: float = 0.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Desk:
    """A venue at a local exchange, whose market moves when the test says so."""

    exchange: LocalExchange
    market: str = FUTURES
    tag: str = "abc123"
    aside: float = 0.0
    time: Time = field(default_factory=Time)
    number: int = 0

    def __post_init__(self) -> None:
        config = ExchangeConfig(
            self.market.split(":")[0], url=self.exchange.rest_url, ws_url=self.exchange.ws_url
        )
        self.requests = TradingRequests(trading(config, 0.5), WINDOW)
        self.requests.client.enableRateLimit = False
        self.requests.open()
        kind = "perpetual" if self.market == FUTURES else "spot"
        rules = TradingConfig(instrument=kind, lot_size=0.001, min_notional=5.0, exposure=1.0)
        self.venue = ExchangeVenue(
            self.requests, self.market, rules, self.tag, self.aside, self.time
        )

    def order(self, quantity: float, target: int = 1) -> Order:
        """The next order, decided now."""
        self.number += 1
        now = self.exchange.clock.now()
        return Order(f"apex-{self.number}", now, now, now + 4 * SECOND, 0, target, quantity)

    def pass_(self, seconds: float = 5.0) -> None:
        """The market goes on, and so does real time."""
        self.exchange.clock.advance(int(seconds * SECOND))
        self.exchange.run(self.exchange.settle())
        self.time.at += seconds

    def trade(self, quantity: float, target: int = 1) -> Outcome | None:
        """An order, and what is known of it a decision later."""
        order = self.order(quantity, target)
        self.venue.send(order)
        self.pass_()
        return self.venue.outcome(order)

    def sent(self, number: int = 0) -> list[Any]:
        """What the exchange accepted under the name of an order, the newest by default."""
        return self.exchange.truth.named(f"apex-{number or self.number}-{self.tag}")

    def held(self) -> float:
        positions = self.exchange.truth.positions()
        return float(sum((p.amount for p in positions.values()), Decimal(0)))


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BINANCE", "BINANCEUSDM"):
        monkeypatch.setenv(f"{name}_API_KEY", OWNS.key)
        monkeypatch.setenv(f"{name}_API_SECRET", OWNS.secret)


def opened(**terms: Any) -> LocalExchange:
    feed = Feed([listing(FUTURES), listing(SPOT, 5)])
    return LocalExchange(
        feed, clock=Clock(MONDAY + 600 * SECOND, speed=0), accounts=[OWNS],
        trading=Terms(timestamps="host", answer_within=0.0, **terms),
    )  # fmt: skip


@pytest.fixture
def exchange() -> Iterator[LocalExchange]:
    with opened() as made:
        yield made
        made.truth.check()


def test_an_order_is_booked_as_the_exchange_filled_it(exchange: LocalExchange):
    desk = Desk(exchange)
    found = desk.trade(0.5)
    fills = exchange.truth.fills
    assert found is not None
    value = sum(float(f.quantity * f.price) for f in fills)
    assert found.traded == pytest.approx(0.5)
    assert found.executed == pytest.approx(value / 0.5)
    assert found.fee == pytest.approx(0.0005 * value, rel=1e-6)
    assert found.reason == ""
    assert found.ts == max(f.time for f in fills) // 1000 * 1000
    assert desk.venue.differs(0.5) == ""
    closed = desk.trade(-0.5, 0)
    assert closed is not None
    assert closed.traded == pytest.approx(-0.5)
    assert desk.held() == 0.0 == desk.venue.held()


def test_on_spot_the_fee_is_taken_out_of_what_was_bought(exchange: LocalExchange):
    desk = Desk(exchange, SPOT, aside=2.0)
    found = desk.trade(0.5)
    assert found is not None
    assert found.traded == pytest.approx(0.5 * 0.999)
    assert found.fee == pytest.approx(0.5 * 0.001 * found.executed)
    assert desk.venue.differs(found.traded) == ""
    assert desk.venue.held() == pytest.approx(found.traded)


def test_half_a_lot_is_not_lost_to_rounding(exchange: LocalExchange):
    desk = Desk(exchange)
    found = desk.trade(0.1 + 0.2)  # 0.30000000000000004
    assert found is not None
    assert [float(order.quantity) for order in desk.sent()] == [0.3]
    found = desk.trade(-(0.7 - 0.4), 0)  # −0.29999999999999993
    assert found is not None
    assert desk.held() == 0.0


@pytest.mark.parametrize(
    "fault", [LostAnswer(), LostAnswer(silent=True), Unknown(True), TruncatedBody()]
)
def test_an_order_whose_answer_is_lost_is_found_and_not_sent_again(exchange, fault):
    desk = Desk(exchange)
    exchange.follow([On(fault, "POST /fapi/v1/order", times=1)])
    found = desk.trade(0.5)
    assert found is not None
    assert found.traded == pytest.approx(0.5)
    assert len(desk.sent()) == 1
    assert sum(a.method == "POST" for a in exchange.truth.arrivals) == 1


@pytest.mark.parametrize("fault", [Close(), Hang(), Unknown(False), Status(502), Status(500)])
def test_an_order_that_never_came_is_known_to_be_none_when_it_can_come_no_more(exchange, fault):
    desk = Desk(exchange)
    exchange.follow([On(fault, "POST /fapi/v1/order")])
    order = desk.order(0.5)
    desk.venue.send(order)
    assert desk.venue.outcome(order) is None, "it may still be under way"
    desk.time.at += WINDOW
    found = desk.venue.outcome(order)
    assert found is not None
    assert (found.traded, found.reason) == (0.0, NOT_ARRIVED)
    assert not found.filled
    assert desk.sent() == []


def test_a_refusal_is_told_with_the_exchange_s_reason(exchange: LocalExchange):
    desk = Desk(exchange)
    exchange.follow([On(Refuse(-2019, "Margin is insufficient."), "POST", times=1)])
    found = desk.trade(0.5)
    assert found is not None
    assert found.reason.startswith(REFUSED)
    assert "Margin is insufficient" in found.reason
    assert (found.traded, desk.held()) == (0.0, 0.0)
    assert desk.venue.differs(0.0) == ""


def test_a_silence_that_the_exchange_wants_is_kept(exchange: LocalExchange):
    desk = Desk(exchange)
    exchange.follow([On(Status(429, retry_after=1), "POST", times=1)])
    order, other = desk.order(0.5), desk.order(0.5)
    desk.venue.send(order)
    asked = len(exchange.truth.arrivals)
    desk.venue.send(other)
    assert len(exchange.truth.arrivals) == asked, "nothing was asked in the silence"
    assert "silence" in str(desk.venue.outcome(other))
    assert "too many requests" in str(desk.venue.outcome(order)).lower()
    assert desk.held() == 0.0


def test_an_order_may_be_filled_in_part(exchange: LocalExchange):
    desk = Desk(exchange)
    order = desk.order(5_000.0)
    exchange.follow([On(Refuse(-2019), "POST", times=1)])  # too large for the account
    desk.venue.send(order)
    exchange.follow()
    wanted = desk.order(9.0)
    desk.venue.send(wanted)
    desk.pass_()
    found = desk.venue.outcome(wanted)
    assert found is not None
    assert found.reason == PARTLY
    assert found.traded is not None
    assert 0.0 < found.traded < 9.0
    assert desk.venue.differs(found.traded) == ""
    desk.pass_(60.0)
    assert desk.held() == pytest.approx(found.traded), "the rest was cancelled"


def test_another_venue_of_the_same_run_finds_its_orders_and_leaves_others_alone(exchange):
    desk = Desk(exchange)
    order = desk.order(0.5)
    desk.venue.send(order)
    desk.pass_()
    again = Desk(exchange)
    found = again.venue.outcome(order)
    assert found is not None
    assert found.traded == pytest.approx(0.5)
    other = Desk(exchange, tag="fff000")
    other.time.at = 10.0
    missing = other.venue.outcome(order)
    assert missing is not None
    assert missing.reason == NOT_ARRIVED
    assert again.venue.cancel_left_over() == 0


def test_a_position_that_somebody_else_changed_is_seen(exchange: LocalExchange):
    desk, other = Desk(exchange), Desk(exchange, tag="fff000")
    found = desk.trade(0.5)
    assert found is not None
    assert desk.venue.differs(0.5) == ""
    other.trade(0.25)
    assert desk.venue.differs(0.5) == "", "it looks again within the minute"
    desk.time.at += 60.0
    assert "+0.75" in desk.venue.differs(0.5)


def test_an_exchange_that_does_not_answer_leaves_everything_open(exchange: LocalExchange):
    desk = Desk(exchange)
    order = desk.order(0.5)
    desk.venue.send(order)
    desk.pass_()
    exchange.follow([On(Status(503), "GET")])
    assert desk.venue.outcome(order) is None
    assert desk.venue.differs(123.0) == ""
    exchange.follow([On(Garbage(), "GET")])
    assert desk.venue.outcome(order) is None
    exchange.follow()
    found = desk.venue.outcome(order)
    assert found is not None
    assert found.filled


def test_hedge_mode_a_wrong_secret_and_no_keys_are_refused_at_the_start(exchange, monkeypatch):
    hedging = Garbage('{"dualSidePosition": true}')
    exchange.follow([On(hedging, "GET /fapi/v1/positionSide/dual")])
    with pytest.raises(ApexError, match="one-way mode"):
        Desk(exchange)
    exchange.follow()
    monkeypatch.setenv("BINANCEUSDM_API_SECRET", "wrong")
    with pytest.raises(ApexError, match="-1022"):
        Desk(exchange)
    monkeypatch.delenv("BINANCEUSDM_API_SECRET")
    monkeypatch.delenv("BINANCEUSDM_API_KEY")
    with pytest.raises(ApexError, match="BINANCEUSDM_API_KEY"):
        Desk(exchange)


FAULTS = (
    None, LostAnswer(), Unknown(True), Unknown(False), Refuse(-2019), Refuse(-1021), Status(503),
    Status(500), Close(), TruncatedBody(),
)  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(-8, 8), st.sampled_from(FAULTS), st.sampled_from(FAULTS), st.booleans()
        ),
        min_size=1, max_size=8,
    )
)  # fmt: skip
def test_whatever_goes_wrong_the_sum_of_outcomes_is_the_position(
    steps: Sequence[tuple[int, Any, Any, bool]],
):
    """Each order is taken at most once, restarts included, and in the end nothing is in doubt."""
    with opened() as exchange:
        desk, held = Desk(exchange), 0.0
        for tenths, placing, asking, restarts in steps:
            if tenths == 0:
                continue
            rules = [On(placing, "POST", times=1)] if placing else []
            rules += [On(asking, "GET", times=2)] if asking else []
            exchange.follow(rules)
            order = desk.order(tenths / 10)
            desk.venue.send(order)
            if restarts:
                number = desk.number
                exchange.follow()
                desk = Desk(exchange, number=number)
                exchange.follow(rules)
            desk.pass_()
            found = desk.venue.outcome(order)
            for _ in range(4):
                if found is not None:
                    break
                desk.pass_(1.0)
                found = desk.venue.outcome(order)
            assert found is not None
            held += found.traded or 0.0
            assert math.isnan(found.price) == (not found.traded)
            assert len(desk.sent()) <= 1
            exchange.follow()
            assert desk.venue.differs(held) == ""
            assert desk.held() == pytest.approx(held)
        exchange.truth.check()
