"""The greedy agent over a path under several costs and latencies at once, its market encoded once.

Nearly all of a network's work is the encoding of the market, which no account changes. So the path
is encoded stretch by stretch, and every scenario's account is walked over a stretch while it is
there. What chooses is the dueling network's advantage stream in float64 (V is the same for every
action): the greedy policy to rounding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.evaluation.account_walk import AccountWalk, Choice
from apex_trader.evaluation.backtest import episode_starts
from apex_trader.evaluation.journal import record_of
from apex_trader.evaluation.record import Record
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.state.gather import MarketTables, gather
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath

F32 = NDArray[np.float32]

#: Rows that are gathered and encoded at once.
BATCH = 256


@dataclass(frozen=True)
class Scenario:
    """What one account of the agent trades on: fills are the path's, costs the configuration's."""

    name: str
    path: MarketPath
    trading: TradingConfig


class _Head(NamedTuple):
    """The advantage stream behind the encoding: arrays of ``Choice``, and the market's part."""

    market: torch.Tensor
    bias: torch.Tensor
    account: F32
    out: F32
    out_bias: F32

    @classmethod
    def of(cls, network: DuelingQNetwork) -> _Head:
        """ApexError when a weight is not finite."""
        for name, weight in network.named_parameters():
            if not bool(weight.isfinite().all()):
                raise ApexError(
                    f"the agent has no finite Q-values, since {name} has none: training diverged; "
                    "lower learner.learning_rate"
                )
        width, half = network.encoder.width, network.advantage.in_features
        hidden = network.hidden.weight.detach().float().cpu()[half:]
        return cls(
            hidden[:, :width],
            network.hidden.bias.detach().float().cpu()[half:],
            hidden[:, width:].numpy().copy(),
            network.advantage.weight.detach().float().cpu().numpy().copy(),
            (network.known + network.advantage.bias).detach().float().cpu().numpy().copy(),
        )


def walk_network(
    network: DuelingQNetwork,
    tables: MarketTables,
    scenarios: Sequence[Scenario],
    reward: RewardConfig,
    threads: int = 1,
    advance: Callable[[float], None] = lambda share: None,
) -> list[Record]:
    """One continuous account a scenario, as ``backtest.run_continuous``, by the greedy policy.

    The tables' decision rows and every path's are numbered alike: the same segments in time order.
    threads: encode so many stretches at a time. advance: told the share that is done. ApexError
    when a value is not finite, or a path has no decision.
    """
    network.eval()
    head, walks = _Head.of(network), [_begin(scenario, reward) for scenario in scenarios]
    rows = len(scenarios[0].path)
    for first, codes in _encoded(network, tables, head, _needed(scenarios), threads):
        choice = Choice(
            first, np.zeros((0, 0), np.uint8), codes, head.account, head.out, head.out_bias
        )
        for walk in walks:
            walk.go(choice, first + len(codes))
        advance(first / rows)
    return [
        record_of(walk.journal(), scenario.path, scenario.trading, scenario.name)
        for walk, scenario in zip(walks, scenarios, strict=True)
    ]


def _begin(scenario: Scenario, reward: RewardConfig) -> AccountWalk:
    starts = episode_starts(scenario.path)
    return AccountWalk(scenario.path, starts, scenario.trading, reward)


def _needed(scenarios: Sequence[Scenario]) -> list[tuple[int, int]]:
    """(first, stop) of the stretches in which something can be decided, ascending."""
    wanted = scenarios[0].path.startable.copy()
    for scenario in scenarios[1:]:
        wanted |= scenario.path.startable
    stretches = []
    for first in range(0, len(wanted), BATCH):
        part = np.flatnonzero(wanted[first : first + BATCH])
        if len(part):
            stretches.append((first + int(part[0]), first + int(part[-1]) + 1))
    return stretches


def _encoded(
    network: DuelingQNetwork,
    tables: MarketTables,
    head: _Head,
    stretches: Sequence[tuple[int, int]],
    threads: int,
) -> Iterator[tuple[int, F32]]:
    """(first row, codes [m, H]) of each stretch, in order; a few are made ahead."""
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[tuple[int, Future[F32]]] = deque()
        for first, stop in stretches:
            ahead.append((first, pool.submit(_codes, network, tables, head, first, stop)))
            if len(ahead) > 2 * threads:
                done, future = ahead.popleft()
                yield done, future.result()
        for done, future in ahead:
            yield done, future.result()


@torch.inference_mode()
def _codes(
    network: DuelingQNetwork, tables: MarketTables, head: _Head, first: int, stop: int
) -> F32:
    """[stop − first, H] float32: the market's part of the advantages' hidden layer."""
    rows = torch.arange(first, stop, device=tables.device)
    z = network.encode(gather(tables, rows)).float().cpu()
    codes: F32 = torch.addmm(head.bias, z, head.market.T).numpy()
    return codes
