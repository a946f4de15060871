"""The learner beside a trader: a process of its own that hears what the trader hears."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from apex_trader.errors import ConfigError
from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.history import StoreSource
from apex_trader.market.store import MarketStore
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent
from apex_trader.runtime.learned import Learned
from apex_trader.runtime.learning_run import LearningRun, Origin
from apex_trader.runtime.load_agent import choose_checkpoint, load_agent
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.piped_feed import PipedFeed
from apex_trader.runtime.registry import SegmentRegistry
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.session import Session
from apex_trader.runtime.stop import Stopped
from apex_trader.time import DAY, HOUR, day_start, format_date
from learner.checkpoint import CheckpointManager

#: Batches on their way to the learner, beyond which it is taken to hang; times it is begun again.
_UNHEARD, _RESTARTS = 100_000, 3
#: Real seconds in which it writes its last checkpoint.
_ENDING = 60.0
#: Market time (µs) between two looks at what the store holds by now.
_TRIM_EVERY = HOUR
#: Learning ends with trading, not with a budget.
_ENDLESS = 10**9


class Job(NamedTuple):
    """What a learning process is told. start: µs, where its batches begin."""

    config: Config
    run: Path
    checkpoint: str
    out: Path
    start: int


class LearningProcess:
    """Keeps a ``LearningRun`` going on the batches that a trader hears, and never waits for it.

    One that dies is begun again, a few times, from its own last checkpoint: what it had heard and
    the store does not hold yet is kept here and given to it once more.

    Args:
        config: of the trader. run: folder of the run that trades. agent: of it.
        out: the trading run's folder. store: of the market. start: µs, where the feed begins.
        say: told when it dies.

    Raises:
        ConfigError: the run's agent is not one that learns here.
    """

    def __init__(
        self, config: Config, run: RunFolder, agent: Agent, out: Path, store: MarketStore,
        start: int, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        if config.agent != "apex":
            raise ConfigError("trade.learn", True, f"false for agent={config.agent}")
        self._job = Job(fixed_periods(config, agent), run.path, agent.checkpoint, out, start)
        self._store, self._say, self._left = store, say, _RESTARTS
        self._backlog: deque[ClosedSeconds] = deque()
        self._trimmed, self._context = start, multiprocessing.get_context("spawn")
        self._reached = self._context.Value("q", start)
        self._batches: Any = None
        self._process: Any = None
        self._begin()

    @property
    def reached(self) -> int:
        """The end (µs) of what the learner has heard."""
        return int(self._reached.value)

    @property
    def pid(self) -> int | None:
        """Of the process; None when it is not begun again any more."""
        return self._process.pid if self._process is not None else None

    def hear(self, batch: ClosedSeconds) -> None:
        """Hand closed seconds on."""
        if self._process is None or batch.until == batch.start:
            return
        self._backlog.append(batch)
        if not self._process.is_alive():
            self._again(f"ended (exit code {self._process.exitcode})")
            return
        try:
            self._batches.put_nowait(batch)
        except queue.Full:
            self._again("does not keep up")
            return
        if batch.until - self._trimmed >= _TRIM_EVERY:
            self._trimmed = batch.until
            self._trim()

    def close(self) -> None:
        """Let it write a checkpoint, and end it."""
        process, self._process = self._process, None
        if process is None:
            return
        self._batches.cancel_join_thread()
        process.terminate()
        process.join(_ENDING)
        if process.is_alive():
            process.kill()
            process.join()

    def _begin(self) -> None:
        self._batches = self._context.Queue(_UNHEARD)
        for batch in self._backlog:
            self._batches.put_nowait(batch)
        self._process = self._context.Process(
            target=learn, args=(self._job, self._batches, self._reached), name="learner",
            daemon=True,
        )  # fmt: skip
        self._process.start()

    def _again(self, what: str) -> None:
        log = Learned(self._job.out).log
        self._batches.cancel_join_thread()
        self._process.kill()
        self._process.join()
        if not self._left:
            self._process = None
            self._backlog.clear()
            self._say(f"the learner {what} once more and stays so; trading goes on ({log})")
            return
        self._left -= 1
        self._say(f"the learner {what}: it is begun again, trading goes on ({log})")
        self._trim()
        self._begin()

    def _trim(self) -> None:
        """Forget what can be read from the store."""
        held = _held_until(self._store, self._job.config)
        while self._backlog and self._backlog[0].until <= held:
            self._job = self._job._replace(start=self._backlog.popleft().until)


def fixed_periods(config: Config, agent: Agent) -> Config:
    """The configuration whose days are those that the agent's run had, whatever came since."""
    days = [day for part in agent.days.values() for day in part]
    if config.periods.end or not days:
        return config
    return replace(config, periods=replace(config.periods, end=format_date(max(days) + DAY)))


def learning_config(config: Config, folder: RunFolder) -> Config:
    """The configuration of the learner's own run in ``folder``."""
    return replace(
        config, runtime="serial", resume=str(folder.path) if folder.has_checkpoint() else "",
        rollout=replace(config.rollout, source="stream"),
        learner=config.learner.for_budget(config.train.updates),
        train=replace(config.train, updates=_ENDLESS, seconds=0.0, pretrain_every=0, threads=1),
        wandb=replace(config.wandb, mode="disabled"),
    )  # fmt: skip


def learn(job: Job, batches: Any, reached: Any) -> None:
    """What the process does: learn until the trader ends it, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trader's, which ends this then
    os.nice(10)
    learned = Learned(job.out)
    learned.run.mkdir(parents=True, exist_ok=True)
    with learned.log.open("a", buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]

    def note(ts: int) -> None:
        reached.value = ts

    with contextlib.suppress(Stopped):
        run_learning(job, batches, note)


def run_learning(job: Job, batches: Any, reached: Callable[[int], None]) -> LearningRun:
    """Learn from batches until they end; what learned."""
    learned = Learned(job.out)
    folder, run = RunFolder(learned.run), RunFolder(job.run)
    config = learning_config(job.config, folder)
    # A synthetic market lies in the run's own folder.
    source = run if config.market.synthetic else folder
    data = MarketData(config, source)
    days = _known_days(folder) or [d for d in data.periods.all if d < day_start(job.start)]
    data.registry = SegmentRegistry(days)
    agent = load_agent(run, data.schema, job.checkpoint)
    origin = Origin(job.config, run, choose_checkpoint(run, job.checkpoint), agent)
    markets = [m for m in (config.market.primary, config.market.reference) if m]
    feed = PipedFeed(batches, job.start, markets)
    with Session(config, folder, data.schema) as session:
        learning = LearningRun(
            config, data, session, lambda *_: feed, origin, learned, reached
        )  # fmt: skip
        learning.run()
    return learning


def _known_days(folder: RunFolder) -> list[int]:
    """The store's days in a learner's own checkpoint; none where it has none."""
    if not folder.has_checkpoint():
        return []
    latest = CheckpointManager(str(folder.checkpoints)).latest()
    return list(latest.json("registry.json")["days"]) if latest is not None else []


def _held_until(store: MarketStore, config: Config) -> int:
    """µs up to which a store holds all markets of a run."""
    markets = [m for m in (config.market.primary, config.market.reference) if m]
    ends = [c[-1, 1] for m in markets if len(c := StoreSource(store, m).coverage("1m"))]
    return int(min(ends)) if len(ends) == len(markets) else 0
