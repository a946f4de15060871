"""A run on Ray whose experience comes from a live market, against a recorded feed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from apex_trader.errors import ApexError
from apex_trader.market.store import MarketStore
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.ray_restarts import Restarts
from apex_trader.runtime.ray_stream_run import RayStreamRun
from apex_trader.runtime.rhythm import Budget
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.session import Session
from apex_trader.runtime.stream_run import StreamRun
from apex_trader.time import DAY, HOUR, MINUTE, format_date
from learner.checkpoint import Checkpoint, CheckpointManager
from tests.runtime.processes import kill_part
from tests.runtime.recorded_feed import RecordedFeed
from tests.runtime.test_ray_run import CLUSTER

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.faults,
]  # in one process: test_stream_run

#: Hours of the fifth day that lie in the store when the stream begins.
BEGUN = 9 * HOUR


@dataclass(frozen=True)
class Recording:
    """Opens a recorded feed where the one before it had come to, as a feed does behind its store.

    place: a file that says where that is. reach: µs, how far the store lags behind what was heard.
    pace: seconds that a batch of seven minutes takes.
    """

    place: Path
    start: int
    end: int
    spoiled: int = -1
    reach: int = 0
    pace: float = 0.0

    def __call__(self, config: Config, store: MarketStore) -> RecordedFeed:
        start = max(self.heard() - self.reach, self.start)
        markets = [config.market.primary, config.market.reference]
        feed = NotedFeed(store, markets, start, self.end, spoiled=self.spoiled)
        feed.place, feed.pace = self.place, self.pace
        return feed

    def heard(self) -> int:
        """µs up to where the feed was heard."""
        return int(self.place.read_text()) if self.place.exists() else self.start


class NotedFeed(RecordedFeed):
    """Notes how far it was heard."""

    place: Path
    pace: float

    def __iter__(self):
        for batch in super().__iter__():
            time.sleep(self.pace)
            yield batch
            written = self.place.with_suffix(".new")
            written.write_text(str(batch.until))
            written.replace(self.place)


@pytest.fixture(scope="module")
def config(tiny: Config, days: list[int]) -> Config:
    """The first days for extractor and validation; from the fifth on the market is live."""
    rollout = replace(tiny.rollout, source="stream", seal_every=600, episode_steps=0)
    periods = replace(tiny.periods, end=format_date(days[4]), test=0.0, validation=0.25)
    train = replace(
        tiny.train, updates=200, resident_days=2, evaluate_every=100, checkpoint_every=50,
    )  # fmt: skip
    return replace(
        tiny, runtime="ray", cluster=CLUSTER, rollout=rollout, periods=periods, train=train
    )


def recording(days: list[int], folder: Path, start: int = BEGUN, **options: Any) -> Recording:
    """The stream from a time of the fifth day on."""
    end = days[4] + options.pop("length", 2 * DAY)
    return Recording(folder / "heard", days[4] + start, end, **options)


def run(config: Config, folder: Path, opened: Recording, kind: Any = RayStreamRun) -> Any:
    place = RunFolder(folder / "run")
    data = MarketData(config, place)
    with Session(config, place, data.schema) as session:
        it = kind(config, data, session, opened)
        it.run()
    return it


def latest(folder: Path) -> Checkpoint:
    found = CheckpointManager(str(folder / "run" / "checkpoints")).latest()
    assert found is not None
    return found


def held(checkpoint: Checkpoint) -> set[int]:
    """Numbers of the days that the replay of a checkpoint refers to."""
    numbers: set[int] = set()
    for k in range(2):
        state = checkpoint.state(f"replay-{k}.pt")
        first, last = state["store"]["first"], state["store"]["sequence"]
        slots = [s % len(state["tree"]["bits"]) for s in range(first, last)]
        numbers |= set(state["store"]["segment"][slots][state["tree"]["bits"][slots] != 0].tolist())
    return numbers


def readings(folder: Path) -> dict[str, float]:
    """The last reading of every figure."""
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines(keepends=True)
    return {k: v for line in lines if line.endswith("\n") for k, v in json.loads(line).items()}


@pytest.fixture(scope="module")
def finished(config: Config, days: list[int], tmp_path_factory: pytest.TempPathFactory):
    """(run, its folder) of two rollouts, after its budget of updates, within the first day."""
    folder = tmp_path_factory.mktemp("stream")
    cluster = replace(CLUSTER, actors=2, actor_cpus=0.25)
    it = run(replace(config, cluster=cluster), folder, recording(days, folder, length=14 * HOUR))
    return it, folder


def test_the_learner_learns_from_live_decisions_alone(finished, days):
    _, folder = finished
    checkpoint = latest(folder)
    assert checkpoint.step >= 200
    assert held(checkpoint) == {4}
    assert checkpoint.json("registry.json")["live"] == [days[4]]
    begun = BEGUN // MINUTE
    for k in range(2):
        store = checkpoint.state(f"replay-{k}.pt")["store"]
        first = store["row"][: store["sequence"]][store["segment"][: store["sequence"]] == 4]
        assert len(first)
        assert first.min() >= begun - 1


def test_figures_of_the_stream_are_logged(finished):
    _, folder = finished
    found = readings(folder)
    assert found["stream/parts_sealed"] > 0
    assert found["stream/seconds_closed"] > 0
    assert found["actors/decisions"] > 0
    assert found["eval/updates"] == latest(folder).step
    assert found["system/restarts"] == 0
    assert found["replay/rejected_inserts"] == 0


def test_a_checkpoint_goes_on_in_either_runtime(finished, config, days, tmp_path):
    """With the days as they were heard, on Ray; then in one process."""
    _, folder = finished
    opened = recording(days, folder)
    more = replace(config, resume=str(folder / "run"))
    second = run(replace(more, train=replace(more.train, updates=260)), folder, opened)
    assert second.context.updates >= 260
    assert latest(folder).step == second.context.updates
    assert 4 in held(latest(folder))
    assert second.context.data.registry.days[4:5] == (days[4],)
    until = replace(more.train, updates=latest(folder).step + 5)
    serial = replace(more, runtime="serial", train=until)
    third = run(serial, folder, opened, StreamRun)
    assert third._changed == []
    assert third.learner.updates == serial.train.updates


def test_days_go_when_there_are_more_than_may_be_resident(config, days, tmp_path):
    """The stream ends before the budget: so does the run, once everything is learned."""
    few = replace(config, train=replace(config.train, resident_days=1, updates=1_000_000))
    opened = recording(
        days, tmp_path, start=23 * HOUR + 30 * MINUTE, length=DAY + 50 * MINUTE
    )  # fmt: skip
    it = run(few, tmp_path, opened)
    assert it.stream.ended
    assert it.rollouts.resting
    assert list(it.context.data.registry.live) == [5]
    assert latest(tmp_path).json("registry.json")["live"] == [days[4], days[5]]
    assert held(latest(tmp_path)) <= {5}
    assert latest(tmp_path).step == it.context.updates > 0


def test_a_stream_that_ends_before_anything_can_be_decided_is_an_error(config, days, tmp_path):
    with pytest.raises(ApexError, match="ended before anything could be decided"):
        run(config, tmp_path, recording(days, tmp_path, length=BEGUN + 5 * MINUTE))


# --- deaths of parts ---------------------------------------------------------------------------


@dataclass
class Story:
    """What happened in a run, and whether it is told."""

    folder: Path
    deaths: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    days: list[list[int]] = field(default_factory=list)
    told: threading.Event = field(default_factory=threading.Event)
    failure: str = ""

    def until(self, what: str, happened: Callable[[], bool]) -> None:
        limit = time.monotonic() + 300.0
        while not happened():
            if time.monotonic() > limit:
                raise TimeoutError(f"there was no {what}")
            time.sleep(0.1)

    def reading(self, name: str) -> float:
        found = self.folder / "run" / "metrics.jsonl"
        return readings(self.folder).get(name, 0.0) if found.exists() else 0.0

    def learn(self, opened: Recording) -> None:
        """Wait until lanes and learner have come further, on what was heard by now and later."""
        heard, updates = opened.heard(), self.reading("learner/updates")
        decisions = self.reading("actors/decisions")
        self.until("more of the market", lambda: opened.heard() > heard + 30 * MINUTE)
        self.until("learning", lambda: self.reading("learner/updates") > updates)
        self.until("decisions", lambda: self.reading("actors/decisions") > decisions)

    def kill_each(self, opened: Recording, live: Callable[[], list[int]]) -> None:
        """The stream twice, and those who hold what it handed out."""
        parts = {"StreamPart": "stream", "StreamLearner": "learner", "StreamRollout": "rollout 0"}
        try:
            self.until("learning", lambda: self.reading("learner/updates") > 0)
            for part in ("StreamPart", "StreamLearner", "StreamRollout", "StreamPart"):
                self.days.append(live())
                count = len(self.back)
                self.until(part, lambda part=part: kill_part(part))
                self.until(f"{part} back", lambda p=parts[part], n=count: p in self.back[n:])
                self.learn(opened)
            self.days.append(live())
        except TimeoutError as error:
            self.failure = str(error)
        finally:
            self.told.set()


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Story:
    """Notes deaths, and lets the run go on until the story is told."""
    story, lost, back = Story(tmp_path), Restarts.lost, Restarts.back

    def note_lost(self: Restarts, part: str, known: int | None = None) -> bool:
        counted = lost(self, part, known)
        if counted:
            story.deaths.append(part)
        return counted

    def note_back(self: Restarts, part: str) -> None:
        if part in self.down:
            story.back.append(part)
        back(self, part)

    monkeypatch.setattr(Restarts, "lost", note_lost)
    monkeypatch.setattr(Restarts, "back", note_back)
    monkeypatch.setattr(Budget, "spent", lambda self, updates: story.told.is_set())
    return story


@pytest.mark.timeout(1200)
def test_it_goes_on_when_parts_die_and_learns_only_of_days_that_are_the_same(config, days, story):
    """The store lags behind what was heard, so the restarted stream hears some of it again.

    A minute came live otherwise than it is in the store: what was learned of that day goes with the
    first death, and the day gets another number. Nothing differs when the stream dies once more.
    """
    spoiled = days[4] + BEGUN + 5 * MINUTE
    opened = recording(
        days, story.folder, spoiled=spoiled, reach=25 * MINUTE, pace=0.5, length=DAY - HOUR
    )
    place = RunFolder(story.folder / "run")
    train = replace(config.train, updates=1_000_000, evaluate_every=1000)
    endless = replace(config, train=train)
    data = MarketData(endless, place)
    live = lambda: list(data.registry.live)  # noqa: E731
    killer = threading.Thread(target=story.kill_each, args=(opened, live), daemon=True)
    with Session(endless, place, data.schema) as session:
        it = RayStreamRun(endless, data, session, opened)
        killer.start()
        it.run()
    killer.join()
    assert not story.failure
    assert story.deaths == ["stream", "learner", "rollout 0", "stream"]
    assert story.days == [[4], [5], [5], [5], [5]]
    checkpoint = latest(story.folder)
    assert checkpoint.step == it.context.updates > 0
    assert held(checkpoint) == {5}
    assert checkpoint.json("registry.json")["live"] == [days[4], days[4]]
