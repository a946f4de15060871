"""The orders that an agent asks for on a path, with what confidence is computed from.

A gate changes the account that the agent sees, and with it what it asks for next. So orders are
collected at both ends of every gate: all pass, and none that adds risk does.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.backtest import episode_starts
from apex_trader.evaluation.confidence.features import OrderFeatures, adds_risk
from apex_trader.evaluation.confidence.labels import Labels, label_orders
from apex_trader.time import DAY
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath
from apex_trader.trading.simulator import Simulator

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class ValuedPolicy(Protocol):
    """A greedy policy that tells the values it chooses by."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def values(self, rows: I64, accounts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Action values [k, A] at global rows [k] with account features [k, 8], all finite."""


@dataclass(frozen=True)
class Orders:
    """n orders, decisions that would change the position. A table, one row an order.

    row [n]: global row. ts [n] µs. position, target [n]: −1, 0, 1. features [n, 3]: see
    ``features.COLUMNS``. label: what each came to. passed [n]: asked by an account all of whose
    orders pass; False for one all of whose entries are refused.
    """

    row: I64
    ts: I64
    position: I64
    target: I64
    features: F64
    label: Labels
    passed: Bool

    def __len__(self) -> int:
        return len(self.row)

    @property
    def day(self) -> I64:
        """[n] UTC day of each, µs."""
        return self.ts // DAY * DAY

    @property
    def adds_risk(self) -> Bool:
        """[n]: it opens a position or flips; the others close."""
        return adds_risk(self.position, self.target)

    def where(self, chosen: Bool) -> Self:
        """The orders of a mask [n]."""
        label = Labels(*(getattr(self.label, f.name)[chosen] for f in fields(Labels)))
        columns = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "label"}
        return type(self)(label=label, **columns)


def by_target(trading: TradingConfig) -> TradingConfig:
    """The same account, told positions: every action set can be expressed so, "enter not" too."""
    return replace(trading, action_set="target")


def collect_orders(
    path: MarketPath, policy: ValuedPolicy, features: OrderFeatures, reward: RewardConfig
) -> Orders:
    """Every order of the policy's accounts on the path, each episode begun flat, labelled.

    Two accounts an episode: one whose orders all pass, one that closes but never enters.
    """
    asked = [_ask(path, policy, features, reward, passes) for passes in (True, False)]
    row, position, target, columns, passed = (
        np.concatenate(parts) for parts in zip(*asked, strict=True)
    )
    label = label_orders(path, row, position, target, features.horizon, features.trading)
    ts = np.asarray(path.arrays["ts"])[row]
    return Orders(row, ts, position, target, columns, label, passed)


def _ask(
    path: MarketPath,
    policy: ValuedPolicy,
    features: OrderFeatures,
    reward: RewardConfig,
    passes: bool,
) -> tuple[I64, I64, I64, F64, Bool]:
    """(row, position, target, features, passed) of the orders of one kind of account."""
    starts = episode_starts(path)
    simulator = Simulator(path, by_target(features.trading), reward, lanes=len(starts))
    simulator.reset(np.arange(len(starts)), starts)
    sigma = np.asarray(path.arrays["sigma_decision"])
    found: list[tuple[I64, I64, I64, F64]] = []
    while not simulator.ended.all():
        going = np.flatnonzero(~simulator.ended)
        rows, positions = simulator.rows[going], simulator.position[going]
        q = policy.values(rows, simulator.features()[going])
        chosen = q.argmax(1)
        targets = features.targets(positions, chosen)
        columns = features.of(q, positions, chosen, sigma[rows])
        orders = targets != positions
        found.append((rows[orders], positions[orders], targets[orders], columns[orders]))
        actions = np.zeros(simulator.lanes, np.uint8)
        actions[going] = (targets if passes else np.zeros_like(targets)) + 1
        simulator.step(actions, idle=True)
    row, position, target, columns = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return row, position, target, columns, np.full(len(row), passes)
