"""A serial run whose experience comes from a live market, against a recorded feed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apex_trader.errors import ApexError, ConfigError, MismatchError
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.config import StreamConfig
from apex_trader.runtime.config import Config, MarketConfig
from apex_trader.runtime.live_market import keep_store_days
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.serial import SerialRun
from apex_trader.runtime.session import Session
from apex_trader.runtime.stream_run import StreamRun
from apex_trader.time import DAY, HOUR, MINUTE, format_date
from learner.checkpoint import CheckpointManager
from tests.runtime.recorded_feed import RecordedFeed

pytestmark = pytest.mark.slow

#: Hours of the fifth day that lie in the store when the stream begins.
BEGUN = 9 * HOUR


@pytest.fixture(scope="module")
def config(tiny: Config, days: list[int]) -> Config:
    """The first days for extractor and validation; from the fifth on the market is live."""
    rollout = replace(tiny.rollout, source="stream", seal_every=600, episode_steps=0)
    periods = replace(tiny.periods, end=format_date(days[4]), test=0.0, validation=0.25)
    train = replace(tiny.train, updates=12, resident_days=2)
    return replace(tiny, rollout=rollout, periods=periods, train=train)


def feed_of(config: Config, days: list[int], start: int = BEGUN, **options: Any) -> RecordedFeed:
    """The stream from a time of the fifth day on."""
    store = MarketStore(config.market.store)
    markets = [config.market.primary, config.market.reference]
    end = days[4] + options.pop("length", 2 * DAY)
    return RecordedFeed(store, markets, days[4] + start, end, **options)


def run(config: Config, folder: Path, feed: RecordedFeed, kind: Any = StreamRun) -> StreamRun:
    place = RunFolder(folder)
    place.path.mkdir(parents=True, exist_ok=True)
    data = MarketData(config, place)
    with Session(config, place, data.schema) as session:
        options = {"open_feed": lambda *_: feed} if kind is StreamRun else {}
        it = kind(config, data, session, **options)
        it.run()
    return it


@pytest.fixture(scope="module")
def finished(config: Config, days: list[int], tmp_path_factory: pytest.TempPathFactory):
    """(run, its folder, its feed) after twelve updates."""
    folder, feed = tmp_path_factory.mktemp("stream") / "folder", feed_of(config, days)
    return run(config, folder, feed), folder, feed


def test_the_learner_learns_from_live_decisions_alone(finished, days):
    it, _, feed = finished
    assert it.learner.updates == 12
    assert feed.closed
    live = it.data.registry.live
    assert list(live) == [4]
    segment = it.live.segment(4)
    assert segment.day == days[4]
    path = it.rollout.market.path
    assert it.rollout.simulator.path is path
    reached = path.arrays.ts[it.rollout.simulator.rows[0]]
    assert days[4] + BEGUN < reached < feed.at
    assert sum(len(shard) for shard in it.shards) >= 128
    assert it.progress.inserted > 128


def test_a_sealed_part_is_the_segment_that_the_store_gives(finished):
    it, _, _ = finished
    number, (key, until) = next(iter(it.data.registry.live.items()))
    sealed = it.live.segment(number)
    whole = it.data.builder.build(sealed.day)
    assert sealed.key == key
    assert sealed.decisions.ts[-1] == until
    for name, table in sealed.tables.items():
        np.testing.assert_array_equal(table, whole.tables[name][: len(table)])
    count = sealed.rows - 1
    for name in ("fill", "fill_ts", "next_row", "funding"):
        now, then = getattr(sealed.outcomes, name), getattr(whole.outcomes, name)
        np.testing.assert_array_equal(now[:count], then[:count])


def test_cnn_rows_of_a_growing_day_are_those_of_the_whole_day(finished):
    """Invariant 3: to 1e-5, since another batch shape changes their last bits."""
    it, _, _ = finished
    sealed = it.live.segment(4)
    grown, whole = it._cnn_rows(4), it.extractor.segment_rows(sealed)
    known = np.isfinite(grown).all((1, 2)) & np.isfinite(whole).all((1, 2))
    assert known[sealed.decisions.decidable].all()
    # float16 rows: a difference of 1e-5 may round to neighbouring values
    close = np.abs(grown[known].astype(np.float64) - whole[known]) <= 1e-5 + np.spacing(
        np.abs(whole[known])
    ).astype(np.float64)
    assert close.all()


def test_figures_of_the_stream_are_logged(finished):
    _, folder, _ = finished
    readings = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = {k: v for reading in readings for k, v in reading.items() if k.startswith("stream/")}
    assert found["stream/parts_sealed"] > 0
    assert found["stream/seconds_closed"] > 0


def test_a_resumed_run_goes_on_with_what_it_learned_from_live(config, days, tmp_path):
    first = run(config, tmp_path / "run", feed_of(config, days))
    kept = sum(len(shard) for shard in first.shards)
    until = first.data.registry.live[4][1]
    more = replace(config, resume=str(tmp_path / "run"), train=replace(config.train, updates=20))
    feed = feed_of(config, days, start=until - days[4] + 20 * MINUTE)
    second = run(more, tmp_path / "run", feed)
    assert second.learner.updates == 20
    assert second._changed == []
    assert sum(len(shard) for shard in second.shards) >= kept
    assert second.rollout.simulator.rows[0] > 0


def test_experience_of_a_day_that_the_store_holds_otherwise_goes(config, days, tmp_path):
    """A trade came late: the store has it, what was seen live had not."""
    spoiled = feed_of(config, days, spoiled=days[4] + BEGUN + 5 * MINUTE)
    first = run(config, tmp_path / "run", spoiled)
    until = first.data.registry.live[4][1]
    more = replace(config, resume=str(tmp_path / "run"), train=replace(config.train, updates=14))
    feed = feed_of(config, days, start=until - days[4] + 20 * MINUTE)
    second = run(more, tmp_path / "run", feed)
    assert second._changed == [4]
    evicted = sum(shard.metrics()["replay/deletes"] for shard in second.shards)
    assert evicted >= sum(len(shard) for shard in first.shards)


def test_days_go_when_there_are_more_than_may_be_resident(config, days, tmp_path):
    few = replace(config, train=replace(config.train, resident_days=1, updates=10_000))
    feed = feed_of(config, days, start=23 * HOUR + 30 * MINUTE, length=DAY + 50 * MINUTE)
    it = run(few, tmp_path / "run", feed)
    assert it.live.ended
    assert list(it.data.registry.live) == [5]
    assert it.live.numbers == [5]
    assert it.rollout.standing == 5
    latest = CheckpointManager(str(tmp_path / "run" / "checkpoints")).latest()
    assert latest.json("registry.json")["live"] == [days[4], days[5]]


def test_a_stream_that_ends_before_anything_can_be_decided_is_an_error(config, days, tmp_path):
    with pytest.raises(ApexError, match="ended before anything could be decided"):
        run(config, tmp_path / "run", feed_of(config, days, length=BEGUN + 5 * MINUTE))


def test_a_run_that_followed_a_stream_is_not_resumed_on_replay(config, days, tmp_path):
    run(config, tmp_path / "run", feed_of(config, days))
    rollout = replace(config.rollout, source="replay")
    replayed = replace(config, resume=str(tmp_path / "run"), rollout=rollout)
    with pytest.raises(MismatchError, match=r"rollout\.source=stream"):
        run(replayed, tmp_path / "run", feed_of(config, days), SerialRun)


def test_the_days_of_the_store_end_where_the_stream_can_begin(tiny, days, tmp_path):
    config = replace(tiny, periods=replace(tiny.periods, end=""))
    folder = RunFolder(tmp_path)
    kept = keep_store_days(config, folder)
    assert kept.periods.end == format_date(days[-1] + DAY)
    given = replace(tiny, periods=replace(tiny.periods, end="2020-01-01"))
    assert keep_store_days(given, folder) is given


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        (r"stream\.watermark", {"stream": StreamConfig(watermark=1.5)}),
        (r"rollout\.source", {"market": MarketConfig(synthetic="martingale")}),
        (r"exchange\.ws_url", {"exchange": ExchangeConfig(url="http://localhost:8000")}),
    ],
)
def test_settings_that_do_not_go_with_a_stream_are_refused(config, field, changes):
    with pytest.raises(ConfigError, match=field):
        replace(config, **changes)
