"""The greedy agent over a path under several costs and latencies at once, its market encoded once.

Nearly all of a network's work is the encoding of the market, which no account changes. It is done
beforehand (``encodings``), and every scenario's account is walked over a stretch of it while that
is in memory. What chooses is the dueling network's advantage stream in float64 (V is the same for
every action): the greedy policy to rounding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from apex_trader.evaluation.account_walk import AccountWalk, Choice
from apex_trader.evaluation.backtest import episode_starts
from apex_trader.evaluation.encodings import EncodedMarket
from apex_trader.evaluation.journal import record_of
from apex_trader.evaluation.record import Record
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath

F32 = NDArray[np.float32]

#: Stretches that are made ready before the accounts are there.
_AHEAD = 4


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
        """Of a network."""
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
    market: EncodedMarket,
    scenarios: Sequence[Scenario],
    reward: RewardConfig,
    pool: Executor,
    advance: Callable[[float], None] = lambda share: None,
) -> list[Record]:
    """One continuous account a scenario, as ``backtest.run_continuous``, by the greedy policy.

    The market is encoded by this network, its rows and every path's numbered alike: the same
    segments in time order. Reward terms are the first account's alone. pool: where stretches are
    made ready. advance: told the share that is done. ApexError when a value is not finite, or a
    path has no decision.
    """
    network.eval()
    head = _Head.of(network)
    walks = [_begin(scenario, reward, k == 0) for k, scenario in enumerate(scenarios)]
    rows = len(scenarios[0].path)
    for first, codes in _codes(market, head, pool):
        choice = Choice(
            first, np.zeros((0, 0), np.uint8), codes, head.account, head.out, head.out_bias
        )
        for walk in walks:
            walk.go(choice, first + len(codes))
        advance(first / rows)
    records: list[Record] = []
    for scenario in scenarios:
        # each journal goes when its record is made
        journal = walks.pop(0).journal()
        record = record_of(journal, scenario.path, scenario.trading, scenario.name)
        records.append(record.beside(records[0]) if records else record)
    return records


def _begin(scenario: Scenario, reward: RewardConfig, terms: bool) -> AccountWalk:
    starts = episode_starts(scenario.path)
    return AccountWalk(scenario.path, starts, scenario.trading, reward, terms)


def _codes(market: EncodedMarket, head: _Head, pool: Executor) -> Iterator[tuple[int, F32]]:
    """(first row, codes [m, H]) of each stretch, in order; a few are made ahead."""
    ahead: deque[tuple[int, Future[F32]]] = deque()
    for first, stop in market.stretches:
        ahead.append((first, pool.submit(_hidden, market, head, first, stop)))
        if len(ahead) > _AHEAD:
            done, future = ahead.popleft()
            yield done, future.result()
    for done, future in ahead:
        yield done, future.result()


@torch.inference_mode()
def _hidden(market: EncodedMarket, head: _Head, first: int, stop: int) -> F32:
    """[stop − first, H] float32: the market's part of the advantages' hidden layer."""
    codes: F32 = torch.addmm(head.bias, market.read(first, stop), head.market.T).numpy()
    return codes
