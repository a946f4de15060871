"""A trading run that sends orders to an exchange, and is killed while it does.

The real command in a process of its own; the exchange, in this one, knows the truth. Its time runs
faster than real time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from apex_trader.execution.journal import read_journal
from apex_trader.execution.trade_journal import read_decisions
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.runtime.compose import compose_config
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trade_replay import TradeReplay
from apex_trader.runtime.trade_session import TradeFolder
from apex_trader.time import HOUR, MINUTE, SECOND
from apex_trader.train import train
from tests.conftest import SMALL
from tests.local_exchange import Account, Clock, Feed, Listing, LocalExchange
from tests.local_exchange import TradingConfig as Terms
from tests.local_exchange.faults import (
    Fault,
    LostAnswer,
    Random,
    Refuse,
    Status,
    TruncatedBody,
    Unknown,
)
from tests.market.stream.tapes import tape

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[1]
ETH, BTC = "binanceusdm:ETHUSDT", "binanceusdm:BTCUSDT"
OWNS = Account(futures={"USDT": "10000"})
SPEED = 30.0
WORDS = [
    "trade.mode=testnet", "confidence.gate=0", "risk.max_clipped=0.99", "risk.max_skew=600",
    "risk.stale_after=60", "risk.daily_loss=0.9", "risk.drawdown=0.9", "trade.equity=5000",
    # Real time of a loaded machine, in which an order may be sent, is short here.
    "execution.max_fill_wait=40", "stream.watermark=0.9",
]  # fmt: skip


@pytest.fixture(scope="module")
def store(small_market: Path, tmp_path_factory: pytest.TempPathFactory) -> MarketStore:
    """The small market as perpetuals of an exchange."""
    made = MarketStore(str(small_market))
    store = MarketStore(str(tmp_path_factory.mktemp("perpetuals") / "market"))
    with store.transaction() as transaction:
        for name, market in zip(sorted(made.markets())[::-1], (ETH, BTC), strict=True):
            transaction.set_info(MarketInfo(market, "perpetual", 0.01, 0.001, 5.0))
            for clock in ("1m", "1h", "1d"):
                if clock in made.kinds(name):
                    transaction.write(market, made.read_bars(name, clock))
    return store


@pytest.fixture(scope="module")
def run(store: MarketStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained on it."""
    folder = tmp_path_factory.mktemp("perpetuals") / "run"
    words = [f"market.primary={ETH}", f"market.reference={BTC}", f"market.store={store.url}"]
    train(compose_config([*SMALL, *words]), RunFolder(folder))
    return folder


@dataclass
class Live:
    """The exchange, and the trading run's process."""

    exchange: LocalExchange
    run: Path
    out: Path
    process: subprocess.Popen[str] | None = None
    said: str = ""

    def start(self, *words: str) -> None:
        """Begin, or go on."""
        clock, steady = self.exchange.clock.now(), time.monotonic()
        keys = {"BINANCEUSDM_API_KEY": OWNS.key, "BINANCEUSDM_API_SECRET": OWNS.secret}
        url = [f"exchange.url={self.exchange.rest_url}", f"exchange.ws_url={self.exchange.ws_url}"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.trade_command", str(clock), str(steady), str(SPEED),
             f"run={self.run}", f"out={self.out}", *url, *WORDS, *words],
            cwd=PROJECT, env={**os.environ, **keys, "OMP_NUM_THREADS": "1"}, text=True,
            stdout=(self.out.parent / "log.txt").open("a"), stderr=subprocess.STDOUT,
        )  # fmt: skip

    @property
    def decisions(self) -> int:
        """Decisions in time, which nothing kept from being carried out."""
        return sum(len(d.q) > 0 and not d.reason for d in read_decisions(self.out / "journal"))

    def until(self, decisions: int, limit: float = 120.0) -> None:
        """Wait for so many decisions in all."""
        end = time.monotonic() + limit
        while self.decisions < decisions:
            assert self.process is not None
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, self.log
            time.sleep(0.1)

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> dict[str, object]:
        """End it by a STOP file; its result."""
        assert self.process is not None
        (self.out / "STOP").touch()
        assert self.process.wait(90) == 0, self.log
        found: dict[str, object] = json.loads((self.out / "result.json").read_text())
        return found

    @property
    def log(self) -> str:
        said = (self.out.parent / "log.txt").read_text()[-4000:]
        return f"{said}\nexchange: {dict(self.exchange.counts)}"

    def check(self) -> None:
        """No double order, no lost fill, and the journal gives every decision again."""
        truth = self.exchange.truth
        truth.check()
        sent = [order.asked.client_id for order in truth.orders]
        assert len(sent) == len(set(sent)), "an order was sent twice"
        tag = json.loads((self.out / "trade.json").read_text())["tag"]
        booked = read_journal(self.out / "journal", "orders")
        assert booked is not None
        rows = booked.to_pylist()
        assert len({row["id"] for row in rows}) == len(rows)
        noted = {f"{row['id']}-{tag}": row["traded"] for row in rows}
        filled = {
            order.asked.client_id: float(order.filled) * (1 if order.asked.side == "BUY" else -1)
            for order in truth.orders if order.filled
        }  # fmt: skip
        assert {k: v for k, v in noted.items() if v} == pytest.approx(filled)
        replay = TradeReplay(TradeFolder(self.out)).run()
        assert replay.differences == []
        assert replay.same == replay.decided > 0


