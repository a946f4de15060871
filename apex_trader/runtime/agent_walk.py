"""A run's agent over a path under several costs and latencies, whichever network it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from actors.evaluation import EncodedPolicy
from apex_trader.evaluation.backtest import run_continuous
from apex_trader.evaluation.encodings import EncodedMarket
from apex_trader.evaluation.network_walk import Scenario, walk_network
from apex_trader.evaluation.record import Record
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.models.flat import QNetwork
from apex_trader.trading.config import RewardConfig


def walk_agent(
    network: QNetwork,
    market: EncodedMarket,
    scenarios: Sequence[Scenario],
    reward: RewardConfig,
    pool: Executor,
    advance: Callable[[float], None] = lambda share: None,
) -> list[Record]:
    """One continuous account a scenario, greedy: see ``walk_network``.

    What its kernel cannot follow is asked decision by decision.
    """
    if isinstance(network, DuelingQNetwork):
        return walk_network(network, market, scenarios, reward, pool, advance)
    policy, records = EncodedPolicy(network, market), list[Record]()
    for done, scenario in enumerate(scenarios, start=1):
        record = run_continuous(scenario.path, policy, scenario.trading, reward, not records)
        record = replace(record, name=scenario.name)
        records.append(record.beside(records[0]) if records else record)
        advance(done / len(scenarios))
    return records
