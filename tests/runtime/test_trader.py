"""A paper run decides and fills as a backtest of the same market does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actors.evaluation import GreedyPolicy
from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.confidence.features import OrderFeatures
from apex_trader.evaluation.record import Record
from apex_trader.execution.config import RiskConfig
from apex_trader.execution.journal import read_journal
from apex_trader.execution.limits import STALE, RiskLimits
from apex_trader.execution.paper import PaperVenue
from apex_trader.execution.trade_journal import DecisionRecord, TradeJournal, read_decisions
from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.fills import FillConfig
from apex_trader.models.dueling import DuelingConfig, DuelingQNetwork
from apex_trader.runtime.decide import LATE
from apex_trader.runtime.live_agent import LiveAgent
from apex_trader.runtime.trader import DAY_END, NO_STATE, Trader
from apex_trader.state.gather import MarketTables
from apex_trader.time import MINUTE, SECOND
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.live_account import LiveAccount
from tests.state.test_live import begun, closed, market, midnight, offline, schema_of

FIVE = 5 * SECOND
NAME = "eth_full"
TRADING = TradingConfig(lot_size=0.001, tick_size=0.01, min_notional=5.0, slippage_bps=0.5)
REWARD = RewardConfig()
#: Every order of a restless agent would be refused otherwise.
OPEN = RiskConfig(
    orders_per_minute=100, daily_loss=0.99, drawdown=0.99, max_clipped=0.99, max_order=10.0,
    max_position=5.0,
)  # fmt: skip
BEGIN, END = -20 * MINUTE, 20 * MINUTE


@lru_cache
def network() -> DuelingQNetwork:
    """Weights that nobody trained, of an agent that changes its mind now and then."""
    torch.manual_seed(3)
    torch.set_num_threads(1)
    made = DuelingQNetwork(schema_of(NAME), 3, DuelingConfig())
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if weight.ndim > 1 and "head" in name:
                weight.mul_(4.0)
    return made.eval()


@dataclass
class Standing:
    """An exchange whose time is told by the test."""

    at: int = 0
    off: float = 0.0

    def now(self) -> int:
        return self.at

    def skew(self) -> float:
        return self.off


@dataclass
class Paper:
    """A paper run over midnight on the random market."""

    folder: Path
    risk: RiskConfig = OPEN
    time: Standing = field(default_factory=Standing)
    told: list[DecisionRecord] = field(default_factory=list)
    trading: TradingConfig = TRADING
    lateness: Any = "measured"

    def __post_init__(self) -> None:
        tables, fills = begun(NAME, midnight() + BEGIN), FillConfig()
        features = OrderFeatures(Actions.of(self.trading), self.trading, REWARD.scale, 100)
        self.agent = LiveAgent(network(), None, features, None, 0.7)
        self.journal = TradeJournal(self.folder, tables.schema, 50)
        self.trader = Trader(
            tables, self.agent, LiveAccount(self.trading, fills.latency),
            PaperVenue(tables.markets.primary, fills), RiskLimits(self.risk), self.journal, fills,
            self.lateness, "test", self.time, self.told.append,
        )  # fmt: skip

    def run(self, batch: int = 7 * SECOND, end: int = END) -> Paper:
        for part in stream(self.trader.tables.end, midnight() + end, batch):
            self.trader.hear(part)
        return self

    @property
    def decided(self) -> list[DecisionRecord]:
        return [record for record in self.told if len(record.q)]


def stream(start: int, end: int, batch: int) -> Iterator[ClosedSeconds]:
    for at in range(start, end, batch):
        yield closed(market(), at, min(at + batch, end))


@lru_cache
def backtest(trading: TradingConfig = TRADING) -> Record:
    """The same agent on the same market, known whole, from the paper run's first decision."""
    segments = [offline(NAME, midnight() - 24 * 60 * MINUTE), offline(NAME, midnight())]
    tables = MarketTables.from_segments(segments, schema_of(NAME))
    path, policy = path_of(segments), GreedyPolicy(network(), tables)
    begin = int(np.searchsorted(path.arrays.ts, midnight() + BEGIN + 1))
    return run_continuous(path, policy, trading, REWARD, begin=begin)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Paper:
    return Paper(tmp_path_factory.mktemp("paper")).run()


def foreseen(told: list[DecisionRecord]) -> int:
    """Decisions until the first that is followed by a gap: a backtest takes none there, since its
    episode ends, and a trader cannot know."""
    for k, record in enumerate(told):
        if record.reason == NO_STATE:
            return sum(len(r.q) > 0 for r in told[: k - 1])
    return len(told)


def test_it_decides_fills_and_earns_as_the_backtest_does(paper: Paper):
    expected, count = backtest(), foreseen(paper.told)
    decided = paper.decided[:count]
    ts = np.array([record.ts for record in decided])
    assert ts[0] < midnight() < ts[-1]
    np.testing.assert_array_equal(ts, expected.ts[:count])
    np.testing.assert_array_equal([int(r.q.argmax()) for r in decided], expected.action[:count])
    equity = np.array([record.equity for record in decided])
    # The backtest books the night's move with the step behind it.
    by_day = ts[1:] != midnight()
    np.testing.assert_allclose(
        equity[1:][by_day] / TRADING.initial_equity, expected.equity[: count - 1][by_day],
        rtol=1e-12,
    )  # fmt: skip
    assert len(np.unique([record.target for record in decided])) == 3
    assert paper.trader.counts.fills > 50


