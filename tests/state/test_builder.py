from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market.fills import FillConfig
from apex_trader.market.history import StoreSource
from apex_trader.market.source import LookbackSource, MarketInfo, MemorySource
from apex_trader.market.store import MarketStore
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.decisions import ANCHOR_DIVISOR
from apex_trader.state.schema import Schema, eth_full, eth_minutes
from apex_trader.state.segment import Segment
from apex_trader.time import DAY, HOUR, MINUTE, SECOND, format_date
from tests.state.state_markets import START, random_markets, random_minutes

ROWS = 16
Pair = tuple[MemorySource, MemorySource]


@lru_cache
def full() -> tuple[Schema, Pair, SegmentBuilder]:
    schema, pair = eth_full(ROWS), random_markets(21, 16, 2)
    return schema, pair, SegmentBuilder(schema, *pair)


@lru_cache
def minutes() -> tuple[Schema, Pair, SegmentBuilder]:
    schema, pair = eth_minutes(ROWS), random_markets(22, 18, 0)
    return schema, pair, SegmentBuilder(schema, *pair)


@lru_cache
def segment_of(kind: str) -> Segment:
    builder = {"full": full, "minutes": minutes}[kind]()[2]
    return builder.build(builder.days()[-1])


KINDS = pytest.mark.parametrize("kind", ["full", "minutes"])


def market_of(kind: str) -> tuple[Schema, Pair, SegmentBuilder]:
    return {"full": full, "minutes": minutes}[kind]()


@KINDS
def test_decisions_fall_on_every_multiple_of_the_interval_within_the_day(kind):
    schema, segment = market_of(kind)[0], segment_of(kind)
    wanted = np.arange(segment.day, segment.day + DAY, schema.decision_interval)
    np.testing.assert_array_equal(segment.decisions.ts, wanted)
    assert 0.3 < segment.decisions.decidable.mean() < 1.0


@KINDS
def test_tables_hold_a_window_of_look_back_and_the_day(kind):
    schema, segment = market_of(kind)[0], segment_of(kind)
    for block in schema.blocks:
        if block.name in segment.tables:
            table, rows = segment.tables[block.name], segment.decisions.row[block.clock]
            assert table.shape[1] == block.width
            assert table.dtype == np.float32
            assert rows[0] == ROWS - 1
            assert rows[-1] == len(table) - 1
            assert (np.diff(rows) >= 0).all()


@KINDS
def test_the_mark_is_the_last_price_known_before_the_decision(kind):
    _, (primary, reference), _ = market_of(kind)
    segment = segment_of(kind)
    known = segment.decisions
    for i in np.flatnonzero(known.decidable)[:: 400 if kind == "full" else 60]:
        ts, closes = int(known.ts[i]), []
        for source in (primary, reference):
            if kind == "full":
                closes.append(source.all_trades.price[source.all_trades.ts < ts][-1])
            else:
                bars = source.bars("1m")
                closes.append(bars.close[bars.ts + MINUTE <= ts][-1])
        assert known.mark[i] == pytest.approx(np.log(closes[0]), abs=1e-12)
        wanted = np.log(closes) - segment.base
        np.testing.assert_allclose(known.anchor[i], wanted, atol=1e-6)


@KINDS
def test_the_last_row_of_each_clock_is_the_last_bar_closed(kind):
    schema, (primary, _), _ = market_of(kind)
    segment = segment_of(kind)
    known = segment.decisions
    for clock in schema.clocks:
        if clock == schema.fast_clock:
            continue
        bars = primary.bars(clock)
        rows = np.flatnonzero(known.decidable)[::301]
        last = np.searchsorted(bars.ts + bars.step, known.ts[rows], side="right") - 1
        close = segment.tables[f"primary_{clock}"][known.row[clock][rows], 3]
        np.testing.assert_allclose(close, np.log(bars.close[last]) - segment.base[0], atol=1e-6)


