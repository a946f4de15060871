"""Whether the figures mean anything: intervals, placebo, and the price of having tried a lot."""

from __future__ import annotations

from collections.abc import Mapping

from apex_trader.evaluation.assessment import RandomAccounts, ScoreFigure
from apex_trader.evaluation.bootstrap import BootstrapResult, Interval
from apex_trader.evaluation.overfitting import Overfitting
from apex_trader.evaluation.placebo import Placebo
from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import is_ceiling, plural, show
from apex_trader.evaluation.report.section import Block, Section, Table, Words
from apex_trader.evaluation.sharpe import SharpeStatistics
from apex_trader.evaluation.walk_forward import WalkForward

TITLE = "Is it more than luck?"
TEXT = (
    "Each figure with its 95% interval where one can be had; where it would be made up, it says "
    "why there is none. Intervals redraw whole days, since decisions of a day are not independent. "
    "docs/evaluation.md has every formula and its source."
)
#: Log returns a day, in basis points.
DAILY = "{:+.2f} bp"


def significance_section(data: ReportData) -> Section:
    """The tables of what was computed."""
    found = data.assessment
    if found is None:
        why = "Not computed: this report was made without intervals and tests."
        return Section.absent("significance", TITLE, why)
    rows = [
        *_sharpe_rows(found.sharpe), *_placebo_rows(found.placebo), *_random_rows(found.random),
        *_overfitting_rows(found.overfitting), *_score_rows(found.scores),
        ["break-even fee", show(found.break_even_fee, "{:.4%}"),
         "the fee an order at which these very positions would have earned nothing"],
    ]  # fmt: skip
    return Section(
        "significance", TITLE, TEXT,
        (_intervals(found.bootstrap, data.agent.name),
         Table("significance", ["", "value", "what it says"], rows, plain=True)),
    )  # fmt: skip


def walk_forward_significance(walk: WalkForward) -> Section:
    """Intervals and Sharpe ratios of all folds' test days together."""
    agent = next(iter(walk.daily))
    return Section(
        "significance", TITLE, TEXT,
        (_intervals(walk.bootstrap, agent),
         Table("significance", ["", "value", "what it says"], _sharpe_rows(walk.sharpe),
               plain=True)),
    )  # fmt: skip


def _intervals(found: BootstrapResult, agent: str) -> Block:
    """The table, or in a line why there is none."""
    if found.draws:
        return bootstrap_table(found, agent)
    return Words(f"No interval of what a day earns: {found.agent.mean.reason}.")


def bootstrap_table(found: BootstrapResult, agent: str) -> Table:
    """What a day earns, net: alone, and above each baseline on the same days."""
    rows = [_interval_row(f"{agent} alone", found.agent)]
    rows += [
        _interval_row(f"{agent} above {name}", one)
        for name, one in found.against.items()
        if not is_ceiling(name)
    ]
    head = ["net, a day", "mean", "95% interval", "draws at or below 0"]
    note = (
        f"Log returns a day in basis points (1 bp = 0.01%). Stationary bootstrap, {found.draws:,} "
        f"draws of {plural(found.days, 'day')} in blocks of {found.block:.1f} on average; the same "
        "days are drawn for agent and baseline."
    )
    return Table("bootstrap", head, rows, note)


def _interval_row(name: str, interval: Interval) -> list[str]:
    mean = interval.mean
    if mean.value is None or interval.low.value is None or interval.high.value is None:
        return [name, show(mean, DAILY), "–", "–"]
    ends = " … ".join(DAILY.format(1e4 * end) for end in (interval.low.value, interval.high.value))
    return [name, DAILY.format(1e4 * mean.value), ends, show(interval.below, "{:.1%}")]


def _sharpe_rows(found: SharpeStatistics) -> list[list[str]]:
    return [
        ["Sharpe ratio", show(found.sharpe, "{:.2f}"),
         f"net daily returns of {plural(found.days, 'day')}, 365 days a year"],
        ["probabilistic Sharpe", show(found.probabilistic, "{:.1%}"),
         "chance that the true ratio is above 0, skew and fat tails counted"],
        ["deflated Sharpe", show(found.deflated, "{:.1%}"),
         f"the same after {plural(found.trials, 'trial')}: chance that it is above what the best "
         "of so many without skill would show"],
        ["expected best of the trials", show(found.expected, "{:.2f}"),
         "Sharpe ratio that luck alone is expected to reach in so many trials"],
        ["minimum track record", show(found.minimum_days, "{:,.0f} days"),
         "days at which the observed ratio would differ from 0 with 95% confidence"],
    ]  # fmt: skip


def _placebo_rows(found: Placebo) -> list[list[str]]:
    scaled = [
        show(one, "{:+.4%}") for one in (found.actual, found.mean, found.low, found.high)
    ]  # fmt: skip
    if found.actual.value is None:
        return [["placebo", scaled[0], "the same positions against other days' market"]]
    return [
        ["placebo: before costs, a day", scaled[0], "what the positions earned on their own days"],
        ["placebo: on shuffled days", f"{scaled[1]} [{scaled[2]}, {scaled[3]}]",
         "mean and 95% range of the same positions on other days' market, "
         f"{found.draws:,} shuffles"],
        ["placebo: p-value", show(found.p_value, "{:.3f}"),
         "chance of doing as well without any connection to the market"],
    ]  # fmt: skip


def _overfitting_rows(found: Overfitting) -> list[list[str]]:
    return [
        ["probability of overfitting", show(found.probability, "{:.1%}"),
         f"chance that the winner among {plural(found.trials, 'trial')} ends in the lower half on "
         "other days (CSCV, Bailey et al. 2017); a half is a lottery"],
        ["chance of a loss", show(found.loss, "{:.1%}"), "that the winner loses on other days"],
    ]  # fmt: skip


def _random_rows(found: RandomAccounts | None) -> list[list[str]]:
    if found is None:
        return [["accounts at random", "none", "the agent never traded: there is nothing to match"]]
    return [[
        "accounts at random", f"{found.mean:+.3%} [{found.low:+.3%}, {found.high:+.3%}]",
        f"net log return, mean and 95% range of {plural(found.accounts, 'account')} that trade as "
        f"often and as long, at random; the agent's {found.agent:+.3%} has p = {found.p_value:.3f}",
    ]]  # fmt: skip


def _score_rows(scores: Mapping[str, ScoreFigure]) -> list[list[str]]:
    return [
        [f"score against the {name}",
         f"{show(one.value, '{:.3f}')}"
         + (f" ± {one.standard_error.value:.3f}" if one.standard_error.value is not None else ""),
         f"net profit as a share of its, ± standard error over {plural(one.days, 'day')}"]
        for name, one in scores.items()
    ]  # fmt: skip