#: What goes wrong with requests about orders and the account, and how often; sockets are cut too.
TROUBLE = {
    LostAnswer(): 0.1, Unknown(True): 0.05, Unknown(False): 0.05, Refuse(-2019): 0.05,
    Status(429, retry_after=1): 0.02, Status(503): 0.05, TruncatedBody(): 0.03,
}  # fmt: skip


PRIVATE = ("/order", "/userTrades", "/openOrders", "/positionRisk", "/balance", "/account")


def troubled(seed: int) -> Random[Fault]:
    """A script of faults for requests of orders and accounts alone."""
    return Random(
        np.random.default_rng(seed),
        TROUBLE,
        lambda item: getattr(item, "path", "").endswith(PRIVATE),
    )


@pytest.fixture
def live(store: MarketStore, run: Path, tmp_path: Path) -> Iterator[Live]:
    past = store.read_bars(ETH, "1m")
    begin = int(past.ts[-1]) + MINUTE
    listings = []
    for k, (market, count) in enumerate(((ETH, 120_000), (BTC, 40_000))):
        # twelve hours of it: half of a tape's trades come with the one before
        trades = tape(k, count, rate=count / (24 * HOUR / SECOND), start=begin)
        level = store.read_bars(market, "1m").close[-1] / trades.price[0]
        trades = replace(trades, price=np.round(trades.price * level, 2), amount=trades.amount + 2)
        listings.append(Listing(MarketInfo(market, "perpetual", 0.01, 0.001, 5.0), trades))
    with LocalExchange(
        Feed(listings), clock=Clock(begin + MINUTE, speed=SPEED), accounts=[OWNS],
        trading=Terms(timestamps="host", answer_within=0.0),
    ) as exchange:  # fmt: skip
        it = Live(exchange, run, tmp_path / "trades")
        yield it
        if it.process is not None and it.process.poll() is None:
            it.kill()


def test_a_killed_run_goes_on_with_the_exchange_s_position(live: Live):
    live.start()
    live.until(6)
    live.kill()
    live.start()
    live.until(12)
    result = live.stop()
    assert result["ended"] == "STOP file", live.log
    assert result["position"] == 0
    assert live.exchange.truth.positions() == {}
    assert result["fills"], live.log
    live.check()
    wallet = float(live.exchange.truth.balances()["USDT"])
    assert result["equity"] == pytest.approx(wallet - 5000.0, abs=0.01)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_twenty_kills_amid_trouble_lose_no_fill_and_double_no_order(live: Live):
    """An hour of the market and more: answers are lost, orders refused, sockets cut."""
    rng = np.random.default_rng(7)
    began = live.exchange.clock.now()
    for kill in range(20):
        live.exchange.follow()  # a run asks for its account at the start, and says what is wrong
        live.start()
        live.until(live.decisions + 2, limit=240.0)
        live.exchange.follow(troubled(kill))
        time.sleep(rng.uniform(0.0, 8.0))
        if kill % 3 == 0:
            live.exchange.disconnect()
            time.sleep(rng.uniform(0.0, 3.0))
        live.kill()
    live.exchange.follow()
    live.start()
    live.until(live.decisions + 1, limit=240.0)
    result = live.stop()
    assert result["position"] == 0
    assert live.exchange.truth.positions() == {}
    live.check()
    orders = len(live.exchange.truth.orders)
    passed = (live.exchange.clock.now() - began) / HOUR
    counts = Counter(a.fault for a in live.exchange.truth.arrivals if a.fault)
    print(f"{passed:.1f} h of the market, {orders} orders, faults {dict(counts)}")
    assert passed > 1.0
    assert orders > 10
    wallet = float(live.exchange.truth.balances()["USDT"])
    assert result["equity"] == pytest.approx(wallet - 5000.0, abs=0.01)
