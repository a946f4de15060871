"""When the agent earned: by hour and weekday, by month and year."""

from __future__ import annotations

import calendar

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from apex_trader.evaluation.record import Record
from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import plural
from apex_trader.evaluation.report.section import Block, Chart, Section, Words
from apex_trader.evaluation.report.style import BLUE, ORANGE, finish

TEXT = (
    "When the agent earned, net of costs, UTC. Hours: mean log return of the hour in basis points "
    "(1 bp = 0.01%). Months: net return of the month."
)
#: Months below which a table of them says nothing.
MIN_MONTHS = 2
#: Days below which no hour of a weekday has come twice.
MIN_DAYS_OF_HOURS = 14
SCALE = [[0.0, ORANGE], [0.5, "#f6f8fa"], [1.0, BLUE]]


def heatmap_section(data: ReportData) -> Section:
    """The agent's net returns by time of the week and by month."""
    agent = data.agent
    hours, counts = hours_of_week(agent)
    days = len(agent.daily_returns()[0])
    blocks: list[Block] = [
        Chart("return_hours", hours_figure(hours, counts), _hours_text(hours)),
        Words(_hours_caveat(days)),
    ]
    months = monthly(agent)
    if months.size and months.notna().to_numpy().sum() >= MIN_MONTHS:
        blocks.append(Chart("return_months", months_figure(months), _months_text(months)))
    else:
        blocks.append(Words("Months: not enough data; the period lies within one."))
    return Section("returns", "Returns by time", TEXT, blocks)


def hours_of_week(record: Record) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(mean net log return [bp] of an hour, hours seen), weekday × hour of the day."""
    before = np.concatenate([[1.0], record.equity[:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = np.log(record.equity / before) * 1e4
    frame = pd.DataFrame({"hour": pd.to_datetime(record.ts, unit="us").floor("h"), "bp": gains})
    hourly = frame.groupby("hour")["bp"].sum()
    keys = [hourly.index.weekday, hourly.index.hour]
    grouped = hourly.groupby(keys)
    shape = {"index": range(7), "columns": range(24)}
    mean = grouped.mean().unstack().reindex(**shape)
    return mean, grouped.count().unstack().reindex(**shape).fillna(0)


def monthly(record: Record) -> pd.DataFrame:
    """Net return, year × month 1 … 12; NaN without a decision."""
    days, daily = record.daily_returns()
    returns = pd.Series(daily, pd.to_datetime(days, unit="us"))
    grown = (1.0 + returns).groupby([returns.index.year, returns.index.month]).prod() - 1.0
    return grown.unstack().reindex(columns=range(1, 13))


def hours_figure(hours: pd.DataFrame, counts: pd.DataFrame) -> go.Figure:
    """Weekday × hour."""
    names = [calendar.day_abbr[day] for day in hours.index]
    figure = _map(
        hours.to_numpy(), [f"{h:02d}" for h in hours.columns], names, counts.to_numpy(),
        "%{y} %{x}:00 UTC<br>%{z:+.2f} bp an hour<br>mean of %{customdata:d} hours<extra></extra>",
        "bp",
    )  # fmt: skip
    figure.update_xaxes(title="hour of the day, UTC")
    return finish(figure, 330)


def months_figure(months: pd.DataFrame) -> go.Figure:
    """Year × month."""
    names = [calendar.month_abbr[month] for month in months.columns]
    values = months.to_numpy()
    figure = _map(values * 100, names, [str(year) for year in months.index],
                  np.zeros(values.shape), "%{x} %{y}<br>%{z:+.2f}%<extra></extra>",
                  "%")  # fmt: skip
    figure.data[0].update(texttemplate="%{z:+.1f}", showscale=False)
    return finish(figure, 140 + 40 * len(months))


def _map(values: np.ndarray, x: list[str], y: list[str], custom: np.ndarray, hover: str,
         unit: str) -> go.Figure:  # fmt: skip
    largest = float(np.nanmax(np.abs(values), initial=0.0)) if np.isfinite(values).any() else 0.0
    heat = go.Heatmap(
        z=values, x=x, y=y, customdata=custom, hovertemplate=hover, colorscale=SCALE, xgap=1,
        ygap=1, zmin=-(largest or 1.0), zmax=largest or 1.0, colorbar={"title": unit},
        hoverongaps=False,
    )  # fmt: skip
    figure = go.Figure(heat)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    figure.update_xaxes(type="category", showgrid=False)
    return figure


def _hours_text(hours: pd.DataFrame) -> str:
    known = hours.stack().dropna()
    if known.empty or not known.abs().max():
        return "The account did not move in any hour."
    best, worst = known.idxmax(), known.idxmin()
    return (
        f"Best hour: {calendar.day_name[best[0]]} {best[1]:02d}:00, {known.max():+.2f} bp. "
        f"Worst: {calendar.day_name[worst[0]]} {worst[1]:02d}:00, {known.min():+.2f} bp."
    )


def _hours_caveat(days: int) -> str:
    if days < MIN_DAYS_OF_HOURS:
        return (
            f"Hours: not enough data to tell a pattern; in {plural(days, 'day')} hardly an hour of "
            "the week came twice. Empty cells were not traded."
        )
    return (
        f"Each cell is a mean of about {max(days // 7, 1)} hours: look for blocks of colour; "
        "single cells are chance. Empty cells were not traded."
    )


def _months_text(months: pd.DataFrame) -> str:
    known = months.stack().dropna()
    return f"{(known > 0).sum()} of {len(known)} months ended with a gain."
