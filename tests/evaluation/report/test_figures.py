"""The single figures: net first, in units, without flattery."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from apex_trader.evaluation.confidence.confidence import Uncalibrated
from apex_trader.evaluation.report import FIGURES, show_figure
from apex_trader.evaluation.report.actions import action_shares
from apex_trader.evaluation.report.band import band_of
from apex_trader.evaluation.report.confidence_figures import confidence_section, reliability_figure
from apex_trader.evaluation.report.curves import curve_text, curves_section
from apex_trader.evaluation.report.equity import equity_figure, equity_section
from apex_trader.evaluation.report.figures_table import figures_section
from apex_trader.evaluation.report.folds import folds_section
from apex_trader.evaluation.report.heatmap import heatmap_section, hours_of_week, monthly
from apex_trader.evaluation.report.holding import EDGES, holding_section
from apex_trader.evaluation.report.market_view import Candles
from apex_trader.evaluation.report.price import period_chart, price_section
from apex_trader.evaluation.report.reproduction import reproduction_section
from apex_trader.evaluation.report.section import Code, Words, charts, tables
from apex_trader.evaluation.report.seeds import seeds_section
from apex_trader.evaluation.report.significance import significance_section
from apex_trader.evaluation.report.terms import terms_section
from apex_trader.evaluation.report.training import training_figure
from apex_trader.evaluation.report.trials import touches_text, trials_section
from apex_trader.evaluation.report.underwater import underwater_section
from apex_trader.evaluation.statistics import closed_trades
from apex_trader.time import MINUTE
from tests.evaluation.report.conftest import random_of


def words(section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Words))


def row(section, label: str) -> list[str]:
    (found,) = [r for t in tables([section]) for r in t.rows if r[0] == label]
    return list(found)


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (0.01234, "{:+.3%}", "+1.234%"),
        (math.nan, "{:.2f}", "–"),
        (None, "{:.2f}", "–"),
        (42.4, "duration", "42 s"),
        (90.0, "duration", "1.5 min"),
        (7_200.0, "duration", "2.0 h"),
        (3 * 86_400.0, "duration", "3.0 d"),
    ],
)
def test_figures_are_shown_in_their_units(value, form, shown):
    assert show_figure(value, form) == shown


def test_net_figures_come_before_gross_ones_which_are_labelled(data):
    keys = [key for key, _, _ in FIGURES]
    assert keys[0] == "net_return"
    assert keys.index("gross_return") > keys.index("calmar")
    assert {k: label for k, label, _ in FIGURES}["gross_return"] == "return before costs"


def test_every_policy_has_its_column_and_every_figure_its_row(data):
    (table,) = tables([figures_section(replace(data, assessment=None))])
    assert list(table.head) == ["", *(record.name for record in data.records)]
    assert [r[0] for r in table.rows] == [label for _, label, _ in FIGURES]


def test_ratios_of_a_short_test_are_not_made_up(data):
    short = {n: {**f, "days": 3.0, "sharpe": math.nan} for n, f in data.figures.items()}
    assert set(row(figures_section(replace(data, figures=short)), "Sharpe (365 d)")[1:]) == {
        "not enough data"
    }


def test_an_account_that_never_moved_has_no_ratio_however_long_it_was_watched(data):
    """Too few days is one reason, an equity without any deviation another."""
    long = {n: {**f, "days": 30.0, "sharpe": math.nan} for n, f in data.figures.items()}
    section = figures_section(replace(data, figures=long))
    assert set(row(section, "Sharpe (365 d)")[1:]) == {"–"}


def test_a_ceiling_is_called_one_and_does_not_flatten_the_chart(data):
    optimum = replace(data.records[2], name="hindsight optimum")
    figures = {**data.figures, optimum.name: data.figures["flat"]}
    more = replace(data, records=[*data.records, optimum], figures=figures, assessment=None)
    (table,) = tables([figures_section(more)])
    assert table.head[-1] == "hindsight optimum (a ceiling)"
    traces = {trace.name: trace.visible for trace in equity_figure(more).data}
    assert traces["hindsight optimum"] == "legendonly"
    assert traces["agent"] is None
    (chart,) = charts([underwater_section(more)])
    assert optimum.name not in [trace.name for trace in chart.figure.data]


def test_equity_ends_at_the_net_return_of_every_account(data):
    figure = equity_figure(data)
    ends = {trace.name: trace.y[-1] for trace in figure.data}
    for record in data.records:
        assert ends[record.name] == record.equity[-1] - 1
    assert ends["agent, before costs"] == data.agent.gross[-1] - 1


def test_the_band_holds_the_account_that_it_was_drawn_from(data):
    band = band_of(data.agent, random_of(0), draws=500)
    assert band is not None
    _, daily = data.agent.daily_returns()
    ends = np.cumprod(1 + daily) - 1
    assert (band.low <= ends).all()
    assert (ends <= band.high).all()
    assert (np.diff(band.high - band.low) > 0).all(), "chance adds up"
    again = band_of(data.agent, random_of(0), draws=500)
    assert again is not None
    assert (again.low == band.low).all()


def test_a_band_that_holds_nothing_says_luck_and_few_days_have_none(data):
    band = data.band
    around = replace(data, band=replace(band, low=-abs(band.low) - 0.1, high=abs(band.high) + 0.1))
    assert "cannot tell the agent from luck" in words(equity_section(around))
    above = replace(data, band=replace(band, low=abs(band.low) + 0.1, high=abs(band.high) + 0.2))
    assert "does not hold 0" in words(equity_section(above))
    assert "not enough data" in words(equity_section(replace(data, band=None)))
    first = data.agent.ts < data.agent.ts[0] + 3 * 86_400_000_000
    short = replace(data.agent, ts=data.agent.ts[first], equity=data.agent.equity[first])
    assert band_of(short, random_of(0)) is None


def test_hours_of_the_week_add_up_to_the_log_return(data):
    mean, counts = hours_of_week(data.agent)
    total = np.nansum(mean.to_numpy() * counts.to_numpy()) / 1e4
    assert total == pytest.approx(math.log(data.agent.equity[-1]))
    assert mean.shape == (7, 24)


def test_months_compound_to_the_net_return(data):
    months = monthly(data.agent).stack().dropna()
    assert (1 + months).prod() - 1 == pytest.approx(data.agent.equity[-1] - 1)


def test_few_days_have_no_pattern_of_hours_and_no_months(data):
    said = words(heatmap_section(data))
    assert "Hours: not enough data" in said
    assert "Months: not enough data" in said


def test_holding_times_count_every_round_trip_once(data):
    trades = closed_trades(data.agent)
    (chart,) = charts([holding_section(data)])
    drawn = sum(int(np.sum(trace.y)) for trace in chart.figure.data)
    assert drawn == len(trades)
    assert (np.diff(EDGES) > 0).all()


def test_shares_of_actions_add_up(data):
    assert action_shares(data).sum() == pytest.approx(1.0)


def test_every_reward_term_has_its_line(data):
    (chart,) = charts([terms_section(data)])
    assert [trace.name for trace in chart.figure.data] == list(data.agent.terms)


def test_every_training_curve_has_a_panel_on_its_own_axis(data):
    figure = training_figure(data.training)
    assert len(figure.data) == 2
    assert [a.text for a in figure.layout.annotations] == ["learner/loss", "learner/q_mean"]
    assert figure.layout.xaxis.title.text == "learner/updates"


def test_the_busiest_day_is_drawn_first_and_the_period_is_light(data):
    drawn = charts([price_section(data)])
    assert drawn[0].key == "price_busiest"
    assert drawn[-1].key == "price_period"
    for chart in drawn:
        assert len(chart.figure.data[0].x) <= 1_500


def test_a_bar_with_a_pivot_of_two_levels_has_one_mark_that_says_when_it_was_known(data):
    pivots = data.market.pivots
    day = replace(data.market.fills, ts=data.market.fills.ts[:1], price=data.market.fills.price[:1],
                  side=data.market.fills.side[:1])  # fmt: skip
    drawn = charts([price_section(replace(data, market=replace(data.market, fills=day)))])
    (trace,) = [t for t in drawn[0].figure.data if (t.name or "").startswith("pivots")]
    assert len(trace.x) == 2
    assert trace.customdata[0][0] == "3", "the highest level"
    assert trace.customdata[0][2] == str(np.datetime64(int(pivots.known[0]), "us"))[:16].replace(
        "T", " "
    )


def test_a_second_touch_warns(data):
    assert "touched once" in touches_text(1)
    section = trials_section(data)
    warnings = [b.text for b in section.blocks if isinstance(b, Words) and b.warns]
    assert len(warnings) == 1
    assert "touched 2 times" in warnings[0]
    first = trials_section(replace(data, history=replace(data.history, touches=[])))
    assert not any(isinstance(b, Words) and b.warns for b in first.blocks)


def test_intervals_stand_beside_every_baseline(data):
    section = significance_section(data)
    found = data.assessment.bootstrap.agent
    cells = row(section, "agent alone")
    assert cells[1] == f"{1e4 * found.mean.value:+.2f} bp"
    assert f"{1e4 * found.low.value:+.2f} bp" in cells[2]
    for name in ("flat", "buy and hold", "sell and hold"):
        assert row(section, f"agent above {name}")


def test_a_figure_that_cannot_be_had_says_why(data):
    sharpe = data.assessment.sharpe
    lacking = replace(
        sharpe, sharpe=replace(sharpe.sharpe, value=None, reason="not enough data: 1")
    )
    more = replace(data, assessment=replace(data.assessment, sharpe=lacking))
    assert row(significance_section(more), "Sharpe ratio")[1] == "not enough data: 1"


def test_curves_say_where_they_cross_nothing():
    net = np.array([0.2, 0.1, -0.1])
    assert "It crosses 0 between 2 and 5" in curve_text("fee", np.array([0.0, 2.0, 5.0]), net)
    assert "loses all along" in curve_text("fee", np.array([0.0, 2.0]), np.array([-0.1, -0.2]))


def test_the_cost_curve_is_in_basis_points_and_marks_what_is_assumed(data):
    cost, latency = charts([curves_section(data)])
    assert list(cost.figure.data[0].x) == [2.0, 10.0]
    assert cost.figure.layout.annotations[0].text == "assumed here"
    assert list(latency.figure.data[0].x) == [0.0, 0.5, 1.0]


def test_folds_are_a_row_each_and_one_account_together(data):
    section = folds_section(data)
    (table,) = tables([section])
    assert len(table.rows) == 3
    walk = data.walk_forward
    last = charts([section])[-1].figure.data[0]
    assert last.y[-1] == pytest.approx(math.expm1(float(walk.daily["agent"].sum())))


def test_the_median_of_seeds_is_told_not_the_best(data):
    (chart,) = charts([seeds_section(data)])
    assert chart.says.startswith("Median of 4 seeds +0.50%")
    assert "One seed alone" in words(seeds_section(replace(data, seeds=data.seeds[:1])))


def test_reliability_is_drawn_with_its_intervals(data):
    held = data.confidence.held
    _, points = reliability_figure(held).data
    assert list(points.x) == [b.confidence for b in held.bins]
    assert points.error_y.array[0] == pytest.approx(held.bins[0].upper - held.bins[0].frequency)


def test_gated_and_ungated_stand_side_by_side(data):
    section = confidence_section(data)
    (gated,) = [t for t in tables([section]) if t.key == "gated"]
    assert list(gated.head) == ["", "agent", "agent, gated"]
    assert "Gated, 3 of 40 orders" in charts([section])[-1].says


def test_without_a_calibration_the_reason_is_told(data):
    section = confidence_section(replace(data, confidence=Uncalibrated("too few days")))
    assert words(section) == "Too few days. No order was refused."


def test_commands_and_configuration_can_be_copied(data):
    section = reproduction_section(data)
    commands = [block.text for block in section.blocks if isinstance(block, Code)]
    assert commands == ["python -m apex_trader.train seed=1"]
    assert re.search("torch", str(tables([section])[0].rows))


def test_a_year_of_minutes_is_drawn_in_few_candles(data):
    count = 366 * 1_440
    close = 100.0 + np.cumsum(random_of(8).normal(size=count)) / 50.0
    ts = data.agent.ts[0] // MINUTE * MINUTE + MINUTE * np.arange(count, dtype=np.int64)
    year = Candles(MINUTE, ts, close, close + 0.1, close - 0.1, close)
    chart = period_chart(replace(data.market, candles=year), data.agent)
    candles = chart.figure.data[0]
    assert len(candles.x) <= 1_500
    assert np.max(candles.high) == year.high.max()
    assert np.min(candles.low) == year.low.min()
    assert "candles of 1 d" in chart.says
