"""The result in a few plain sentences, the bad news with the good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from apex_trader.evaluation.missing import NOT_ENOUGH
from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import is_ceiling, plural, show_figure, why_missing
from apex_trader.evaluation.statistics import MIN_DAYS


@dataclass(frozen=True)
class Tile:
    """One large figure. note: what it is beside."""

    label: str
    value: str
    note: str = ""


def tiles(data: ReportData) -> list[Tile]:
    """The figures that a reader sees first, net of costs."""
    figures = data.figures[data.agent.name]
    days = int(figures["days"])
    costs = figures["fee"] + figures["slippage"] + figures["funding"]
    return [
        Tile("net return", show_figure(figures["net_return"], "{:+.2%}"),
             f"in {plural(days, 'day')}; before costs {figures['gross_return']:+.2%}"),
        Tile("max drawdown", show_figure(figures["max_drawdown"], "{:.2%}"), "net"),
        Tile("Sharpe", show_figure(figures["sharpe"], "{:.2f}", why_missing("sharpe", figures)),
             "daily net returns, 365 d"),
        Tile("costs", show_figure(costs, "{:.2%}"), "of the starting equity"),
        Tile("orders a day", show_figure(figures["trades_per_day"], "{:,.1f}"),
             f"{figures['trades']:,.0f} in all"),
    ]  # fmt: skip


def verdict(data: ReportData) -> list[str]:
    """What the figures say and what they do not."""
    figures = data.figures[data.agent.name]
    days, net = int(figures["days"]), figures["net_return"]
    word = "gained" if net > 0 else "lost" if net < 0 else "kept its equity:"
    said = [f"After all costs the agent {word} {abs(net):.2%} in {plural(days, 'day')}."]
    if figures["gross_return"] > 0 >= net:
        said.append("Before costs it gained: the costs eat what it finds.")
    said += _against(data, net)
    if days < MIN_DAYS:
        said.append(f"There is {NOT_ENOUGH} to tell skill from luck.")
    elif data.band is not None and data.band.low[-1] <= 0.0 <= data.band.high[-1]:
        said.append("By the spread of its days this could be luck: the 95% band holds 0.")
    return said


def _against(data: ReportData, net: float) -> list[str]:
    """How the baselines did on the same days."""
    own = {data.agent.name} | {r.name for r in data.records if r.name.endswith(", gated")}
    rivals = [r.name for r in data.records if r.name not in own and not is_ceiling(r.name)]
    better = [name for name in rivals if _net(data, name) > net]
    if not rivals:
        return []
    if better:
        return [f"On the same days {_listed(data, better)} did better."]
    best = max(rivals, key=lambda name: _net(data, name))
    return [f"No baseline did better; the best was {best} ({_net(data, best):+.2%})."]


def _net(data: ReportData, name: str) -> float:
    value = data.figures[name]["net_return"]
    return -math.inf if math.isnan(value) else value


def _listed(data: ReportData, names: Sequence[str]) -> str:
    said = [f"{name} ({_net(data, name):+.2%})" for name in names]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
