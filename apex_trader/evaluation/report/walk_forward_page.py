"""The page of a walk-forward test: all folds as one result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from apex_trader.evaluation.missing import NOT_ENOUGH
from apex_trader.evaluation.report.folds import walk_forward_section
from apex_trader.evaluation.report.format import is_ceiling, plural, show_figure
from apex_trader.evaluation.report.headline import Tile
from apex_trader.evaluation.report.page import Head, page_of
from apex_trader.evaluation.report.section import Code, Section, Table, Words
from apex_trader.evaluation.report.significance import walk_forward_significance
from apex_trader.evaluation.walk_forward import WalkForward

#: (key of ``WalkForward.figures``, label, format)
FIGURES = (
    ("net_return", "net return", "{:+.3%}"), ("max_drawdown", "max drawdown, by day", "{:.3%}"),
    ("sharpe", "Sharpe (365 d)", "{:.2f}"), ("sortino", "Sortino (365 d)", "{:.2f}"),
    ("calmar", "Calmar", "{:.2f}"),
)  # fmt: skip


def render_walk_forward(
    walk: WalkForward,
    title: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    command: str,
    pages: Mapping[str, str],
) -> str:
    """HTML. command: what trains it again. pages: fold → where its own report lies."""
    head = Head(title, notes, walk_forward_verdict(walk), _tiles(walk), facts)
    sections = [
        _figures(walk),
        walk_forward_significance(walk),
        walk_forward_section(walk),
        _pages(pages),
        Section("reproduce", "How to reproduce it", "What was run.", (Code(command),)),
    ]
    return page_of(head, sections)


def walk_forward_verdict(walk: WalkForward) -> list[str]:
    """The result in sentences, with the baselines that did better."""
    agent, *others = walk.figures
    net = walk.figures[agent]["net_return"]
    word = "gained" if net > 0 else "lost" if net < 0 else "kept its equity:"
    said = [
        f"Over {plural(len(walk.days), 'test day')} of {plural(len(walk.folds), 'fold')} the agent "
        f"{word} {abs(net):.2%} after all costs; it gained in {walk.gained} of the folds."
    ]
    rivals = {n: walk.figures[n]["net_return"] for n in others if not is_ceiling(n)}
    better = [f"{name} ({value:+.2%})" for name, value in rivals.items() if value > net]
    if better:
        said.append(f"On the same days these did better: {', '.join(better)}.")
    low, high = walk.bootstrap.agent.low.value, walk.bootstrap.agent.high.value
    if low is None or high is None:
        said.append(f"There is {NOT_ENOUGH} to tell skill from luck.")
    elif low <= 0.0 <= high:
        said.append("By the spread of its days this could be luck: the 95% interval holds 0.")
    return said


def _tiles(walk: WalkForward) -> list[Tile]:
    figures = next(iter(walk.figures.values()))
    missing = NOT_ENOUGH if math.isnan(figures["sharpe"]) else ""
    return [
        Tile("net return", show_figure(figures["net_return"], "{:+.2%}"),
             f"in {plural(len(walk.days), 'day')}"),
        Tile("max drawdown", show_figure(figures["max_drawdown"], "{:.2%}"), "net, by day"),
        Tile("Sharpe", show_figure(figures["sharpe"], "{:.2f}", missing), "daily, 365 d"),
        Tile("folds with a gain", f"{walk.gained} of {len(walk.folds)}"),
    ]  # fmt: skip


def _figures(walk: WalkForward) -> Section:
    head = ["", *(f"{n} (a ceiling)" if is_ceiling(n) else n for n in walk.figures)]
    rows = [
        [label, *(show_figure(f.get(key), form) for f in walk.figures.values())]
        for key, label, form in FIGURES
    ]
    text = "All folds' test days, one behind the other, net of all costs; each fold begins flat."
    return Section("figures", "Figures", text, (Table("figures", head, rows),))


def _pages(pages: Mapping[str, str]) -> Section:
    rows = [[fold, place] for fold, place in pages.items()]
    return Section(
        "pages", "Each fold's own report", "",
        (Table("pages", ["fold", "report"], rows, plain=True),
         Words("What a fold traded, at which prices and how surely, is told there.")),
    )  # fmt: skip
