"""The first sentences: the bad news with the good."""

from __future__ import annotations

import math
from dataclasses import replace

from apex_trader.evaluation.report.headline import tiles, verdict


def with_net(data, **nets):
    figures = {
        name: {**f, "net_return": nets.get(name.replace(" ", "_"), f["net_return"])}
        for name, f in data.figures.items()
    }
    return replace(data, figures=figures)


def test_a_loss_is_called_one_and_costs_that_ate_a_gain_are_named(data):
    lost = with_net(data, agent=-0.05)
    lost.figures["agent"]["gross_return"] = 0.02
    said = verdict(lost)
    assert said[0] == "After all costs the agent lost 5.00% in 6 days."
    assert "the costs eat what it finds" in said[1]


def test_baselines_that_did_better_are_named_with_what_they_made(data):
    said = " ".join(verdict(with_net(data, agent=0.01, buy_and_hold=0.05, flat=0.0)))
    assert "buy and hold (+5.00%)" in said
    assert "did better" in said


def test_a_ceiling_or_the_gated_account_is_no_rival(data):
    optimum = replace(data.records[2], name="hindsight optimum")
    more = replace(data, records=[*data.records, optimum])
    more = with_net(more, agent=1.0, agent__gated=2.0)
    more.figures["hindsight optimum"] = {"net_return": 99.0}
    assert "No baseline did better" in " ".join(verdict(more))


def test_a_band_around_nothing_is_called_luck(data):
    band = replace(data.band, low=data.band.low - 9, high=data.band.high + 9)
    assert "this could be luck" in verdict(replace(data, band=band))[-1]


def test_few_days_cannot_tell_skill_from_luck(data):
    figures = {n: {**f, "days": 2.0, "sharpe": math.nan} for n, f in data.figures.items()}
    few = replace(data, figures=figures, band=None)
    assert "not enough data to tell skill from luck" in verdict(few)[-1]
    assert [t.value for t in tiles(few) if t.label == "Sharpe"] == ["not enough data"]


def test_the_first_tile_is_net_and_says_what_it_was_before_costs(data):
    first = tiles(data)[0]
    assert first.label == "net return"
    assert "before costs" in first.note
