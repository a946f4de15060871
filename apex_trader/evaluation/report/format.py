"""Figures as text, in their units."""

from __future__ import annotations

import math
from collections.abc import Mapping

from apex_trader.evaluation.missing import NOT_ENOUGH, Figure
from apex_trader.evaluation.optimum.baselines import FILTER, ORACLE
from apex_trader.evaluation.statistics import MIN_DAYS

#: (key of ``summarize``, label, format): net of costs first, what is before them says so.
FIGURES = (
    ("net_return", "net return", "{:+.3%}"),
    ("max_drawdown", "max drawdown", "{:.3%}"),
    ("sharpe", "Sharpe (365 d)", "{:.2f}"),
    ("sortino", "Sortino (365 d)", "{:.2f}"),
    ("calmar", "Calmar", "{:.2f}"),
    ("gross_return", "return before costs", "{:+.3%}"),
    ("fee", "fees", "{:.3%}"),
    ("slippage", "slippage", "{:.3%}"),
    ("funding", "funding", "{:+.3%}"),
    ("trades", "orders filled", "{:,.0f}"),
    ("trades_per_day", "orders a day", "{:,.1f}"),
    ("turnover", "turnover a day", "{:,.2f}"),
    ("exposure", "exposure", "{:.1%}"),
    ("hit_rate", "winning round trips", "{:.1%}"),
    ("mean_holding_seconds", "mean holding", "duration"),
)
#: Figures that are missing for want of trades, where others are missing for want of days.
OF_TRADES = ("hit_rate", "mean_holding_seconds")
#: Policies that know the future, or the law that made a market: ceilings, not rivals.
CEILINGS = ("hindsight optimum", ORACLE, FILTER)


def show_figure(value: float | None, form: str, missing: str = "–") -> str:
    """A figure in its format of ``FIGURES``; ``missing`` for none and for NaN."""
    if value is None or math.isnan(value):
        return missing
    return duration(value) if form == "duration" else form.format(value)


def why_missing(key: str, figures: Mapping[str, float]) -> str:
    """Why a figure is not there: no trade, too few days, or an equity that never moved."""
    if key in OF_TRADES:
        return "none"
    return NOT_ENOUGH if figures.get("days", 0.0) < MIN_DAYS else "–"


def duration(seconds: float) -> str:
    """A time span in its largest unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def show(figure: Figure, form: str) -> str:
    """A figure in a format of ``FIGURES``, or why there is none."""
    if figure.value is None:
        return figure.reason or NOT_ENOUGH
    return show_figure(figure.value, form, NOT_ENOUGH)


def is_ceiling(policy: str) -> bool:
    """Whether a policy knows what nobody can know."""
    return policy in CEILINGS