def with_carried_minutes(source: MemorySource) -> MemorySource:
    """The source with a bar without volume, at the last price, in place of every absent minute."""
    bars = source.bars("1m")
    ts = np.arange(bars.ts[0], bars.ts[-1] + MINUTE, MINUTE)
    last = np.searchsorted(bars.ts, ts, side="right") - 1
    carried = ~np.isin(ts, bars.ts)
    close = bars.close[last]
    prices = {n: np.where(carried, close, getattr(bars, n)[last]) for n in ("open", "high", "low")}
    flows = {n: np.where(carried, 0.0, getattr(bars, n)[last])
             for n in ("volume", "taker_buy_volume", "count")}  # fmt: skip
    whole = replace(bars, ts=ts, close=close, **prices, **flows)
    return replace(source, clock_bars={**source.clock_bars, "1m": whole})


def test_minutes_without_trades_are_the_same_whether_absent_or_recorded_without_volume():
    """In short pauses and in gaps: no decision behind a gap's first minutes, and no fill in it."""
    schema, (primary, reference), builder = minutes()
    filled = SegmentBuilder(schema, with_carried_minutes(primary), with_carried_minutes(reference))
    assert filled.days() == builder.days()
    day = builder.days()[-1]
    segment, wanted = filled.build(day), segment_of("minutes")
    pause = np.diff(primary.bars("1m").between(day - DAY // 2, day + DAY).ts)
    assert ((pause > MINUTE) & (pause <= schema.max_gap)).any()
    assert (pause[-DAY // 2 // MINUTE :] > schema.max_gap + MINUTE).any()
    for part in ("decisions", "outcomes"):
        columns, others = vars(getattr(segment, part)), vars(getattr(wanted, part))
        for name, column in columns.items():
            pairs = column.items() if isinstance(column, dict) else [(None, column)]
            for clock, values in pairs:
                other = others[name] if clock is None else others[name][clock]
                np.testing.assert_array_equal(values, other, err_msg=f"{name} {clock}")
    for name, table in segment.tables.items():
        np.testing.assert_array_equal(table, wanted.tables[name], err_msg=name)


@KINDS
def test_no_fast_window_crosses_a_gap_and_coverage_recovers_after_it(kind):
    schema, (primary, _), _ = market_of(kind)
    segment = segment_of(kind)
    known, clock = segment.decisions, schema.fast_clock
    step = SECOND if kind == "full" else MINUTE
    ts = primary.all_seconds.ts if kind == "full" else primary.bars("1m").ts
    resumed = ts[1:][np.diff(ts) > schema.max_gap + step]
    resumed = resumed[(resumed > segment.day + HOUR) & (resumed < segment.day + DAY - HOUR)]
    assert len(resumed)
    block = [b.name for b in schema.blocks].index(f"primary_{clock}")
    for begin in resumed[:3]:
        silent = int(np.searchsorted(known.ts, begin, side="right")) - 1
        assert not known.decidable[silent]
        later = np.flatnonzero((known.ts > begin) & (known.ts <= begin + ROWS * step))
        shown = known.row[clock][later] - known.start[clock][later] + 1
        wanted = (known.ts[later] - begin) // step
        np.testing.assert_array_equal(shown, np.minimum(wanted, ROWS))
        np.testing.assert_allclose(known.coverage[later, block], shown / ROWS, rtol=1e-6)
        np.testing.assert_array_equal(
            known.decidable[later] & (shown < schema.min_coverage * ROWS), False
        )


@KINDS
def test_a_pause_within_the_longest_gap_stays_decidable(kind):
    schema, (primary, _), builder = market_of(kind)
    step = SECOND if kind == "full" else MINUTE
    ts = primary.all_seconds.ts if kind == "full" else primary.bars("1m").ts
    pause = np.diff(ts) - step
    quiet = np.flatnonzero((pause >= schema.max_gap // 2) & (pause <= schema.max_gap))
    reference = [b.name for b in schema.blocks].index(f"reference_{schema.fast_clock}")
    checked = 0
    for place in quiet[ts[quiet] >= builder.days()[-2]]:
        known = builder.build(int(ts[place]) // DAY * DAY).decisions
        inside = (known.ts > ts[place] + step) & (known.ts <= ts[place + 1])
        before = (known.ts <= ts[place] + step) & (known.ts > ts[place] - 4 * step)
        if inside.any() and known.decidable[before].all() and before.any():
            covered = known.coverage[inside][:, reference] >= schema.min_coverage
            np.testing.assert_array_equal(known.decidable[inside], covered)
            checked += 1
        if checked == 2:
            break
    assert checked


@KINDS
def test_scales_are_one_over_sigma_and_the_root_of_the_window(kind):
    schema = market_of(kind)[0]
    segment = segment_of(kind)
    known = segment.decisions
    rows = np.flatnonzero(known.decidable)
    fast = schema.fast_clock
    interval = np.sqrt(schema.decision_interval / (SECOND if kind == "full" else MINUTE))
    sigma = ANCHOR_DIVISOR[fast] / (known.scale[fast][rows, 0] * np.sqrt(ROWS))
    np.testing.assert_allclose(known.sigma_decision[rows], sigma * interval, rtol=1e-5)
    hour = ANCHOR_DIVISOR["1h"] / (known.scale["1h"][rows, 0] * np.sqrt(ROWS))
    np.testing.assert_allclose(known.sigma_hour[rows], hour, rtol=1e-5)


@KINDS
def test_episodes_are_the_unbroken_runs_of_decidable_rows(kind):
    segment = segment_of(kind)
    known, later = segment.decisions, segment.outcomes
    n = len(known.ts)
    follows = later.next_row >= 0
    np.testing.assert_array_equal(later.next_row[follows], np.flatnonzero(follows) + 1)
    assert not follows[n - 1]
    np.testing.assert_array_equal(later.episode >= 0, known.decidable)
    pairs = np.flatnonzero(follows)
    np.testing.assert_array_equal(later.episode[pairs], later.episode[pairs + 1])
    assert known.decidable[pairs].all()
    assert known.decidable[pairs + 1].all()
    breaks = np.flatnonzero(known.decidable[:-1] & known.decidable[1:] & ~follows[:-1])
    assert (later.episode[breaks] != later.episode[breaks + 1]).all()
    numbers = later.episode[known.decidable]
    np.testing.assert_array_equal(np.unique(numbers), np.arange(numbers.max() + 1))


def test_with_ticks_an_order_fills_at_the_first_trade_after_its_latency():
    _, (primary, _), _ = full()
    segment, trades = segment_of("full"), full()[1][0].all_trades
    fills = FillConfig()
    for i in range(0, segment.rows, 997):
        earliest = segment.decisions.ts[i] + fills.latency
        place = int(np.searchsorted(trades.ts, earliest))
        in_time = place < len(trades) and trades.ts[place] < earliest + fills.max_fill_wait
        if in_time:
            assert segment.outcomes.fill[i] == np.log(trades.price[place])
            assert segment.outcomes.fill_ts[i] == trades.ts[place]
        else:
            assert np.isnan(segment.outcomes.fill[i])
    assert primary.all_trades is trades


def test_with_seconds_alone_an_order_fills_at_the_open_of_the_first_one_with_trades():
    schema, (primary, reference), _ = full()
    segment = SegmentBuilder(schema, replace(primary, all_trades=None), reference).build(
        segment_of("full").day
    )
    seconds = primary.all_seconds
    for i in range(0, segment.rows, 997):
        place = int(np.searchsorted(seconds.ts, segment.decisions.ts[i] + SECOND))
        if seconds.ts[place] < segment.decisions.ts[i] + 4 * SECOND:
            assert segment.outcomes.fill[i] == np.log(seconds.open[place])


def test_on_a_day_of_which_only_a_part_is_known_by_trades_orders_fill_all_day():
    schema, (primary, reference), _ = full()
    whole = segment_of("full")
    few = primary.all_trades.between(whole.day, whole.day + HOUR)
    partly = SegmentBuilder(schema, replace(primary, all_trades=few), reference)
    fills = partly.build(whole.day).outcomes
    np.testing.assert_array_equal(fills.fill, whole.outcomes.fill)
    np.testing.assert_array_equal(fills.fill_ts, whole.outcomes.fill_ts // SECOND * SECOND)


@pytest.mark.parametrize(("bar_fill", "delay"), [("next_open", MINUTE), ("this_open", 0)])
def test_with_bars_an_order_fills_at_the_next_open_or_optimistically_at_this_one(bar_fill, delay):
    schema, pair, _ = minutes()
    segment = SegmentBuilder(schema, *pair, FillConfig(bar_fill=bar_fill)).build(
        segment_of("minutes").day
    )
    bars = pair[0].bars("1m")
    for i in range(0, segment.rows, 61):
        wanted = segment.decisions.ts[i] + delay
        place = int(np.searchsorted(bars.ts, wanted))
        if place < len(bars) and bars.ts[place] == wanted:
            assert segment.outcomes.fill[i] == np.log(bars.open[place])
            assert segment.outcomes.fill_ts[i] == wanted
        else:
            assert np.isnan(segment.outcomes.fill[i])


def test_funding_is_charged_to_the_position_held_into_the_payment():
    schema, (primary, reference), _ = minutes()
    day = segment_of("minutes").day
    paying = replace(
        primary,
        funding_times=np.array([day, day + 8 * HOUR, day + 8 * HOUR + SECOND]),
        funding_rates=np.array([0.5, 1e-4, 2e-4]),
    )
    segment = SegmentBuilder(schema, paying, reference).build(day)
    charged = segment.outcomes.funding
    place = 8 * 60
    np.testing.assert_allclose(charged[[place - 1, place]], [1e-4, 2e-4], rtol=1e-6)
    assert charged[0] == 0
    assert charged.sum() == pytest.approx(3e-4)


@pytest.mark.parametrize("stamp", [0, 8_000, SECOND - 1])
def test_an_order_cannot_dodge_a_payment_that_came_before_it_could_trade(stamp):
    """Exchanges stamp funding a few milliseconds after the hour."""
    schema, (primary, reference), _ = minutes()
    day = segment_of("minutes").day
    times = np.array([day, day + 8 * HOUR, day + DAY]) + stamp
    paying = replace(primary, funding_times=times, funding_rates=np.array([1e-4, 2e-4, 4e-4]))
    charged = SegmentBuilder(schema, paying, reference).build(day).outcomes.funding
    place = 8 * 60
    np.testing.assert_allclose(charged[[place - 1, -1]], [2e-4, 4e-4], rtol=1e-6)
    assert charged.sum() == pytest.approx(6e-4)  # the first was paid by the day before


@KINDS
def test_pivot_events_are_known_to_no_decision_before_theirs(kind):
    _, (primary, _), builder = market_of(kind)
    segment = segment_of(kind)
    events = segment.pivot_events
    assert len(events.level) > 50
    assert (events.level >= 2).all()
    assert set(np.unique(events.kind)) == {-1, 1}
    assert (np.diff(events.known_row) >= 0).all()
    known_at = segment.decisions.ts[events.known_row]
    assert (known_at >= events.ts + 2 * MINUTE).all()
    before = builder.build(segment.day - DAY).pivot_events if kind == "minutes" else None
    if before is not None:
        both = np.concatenate((before.ts, events.ts)), np.concatenate((before.level, events.level))
        assert len(set(zip(*both, strict=True))) == len(both[0])
    assert primary is not None


def test_without_a_reference_its_columns_are_declared_and_do_not_hinder_decisions():
    schema, (primary, _), _ = minutes()
    segment = SegmentBuilder(schema, primary).build(segment_of("minutes").day)
    lacking = set(segment.cannot_provide)
    assert lacking == {
        f"{block.name}.{column.name}"
        for block in schema.blocks
        for column in block.columns
        if column.needs == "reference"
    }
    assert segment.decisions.decidable.any()
    assert np.isnan(segment.tables["reference_1m"]).all()
    assert np.isnan(segment.base[1]) or segment.base[1] == 0.0


def test_a_source_without_taker_volume_or_sides_says_so():
    schema, (primary, reference), _ = minutes()
    bars = {
        clock: replace(b, taker_buy_volume=np.full(len(b), np.nan))
        for clock, b in primary.clock_bars.items()
    }
    segment = SegmentBuilder(schema, replace(primary, clock_bars=bars), reference).build(
        segment_of("minutes").day
    )
    assert set(segment.cannot_provide) == {
        f"primary_{clock}.taker_imbalance" for clock in ("1m", "1h", "1d")
    }
    assert segment.decisions.decidable.any()


def test_a_reference_that_is_silent_hinders_decisions():
    schema, (primary, reference), _ = minutes()
    day = segment_of("minutes").day
    bars = {c: b.between(0, day) for c, b in reference.clock_bars.items()}
    segment = SegmentBuilder(schema, primary, replace(reference, clock_bars=bars)).build(day)
    assert not segment.decisions.decidable[segment.decisions.ts > day + HOUR].any()


def test_nothing_is_decided_before_the_look_back_basis_was_known():
    schema, (primary, reference), _ = minutes()
    day = segment_of("minutes").day
    as_of = day + 5 * HOUR
    info = replace(reference.info, lookback=LookbackSource("other:BTC", 0.001, as_of))
    builder = SegmentBuilder(schema, primary, replace(reference, info=info))
    known = builder.build(day).decisions
    assert not known.decidable[known.ts < as_of].any()
    assert known.decidable[known.ts >= as_of].any()
    assert builder.days() == [day]


def test_where_the_look_back_market_stands_in_there_is_nothing_to_trade(tmp_path):
    """A hole in a market's own minutes: its look-back market gives the past, and fills nothing."""
    rng = np.random.default_rng(4)
    bars = random_minutes(rng, START, START + 20 * DAY, 2000.0)
    store, day = MarketStore(tmp_path), START + 17 * DAY
    store.write_bars("test:SPOT", bars)
    hole = (day + 8 * HOUR, day + DAY + 6 * HOUR)
    for low, high in ((START + 15 * DAY, hole[0]), (hole[1], START + 20 * DAY)):
        store.write_bars("test:PERP", bars.between(low, high), covered=(low, high))
    lookback = LookbackSource("test:SPOT", 0.0, START + 15 * DAY + 5 * MINUTE)
    store.set_info(MarketInfo("test:PERP", "perpetual", lookback=lookback))
    schema = eth_minutes(ROWS).without("cnn_hidden", "cnn_predictions")
    builder = SegmentBuilder(schema, StoreSource(store, "test:PERP"))
    decided = 0
    for segment in (builder.build(day), builder.build(day + DAY)):
        ts, known = segment.decisions.ts, segment.decisions.decidable
        inside = (ts > hole[0] + schema.max_gap) & (ts <= hole[1])
        assert inside.any()
        assert not known[inside].any()
        fills = segment.outcomes.fill_ts
        assert not ((fills >= hole[0]) & (fills < hole[1])).any()
        again = known & (ts > hole[1]) & (ts < hole[1] + HOUR)
        decided += int(again.sum())
    assert decided > 50  # the hole does not cost a window of minutes behind it
    assert [d for d in builder.days() if d < day + 2 * DAY][-3:] == [day - DAY, day, day + DAY]
    cut = SegmentBuilder(schema, StoreSource(store, "test:PERP", hole[0] + 2 * HOUR)).build(day)
    whole = builder.build(day).decisions.decidable[: len(cut.decisions.ts)]
    np.testing.assert_array_equal(cut.decisions.decidable, whole)


def test_too_little_history_names_the_block_how_much_there_is_and_the_remedy():
    schema, (primary, reference), _ = minutes()
    short = {c: b.between(int(b.ts[-1]) - 3 * DAY, int(b.ts[-1]) + 1)
             for c, b in primary.clock_bars.items()}  # fmt: skip
    builder = SegmentBuilder(schema, replace(primary, clock_bars=short), reference)
    day = segment_of("minutes").day
    for attempt in (lambda: builder.build(day), builder.days):
        with pytest.raises(ApexError, match=r"primary_1d.* needs 15 1d bars .* there are [1-4]\."):
            attempt()
    few = dict(primary.clock_bars, **{"1m": short["1m"]})
    with pytest.raises(ApexError, match=r"'pivots' needs 20,000 1m bars.*Import random:ETH 1m"):
        SegmentBuilder(schema, replace(primary, clock_bars=few), reference).build(day)


def test_days_are_those_with_data_and_enough_behind_them():
    schema, (primary, _), builder = minutes()
    days = builder.days()
    bars = primary.bars("1m")
    assert days[-1] == int(bars.ts[-1]) // DAY * DAY
    assert days == sorted(set(days))
    enough = max(int(bars.ts[20_000 - 1]), int(primary.bars("1d").ts[14]) + DAY) // DAY * DAY
    assert days[0] == enough, (format_date(days[0]), format_date(enough))
    assert schema.fast_clock == "1m"
    assert full()[2].days() == full()[1][0].second_days()


@pytest.mark.parametrize("seconds", [90, 7 * 60])
def test_decisions_that_do_not_fit_clock_or_day_are_refused_as_the_user_sets_them(seconds):
    schema, (primary, _), _ = minutes()
    odd = replace(schema, decision_interval=seconds * SECOND)
    with pytest.raises(ConfigError, match=rf"state\.decide_every={seconds}\.0 .*60 s that divides"):
        SegmentBuilder(odd, primary)


def test_a_source_without_fast_data_is_an_error_that_says_what_to_import():
    schema, (primary, reference), _ = full()
    with pytest.raises(ApexError, match="no trades or 1s bars"):
        SegmentBuilder(schema, replace(primary, all_seconds=None), reference).days()


def test_an_interval_that_does_not_fit_is_refused():
    schema, pair, _ = full()
    with pytest.raises(ConfigError, match="max_fill_wait"):
        SegmentBuilder(schema, *pair, FillConfig(latency=3 * SECOND))
    odd = Schema("odd", 7 * SECOND, schema.blocks, schema.horizons, schema.max_gap)
    with pytest.raises(ConfigError, match="divides a day"):
        SegmentBuilder(odd, *pair)


def test_no_minute_order_may_be_pending_across_a_decision():
    schema, (primary, reference), _ = minutes()
    with pytest.raises(ConfigError, match="latency"):
        SegmentBuilder(schema, primary, reference, FillConfig(latency=MINUTE + 1))
    slow = FillConfig(latency=MINUTE)
    ts = SegmentBuilder(schema, primary, reference, slow).build(segment_of("minutes").day)
    filled = ts.outcomes.fill_ts > 0
    assert (ts.outcomes.fill_ts <= ts.decisions.ts + MINUTE)[filled].all()


def test_the_key_follows_the_content_and_the_schema():
    schema, (primary, reference), builder = minutes()
    day = segment_of("minutes").day
    key = segment_of("minutes").key
    assert key != builder.build(day - DAY).key
    other = SegmentBuilder(eth_minutes(ROWS - 1), primary, reference).build(day)
    assert other.key != key
    for moved in (0, 15_000):
        bars = dict(primary.clock_bars)
        volume = bars["1m"].volume.copy()
        volume[moved] += 1e-9
        bars["1m"] = replace(bars["1m"], volume=volume)
        changed = SegmentBuilder(schema, replace(primary, clock_bars=bars), reference)
        assert changed.build(day).key != key
    later = dict(primary.clock_bars)
    volume = later["1m"].volume.copy()
    volume[-1] += 1.0
    later["1m"] = replace(later["1m"], volume=volume)
    unchanged = SegmentBuilder(schema, replace(primary, clock_bars=later), reference)
    assert unchanged.build(day - DAY).key == builder.build(day - DAY).key


def test_a_schema_without_minutes_still_has_trend_and_pivot_events():
    schema, pair, _ = full()
    names = [b.name for b in schema.blocks if b.clock == "1m"]
    segment = SegmentBuilder(schema.without(*names), *pair).build(segment_of("full").day)
    whole = segment_of("full")
    np.testing.assert_array_equal(segment.decisions.trend, whole.decisions.trend)
    np.testing.assert_array_equal(segment.pivot_events.known_row, whole.pivot_events.known_row)
    assert "1m" not in segment.decisions.row
    assert not segment.row_scale
