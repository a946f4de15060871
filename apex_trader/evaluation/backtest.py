"""A policy under the simulator's fills and costs, recorded decision by decision.

Two ways to run a period. ``run_continuous`` is one account from the first decision to the last,
positions carried over nights and gaps: what a trader would have lived through. ``run_episodes``
starts every episode flat in a lane of its own, all in lockstep: fast, and days as independent
samples. A position that is open at the end is valued as if it was left at the last mark, net of
that exit's fee and slippage, so that holding on never looks cheaper than closing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.evaluation.policies import Policy
from apex_trader.evaluation.record import Record
from apex_trader.evaluation.trips import BOOKS, COST_BOOKS, EQUITY, QUANTITY, TripLog
from apex_trader.state.segment import Segment
from apex_trader.trading.account import ACCOUNT, Rules, executed_price
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath
from apex_trader.trading.rewards import TERMS
from apex_trader.trading.simulator import Simulator, Step

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_COLUMNS = np.array([(ACCOUNT.names or ()).index(name) for name in BOOKS])


def episode_starts(path: MarketPath) -> I64:
    """[e] first row of every episode of a path: startable, and no row leads to it."""
    led_to = np.zeros(len(path), np.bool_)
    following = path.arrays.next_row[path.startable]
    led_to[following] = True
    return np.flatnonzero(path.startable & ~led_to)


def run_continuous(
    path: MarketPath, policy: Policy, trading: TradingConfig, reward: RewardConfig
) -> Record:
    """One account over the whole path, which must be in time order. Stops at ruin.

    Raises ApexError when the path has no decision.
    """
    starts = _starts(path)
    simulator = Simulator(path, trading, reward, lanes=1)
    lane = np.zeros(1, np.int64)
    simulator.reset(lane, starts[:1])
    log = _Log(path, simulator)
    for number, start in enumerate(starts):
        if number > 0:
            simulator.carry(lane, np.array([start]))
            log.jump(_books(simulator)[0], start, bool(simulator.ended[0]))
        while not simulator.ended[0]:
            step = _advance(simulator, policy)
            log.step(step, _books(simulator)[0], number)
        if log.ruined:
            break
    return log.record(policy.name)


def run_episodes(
    path: MarketPath,
    policy: Policy,
    trading: TradingConfig,
    reward: RewardConfig,
) -> list[Record]:
    """Every episode of the path on its own, flat at its start. One record an episode."""
    starts = _starts(path)
    simulator = Simulator(path, trading, reward, lanes=len(starts))
    simulator.reset(np.arange(len(starts)), starts)
    logs = [_Log(path, simulator, lane) for lane in range(len(starts))]
    while not simulator.ended.all():
        step = _advance(simulator, policy)
        books = _books(simulator)
        for lane in np.flatnonzero(step.active):
            logs[lane].step(step, books[lane], int(lane))
    return [log.record(policy.name) for log in logs]


def path_of(segments: Sequence[Segment]) -> MarketPath:
    """The path of segments in time order. Raises ApexError when none can be traded."""
    ordered = sorted(segments, key=lambda segment: segment.day)
    path = MarketPath.from_segments(ordered)
    if not path.startable.any():
        raise ApexError(
            "no decision can be made in this period: the states lack coverage on every row. "
            "`python -m apex_trader.audit` names the blocks; import more look-back, or choose "
            "another period"
        )
    return path


def exit_costs(quantity: float, log_price: float, rules: Rules) -> F64:
    """[3] fee, slippage and funding, quote currency, of leaving a signed quantity at a price."""
    price = math.exp(log_price)
    executed = executed_price(price, -1 if quantity > 0.0 else 1, rules)
    slippage = abs(quantity) * abs(executed - price)
    return np.array([rules.fee * abs(quantity) * executed, slippage, 0.0])


def _starts(path: MarketPath) -> I64:
    starts = episode_starts(path)
    if not len(starts):
        raise ApexError("the path has no decision to make: choose another period")
    return starts


def _advance(simulator: Simulator, policy: Policy) -> Step:
    """One step of the lanes that go on; the policy is asked for those alone."""
    going = np.flatnonzero(~simulator.ended)
    actions = np.zeros(simulator.lanes, np.uint8)
    actions[going] = policy.act(
        simulator.rows[going], simulator.features()[going], simulator.position[going]
    )
    return simulator.step(actions, idle=True)


def _books(simulator: Simulator) -> F64:
    """[L, len(BOOKS)]: what a log reads of each account, a copy."""
    # Every field of an account is 8 bytes: one gather instead of seven slow record accesses.
    fields = np.asarray(simulator.ledger).view(np.float64).reshape(simulator.lanes, -1)
    books: F64 = fields[:, _COLUMNS]
    return books


class _Log:
    """Collects one lane's steps into a record. The lane has just been reset."""

    def __init__(self, path: MarketPath, simulator: Simulator, lane: int = 0) -> None:
        self._path, self._lane = path.arrays.view(np.ndarray), lane
        self._rules = Rules.of(simulator.config)
        self._books = _books(simulator)[lane]
        self._start = self._equity = float(self._books[EQUITY])
        self._gross = 1.0
        self._jumped = np.zeros(3)
        self._rows: list[list[float]] = []
        self._terms: list[NDArray[np.float64]] = []
        self._trips = TripLog()
        self.ruined = False

    def jump(self, books: F64, row: int, ruined: bool) -> None:
        """The account was carried over a gap to ``row``; what that cost joins the next step."""
        costs = books[COST_BOOKS] - self._books[COST_BOOKS]
        change = float(books[EQUITY]) - self._equity
        self._gross *= 1.0 + (change + costs.sum()) / self._equity
        ts = int(self._path["ts"][row])
        self._trips.jump(self._books, books, ts)
        self._books, self._equity, self.ruined = books, float(books[EQUITY]), ruined
        self._jumped = costs / self._start
        if ruined:  # there is no next step
            self._rows[-1][2], self._rows[-1][4] = 0.0, self._gross
            self._amend(self._jumped)

    def step(self, step: Step, books: F64, episode: int) -> None:
        """Take one step of the lane; ``books`` are its account after it."""
        k = self._lane
        now, later = self._path[step.row[k]], self._path[step.next_row[k]]
        self._trips.step(self._books, books, now, later, float(self._equity))
        self._gross *= 1.0 + step.pnl[k] / self._equity
        self._equity, self._books = float(step.equity[k]), books
        self.ruined = bool(step.terminated[k])
        costs = step.costs[k] / self._start + self._jumped
        self._jumped = np.zeros(3)
        self._rows.append(
            [
                float(step.row[k]),
                float(step.action[k]),
                float(step.next_account[k, 0]),
                self._equity / self._start,
                self._gross,
                *costs.tolist(),
                float(step.traded[k]),
                float(episode),
                float(step.next_row[k]),
            ]
        )
        self._terms.append(step.terms[k])

    def _amend(self, costs: F64) -> None:
        """Puts the equity that there is now, and costs [3] more, into the last row."""
        last = self._rows[-1]
        last[3] = self._equity / self._start
        last[5:8] = (np.array(last[5:8]) + costs).tolist()

    def _leave(self) -> None:
        """Values the position that is left as if it was closed at the last row's mark."""
        row = self._path[int(self._rows[-1][10])]
        costs = exit_costs(float(self._books[QUANTITY]), float(row["mark"]), self._rules)
        self._trips.end(self._books, row, float(costs.sum()))
        self._equity -= float(costs.sum())
        self._amend(costs / self._start)

    def record(self, name: str) -> Record:
        """The record of all steps, to be asked for once: the account is wound up."""
        self._leave()
        columns = np.array(self._rows, np.float64).T
        rows = columns[0].astype(np.int64)
        terms = np.array(self._terms)
        return Record(
            name=name,
            ts=self._path["ts"][rows],
            mark=np.exp(self._path["mark"][rows]),
            action=columns[1].astype(np.uint8),
            position=columns[2],
            equity=columns[3],
            gross=columns[4],
            fee=columns[5],
            slippage=columns[6],
            funding=columns[7],
            traded=columns[8].astype(np.bool_),
            episode=columns[9].astype(np.int32),
            terms={term: terms[:, i] for i, term in enumerate(TERMS)},
            trips=self._trips.table(),
            ruined=self.ruined,
        )
