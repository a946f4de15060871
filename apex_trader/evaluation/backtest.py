"""A policy under the simulator's fills and costs, recorded decision by decision.

Two ways to run a period. ``run_continuous`` is one account from the first decision to the last,
positions carried over nights and gaps: what a trader would have lived through. ``run_episodes``
starts every episode flat in a lane of its own, all in lockstep: fast, and days as independent
samples. A position that is open at the end is valued as if it was left at the last mark, net of
that exit's fee and slippage, so that holding on never looks cheaper than closing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.evaluation.account_walk import AccountWalk, Choice
from apex_trader.evaluation.journal import ENTRY, Journal, record_of
from apex_trader.evaluation.policies import Planned, Policy
from apex_trader.evaluation.record import Record
from apex_trader.state.segment import Segment
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath
from apex_trader.trading.rewards import TERMS
from apex_trader.trading.simulator import Simulator, Step

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

#: Steps whose entries are joined at a time.
_AT_ONCE = 1024
#: Cost of an entry → the account's total of it.
_COSTS = {"fee": "fee", "slippage": "slippage", "funding": "paid"}


def episode_starts(path: MarketPath) -> I64:
    """[e] first row of every episode of a path: startable, and no row leads to it."""
    led_to = np.zeros(len(path), np.bool_)
    following = path.arrays.next_row[path.startable]
    led_to[following] = True
    return np.flatnonzero(path.startable & ~led_to)


def run_continuous(
    path: MarketPath,
    policy: Policy,
    trading: TradingConfig,
    reward: RewardConfig,
    terms: bool = True,
    begin: int = 0,
) -> Record:
    """One account over the whole path, which must be in time order. Stops at ruin.

    What a kernel can follow (``policies.Planned``) runs in one. terms: whether the record holds the
    reward terms. begin: global row; nothing is decided before it. Raises ApexError when the path
    has no decision.
    """
    starts = _starts(path, begin)
    if isinstance(policy, Planned):
        walk = AccountWalk(path, starts, trading, reward, terms)
        walk.go(Choice.of_plan(policy.plan(len(path))), len(path))
        return record_of(walk.journal(), path, trading, policy.name)
    simulator = Simulator(path, trading, reward, lanes=1)
    lane = np.zeros(1, np.int64)
    simulator.reset(lane, starts[:1])
    log = _Log(simulator)
    for number, start in enumerate(starts):
        if number > 0:
            log.jump(simulator.carry(lane, np.array([start])), number)
        while not simulator.ended[0]:
            log.step(_advance(simulator, policy), np.array([number]))
        if log.ruined:
            break
    (journal,) = log.journals()
    kept = journal if terms else Journal(journal.entries, None)
    return record_of(kept, path, trading, policy.name)


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
    log = _Log(simulator)
    while not simulator.ended.all():
        log.step(_advance(simulator, policy), np.arange(len(starts)))
    return [record_of(journal, path, trading, policy.name) for journal in log.journals()]


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


def _starts(path: MarketPath, begin: int = 0) -> I64:
    """[e] where each episode's first decision is taken, the first at or behind ``begin``."""
    starts = episode_starts(path)
    if begin:
        inside = np.flatnonzero(path.startable[begin:])[:1] + begin
        starts = np.concatenate((inside, starts[starts > inside])) if len(inside) else inside
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


class _Parts:
    """Arrays one behind the other; many small ones are joined, since each weighs as much again."""

    def __init__(self) -> None:
        self._joined: list[NDArray[Any]] = []
        self._single: list[NDArray[Any]] = []

    def add(self, part: NDArray[Any]) -> None:
        """The next one."""
        self._single.append(part)
        if len(self._single) == _AT_ONCE:
            self._joined.append(np.concatenate(self._single))
            self._single.clear()

    def whole(self) -> NDArray[Any]:
        """All of them."""
        return np.concatenate([*self._joined, *self._single])


class _Log:
    """Collects the steps of all lanes of a simulator that has just been reset."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._books = self._read()
        self._entries, self._terms, self._lanes = _Parts(), _Parts(), _Parts()
        self._last = np.zeros(0, ENTRY)

    @property
    def ruined(self) -> bool:
        """The last entry liquidated the account."""
        return bool(self._last["ruined"].any())

    def jump(self, change: F64, episode: int) -> None:
        """The only account was carried over a gap; ``change`` [1] of its equity, costs deducted."""
        entry = np.zeros(1, ENTRY)
        books = self._read()
        for kind, total in _COSTS.items():
            entry[kind] = books[total] - self._books[total]
        costs = entry["fee"] + entry["slippage"] + entry["funding"]
        entry["pnl"], entry["jump"], entry["episode"] = change + costs, 1, episode
        entry["row"] = self._last["next_row"]
        entry["next_row"] = self._simulator.rows
        entry["ruined"] = self._simulator.ended
        self._add(entry, np.zeros((1, len(TERMS))), np.zeros(1, np.int64), books)

    def step(self, step: Step, episode: I64) -> None:
        """Take one step of every lane that was going; episode [L]: the number of each one's."""
        lanes = np.flatnonzero(step.active)
        entries = np.zeros(len(lanes), ENTRY)
        for name in ("row", "next_row", "action", "transactions", "pnl"):
            entries[name] = getattr(step, name)[lanes]
        entries["fee"], entries["slippage"], entries["funding"] = step.costs[lanes].T
        entries["episode"], entries["ruined"] = episode[lanes], step.terminated[lanes]
        self._add(entries, step.terms[lanes], lanes, self._read())

    def journals(self) -> list[Journal]:
        """The journal of each lane."""
        lanes = self._lanes.whole()
        order = np.argsort(lanes, kind="stable")
        cuts = np.cumsum(np.bincount(lanes, minlength=self._simulator.lanes))[:-1]
        entries = np.split(self._entries.whole()[order], cuts)
        terms = np.split(self._terms.whole()[order], cuts)
        return [Journal(*both) for both in zip(entries, terms, strict=True)]

    def _add(self, entries: NDArray[Any], terms: F64, lanes: I64, books: NDArray[Any]) -> None:
        for name in ("position", "equity", "quantity", "entry_price", "realised"):
            entries[name] = books[name][lanes]
        self._books = books
        self._last = entries
        self._entries.add(entries)
        self._terms.add(terms)
        self._lanes.add(lanes)

    def _read(self) -> NDArray[Any]:
        """[L] the accounts, a copy."""
        return self._simulator.ledger.view(np.ndarray).copy()
