"""A run's agent over a path under several costs and latencies, whichever network it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from actors.evaluation import GreedyPolicy
from apex_trader.evaluation.backtest import run_continuous
from apex_trader.evaluation.network_walk import Scenario, walk_network
from apex_trader.evaluation.record import Record
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.models.flat import QNetwork
from apex_trader.state.gather import MarketTables
from apex_trader.trading.config import RewardConfig


def walk_agent(
    network: QNetwork,
    tables: MarketTables,
    scenarios: Sequence[Scenario],
    reward: RewardConfig,
    threads: int = 1,
    advance: Callable[[float], None] = lambda share: None,
) -> list[Record]:
    """One continuous account a scenario, greedy: see ``walk_network``.

    What its kernel cannot follow is asked decision by decision, the market encoded once all the
    same: about 1 KB a row while it lasts.
    """
    if isinstance(network, DuelingQNetwork):
        return walk_network(network, tables, scenarios, reward, threads, advance)
    policy, records = GreedyPolicy(network, tables), []
    for done, scenario in enumerate(scenarios, start=1):
        record = run_continuous(scenario.path, policy, scenario.trading, reward)
        records.append(replace(record, name=scenario.name))
        advance(done / len(scenarios))
    return records