def test_nothing_is_decided_at_the_end_of_a_day_nor_without_a_state(paper: Paper):
    reasons = {record.ts: record.reason for record in paper.told}
    assert reasons[midnight() - FIVE] == DAY_END
    silent = [record for record in paper.told if record.reason == NO_STATE]
    assert silent
    assert all(not record.order and not record.decidable for record in silent)


@pytest.mark.parametrize("batch", [SECOND, 61 * SECOND])
def test_however_the_stream_comes_it_does_the_same(paper: Paper, batch: int, tmp_path):
    end = BEGIN + 8 * MINUTE
    other = Paper(tmp_path).run(batch, end)
    assert [(r.ts, r.target, r.equity) for r in other.told] == [
        (r.ts, r.target, r.equity) for r in paper.told[: len(other.told)]
    ]


def test_what_comes_too_late_is_not_traded(tmp_path):
    paper = Paper(tmp_path, time=Standing(midnight() + BEGIN + 2 * MINUTE))
    paper.run(end=BEGIN + 4 * MINUTE)
    early = [r for r in paper.decided if r.ts + 4 * SECOND <= paper.time.at]
    assert len(early) > 10
    assert all(r.target == r.position and not r.order for r in early)
    wanting = [r for r in early if r.wanted != r.position]
    assert wanting
    assert all(r.reason.startswith((LATE, STALE)) for r in wanting)
    assert any(r.reason.startswith(LATE) for r in wanting)
    assert any(r.order for r in paper.decided if r.ts >= paper.time.at)


def test_an_order_that_is_late_takes_a_later_trade(tmp_path):
    """Decided 2.5 s after its time: nothing that traded before then can be its fill."""

    class Behind(Standing):
        def now(self) -> int:
            return paper.trader.tables.end + 2_500_000

    paper = Paper(tmp_path, time=Behind())
    paper.run(end=BEGIN + 6 * MINUTE)
    orders = read_orders(paper.folder)
    filled = [order for order in orders if order["filled_at"] is not None]
    assert len(filled) > 5
    for order in filled:
        waited = (order["filled_at"] - order["decided"]).total_seconds()
        assert 2.5 <= waited < 4.0


def test_a_run_that_is_stopped_closes_its_position_and_decides_no_more(tmp_path):
    paper = Paper(tmp_path)
    middle = midnight() + BEGIN + 5 * MINUTE
    for part in stream(paper.trader.tables.end, midnight(), FIVE):
        if part.start >= middle and paper.trader.account.position:
            break
        paper.trader.hear(part)
    paper.trader.stop("asked to", flatten=True)
    assert not paper.trader.finished
    paper.run(batch=FIVE, end=BEGIN + 7 * MINUTE)
    assert paper.trader.finished
    assert paper.trader.account.position == 0
    last = paper.decided[-1]
    assert last.reason == "stopped: asked to"


def test_a_halt_closes_the_position_and_ends_the_run(tmp_path):
    paper = Paper(tmp_path, risk=replace(OPEN, drawdown=0.002))
    paper.run()
    assert paper.trader.limits.halt.startswith("drawdown")
    assert paper.trader.finished
    assert paper.trader.account.position == 0
    assert paper.told[-1].ts < midnight() + END - MINUTE


def test_a_limit_holds_over_a_whole_run(tmp_path):
    paper = Paper(tmp_path, risk=replace(OPEN, orders_per_minute=1))
    paper.run(end=BEGIN + 10 * MINUTE)
    entered = [r.ts for r in paper.decided if r.order and r.target not in (0, r.position)]
    assert len(entered) > 3
    assert min(np.diff(entered)) >= MINUTE


def test_what_it_wrote_down_is_what_it_told(paper: Paper):
    paper.journal.commit()
    written = read_decisions(paper.folder)
    assert len(written) == len(paper.told)
    for one, other in zip(written, paper.told, strict=True):
        for name, value in one._asdict().items():
            if name in ("confidence", "clipped", "skew", "sigma_hour", "sigma_decision"):
                value, told = np.float32(value), np.float32(getattr(other, name))
                assert value == told or (np.isnan(value) and np.isnan(told)), name
            elif name == "mark":
                assert value == other.mark or np.isnan(value)
            else:
                np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
    orders = read_orders(paper.folder)
    assert sum(order["filled_at"] is not None for order in orders) == paper.trader.counts.fills
    assert sum(order["fee"] for order in orders) == pytest.approx(
        float(paper.trader.account.record["fee"])
    )


def read_orders(folder: Path) -> list[dict[str, Any]]:
    table = read_journal(folder, "orders")
    return [] if table is None else table.to_pylist()
