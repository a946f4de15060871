"""A run in a notebook, as a researcher uses it and mistypes it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import apex_trader
from apex_trader.errors import ApexError, ConfigError
from apex_trader.run import Run, span_of, to_micros
from apex_trader.runtime.judge import IN_SAMPLE
from apex_trader.runtime.trials import SEEN
from apex_trader.time import DAY, HOUR, parse_time
from tests.conftest import JUDGED

pytestmark = pytest.mark.slow

NOON = parse_time("2024-01-05T12:00")


@pytest.fixture(scope="module")
def run(small_run: Path) -> Run:
    return apex_trader.load_run(small_run)


def test_the_result_is_the_file_that_the_run_ended_with(run: Run):
    assert run.result["backtest"]["flat"]["net_return"] == 0.0
    assert run.result["agent"]["updates"] <= 20
    assert "quickstart" in repr(run)


# -- folders that are none ------------------------------------------------------------------------


def test_a_mistyped_folder_is_said_to_be_none(small_run: Path):
    with pytest.raises(ApexError, match="does not exist"):
        apex_trader.load_run(small_run.with_name("rum"))
    with pytest.raises(ApexError, match="holds no run"):
        apex_trader.load_run(small_run.parent)


def test_a_run_that_has_not_ended_has_no_result_and_the_metrics_so_far(tmp_path, small_run: Path):
    """Its last line may be half written."""
    (tmp_path / "config.yaml").write_text((small_run / "config.yaml").read_text())
    begun = apex_trader.load_run(tmp_path)
    with pytest.raises(ApexError, match="has not finished"):
        _ = begun.result
    assert len(begun.metrics("learner")) == 0
    lines = (small_run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "metrics.jsonl").write_text("".join(lines) + lines[0][:40])
    whole = apex_trader.load_run(small_run)
    assert begun.metrics("learner").equals(whole.metrics("learner"))
    with pytest.raises(ApexError, match="no complete checkpoint"):
        begun.state_at(NOON)


def test_a_store_that_has_moved_can_be_named(small_run: Path, small_market: Path):
    lost = apex_trader.load_run(small_run, **{"market.store": "nowhere"})
    with pytest.raises(ApexError, match=r"nowhere has no .*: it is empty or not there"):
        lost.state_at(NOON)
    found = apex_trader.load_run(small_run, **{"market.store": str(small_market)})
    assert found.state_at(NOON).attrs["decidable"]


# -- metrics --------------------------------------------------------------------------------------


def test_metrics_are_indexed_by_their_axis(run: Run):
    learner = run.metrics("learner")
    assert learner.index.name == "learner/updates"
    assert learner.index.tolist() == [5, 10, 15, 20]
    assert np.isfinite(learner["learner/loss"]).all()


def test_a_mistyped_group_names_those_there_are(run: Run):
    with pytest.raises(ApexError, match="'lerner': choose of actors, replay, learner"):
        run.metrics("lerner")


# -- states ---------------------------------------------------------------------------------------


def test_a_state_has_a_name_for_each_feature_and_says_how_it_came_about(run: Run):
    state = run.state_at(NOON)
    assert list(state.index) == list(run.data.schema.columns)
    assert np.isfinite(state).all()
    assert state.index.is_unique
    assert state.attrs["time"] == NOON
    assert state.attrs["decidable"]
    assert state.attrs["coverage"]["primary_1m"] == 1.0
    assert state.attrs["extractor"] == run.agent.extractor.version


def test_a_states_features_are_those_of_its_time(run: Run):
    segment = run.data.builder.build(NOON // DAY * DAY)
    at = int(np.searchsorted(segment.decisions.ts, NOON))
    regime = segment.tables["regime"][segment.decisions.row["1m"][at]]
    state = run.state_at(NOON)
    np.testing.assert_array_equal(state.filter(like="regime["), np.nan_to_num(regime))


def test_the_mirrored_market_is_another_state_and_its_mirror_the_first(run: Run):
    state, mirrored = run.state_at(NOON), run.state_at(NOON, mirror=True)
    assert state["primary_1m[-1].return"] == -mirrored["primary_1m[-1].return"]
    assert state["primary_1m[-1].volume"] == mirrored["primary_1m[-1].volume"]


@pytest.mark.parametrize(
    "t",
    [
        "2024-01-05T12:00:00",
        "2024-01-05 12:00",
        "2024-01-05T14:00:00+02:00",
        NOON,
        np.int64(NOON),
        datetime(2024, 1, 5, 12),
        datetime(2024, 1, 5, 12, tzinfo=UTC),
        datetime(2024, 1, 5, 7, tzinfo=timezone(timedelta(hours=-5))),
        pd.Timestamp("2024-01-05 12:00"),
        pd.Timestamp("2024-01-05 07:00", tz="US/Eastern"),
        np.datetime64("2024-01-05T12:00"),
        np.datetime64("2024-01-05T12:00", "ns"),
    ],
)
def test_a_time_can_be_written_in_any_usual_way(t):
    """Without a zone it is UTC."""
    assert to_micros(t) == NOON


def test_a_date_is_its_midnight():
    assert to_micros(date(2024, 1, 5)) == NOON - 12 * HOUR


@pytest.mark.parametrize(
    ("t", "said"),
    [
        ("noon", "'noon' is not a time"),
        ("", "'' is not a time"),
        (None, "None is not a time"),
        (True, "True is not a time"),
        (1704456000.0, "1704456000.0 is not a time"),
        (pd.NaT, "NaT is not a time"),
        (np.datetime64("NaT"), "is not a time"),
        (pd.Timestamp("2024-01-05 12:00:00.000000001"), "in whole µs"),
        (2**70, "is no time in µs"),
    ],
)
def test_what_is_no_time_is_refused(t, said):
    with pytest.raises(ApexError, match=said):
        to_micros(t)


@pytest.mark.parametrize("t", ["2030-01-01", "1999-12-31T23:59", NOON // 1_000_000, NOON // 1_000])
def test_a_time_outside_the_market_names_the_days_there_are(run: Run, t):
    """Seconds and milliseconds for µs land in 1970: the message shows it."""
    with pytest.raises(ApexError, match=r"has no states on that day; it has 20\d\d-.* days\)"):
        run.state_at(t)


def test_a_time_between_two_decisions_names_both(run: Run):
    with pytest.raises(ApexError, match=r"of 60 s, the nearest .*12:00:00 and .*12:01:00"):
        run.state_at("2024-01-05T12:00:30")


# -- backtests ------------------------------------------------------------------------------------


def test_a_backtest_of_the_test_days_repeats_the_runs_own(run: Run):
    again = run.backtest()
    own = run.result["backtest"]
    assert own["agent"]["trades_per_day"] > 0
    for policy, figures in own.items():
        assert again["figures"][policy]["net_return"] == figures["net_return"], policy
        assert again["records"][policy].name == policy
    # others may have looked at the days of the same store before the run itself did
    told, own_told = (
        [n for n in notes if not n.startswith(SEEN)]
        for notes in (again["notes"], run.result["notes"])
    )
    assert told == own_told
    (seen,) = (n for n in again["notes"] if n.startswith(SEEN))
    assert "3 days of the 3 judged had been looked at" in seen


def test_a_changed_cost_changes_what_costs_and_nothing_else(run: Run):
    cheap, dear = (run.backtest(**{"trading.fee": fee})["figures"] for fee in (0.0, 0.001))
    held = "buy and hold"
    assert cheap[held]["fee"] == 0.0
    assert dear[held]["net_return"] < cheap[held]["net_return"]
    assert dear[held]["gross_return"] == pytest.approx(cheap[held]["gross_return"], abs=1e-3)


def test_at_another_fee_the_agent_does_what_the_cost_curve_says_of_it(run: Run):
    """What it was taught of costs stays: it is the same agent, whatever its account is charged."""
    curve = {point["fee"]: point for point in run.result["evaluation"]["costs"]}
    for fee in (0.0, 0.0005):
        judged = run.backtest(**{"trading.fee": fee})
        assert curve[fee]["trades"] > 0
        assert judged["records"]["agent"].traded.sum() == curve[fee]["trades"]
        assert judged["figures"]["agent"]["net_return"] == curve[fee]["net_return"]


def test_a_period_of_its_own_ends_before_its_last_date(run: Run):
    judged = run.backtest(start="2024-01-05", end=date(2024, 1, 6))
    assert judged["figures"]["agent"]["days"] == 1.0
    ts = judged["records"]["agent"].ts
    assert ts[0] // DAY == ts[-1] // DAY == NOON // DAY


def test_days_that_the_run_was_trained_on_are_named(run: Run):
    assert not any(note.startswith(IN_SAMPLE) for note in run.backtest()["notes"])
    (warning,) = (n for n in run.backtest("validation")["notes"] if n.startswith(IN_SAMPLE))
    assert "choice of checkpoint" in warning


def test_a_checkpoint_can_be_chosen(run: Run):
    latest = run.backtest(checkpoint="step-000020")
    assert set(latest["records"]) == JUDGED
    with pytest.raises(ApexError, match="no checkpoint 'step-9'; there are: step-"):
        run.backtest(checkpoint="step-9")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trading.fees": 0.001}, "did you mean trading.fee"),
        ({"trading.fee": "cheap"}, "trading.fee='cheap' cannot be used: a number"),
        ({"trading.action_set": "sell_buy"}, "the agent was trained with 'target'"),
        ({"state.without": ["pivots"]}, r"state.without=.* trained with \[\]"),
        ({"network.hidden": 8}, "network.hidden=8 cannot be used: the agent was trained with 16"),
        ({"market.primary": "binance:ETHUSD"}, "it holds synthetic:BTCUSDT, synthetic:ETHUSDT"),
        ({"period": "tests"}, "one of test, calibration, validation, agent, extractor"),
        ({"period": "agent_from"}, "one of test, calibration, validation, agent, extractor"),
        ({"start": "2024-01-06", "end": "2024-01-05"}, "a day after from=2024-01-06"),
        ({"start": "2025-01-01"}, "no day can be judged from 2025-01-01 on: states of .* days"),
        ({"end": "2019-01-01"}, "no day can be judged before 2019-01-01"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(run: Run, changes, said):
    with pytest.raises(ApexError, match=said):
        run.backtest(**changes)


def test_a_span_may_be_open_on_either_side():
    assert span_of(None, None) is None
    first, last = span_of("2024-01-05", None)
    assert (first, last > first) == (NOON - 12 * HOUR, True)
    with pytest.raises(ConfigError, match="to="):
        span_of("2024-01-05", "2024-01-05")
