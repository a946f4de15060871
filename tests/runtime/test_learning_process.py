"""Learning beside a trader: a real process, on the hours that a paper run trades."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apex_trader.execution.trade_journal import read_decisions
from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.store import MarketStore
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.learned import Learned
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trade_replay import TradeReplay
from apex_trader.runtime.trade_session import TradeFolder, TradeSession
from apex_trader.time import HOUR, MINUTE, SECOND
from tests.runtime.recorded_feed import RecordedFeed
from tests.runtime.test_trade_session import WORDS, last_day

pytestmark = pytest.mark.slow

#: Weights that do as well as those in use pass at once: whether adopting works is asked here.
EAGER = [
    "trade.learn=true", "trade.judge_parts=2", "trade.judge_margin=0", "rollout.seal_every=600",
    "learner.learning_rate=0.01", "learner.decay_updates=0", "rollout.episode_steps=0",
]  # fmt: skip


class PacedFeed(RecordedFeed):
    """Goes on when the learner has heard what came before: the market is faster than it was."""

    session: TradeSession | None = None

    def __iter__(self) -> Iterator[ClosedSeconds]:
        for batch in super().__iter__():
            yield batch
            self._wait()

    def _wait(self) -> None:
        learning = self.session.learning if self.session is not None else None
        patience = time.monotonic() + 60.0
        while learning is not None and learning.pid is not None and learning.reached < self.at:
            if not learning._process.is_alive():
                return  # the trader finds out with the next batch
            assert time.monotonic() < patience, Learned(self.session.out.path).log.read_text()
            time.sleep(0.02)


def session_of(run: Path, out: Path, *words: str, hours: tuple[float, float],
               said: list[str], kind: Any = PacedFeed) -> TradeSession:  # fmt: skip
    folder = RunFolder(run)
    config = load_config(folder, [*WORDS, *EAGER, *words])
    made: list[PacedFeed] = []

    def feed(config: Config, store: MarketStore) -> PacedFeed:
        markets = [config.market.primary, config.market.reference]
        day = last_day(store, markets[0])
        begin, end = (day + int(hour * HOUR) for hour in hours)
        made.append(kind(store, markets, begin, end, MINUTE, second=2 * SECOND))
        return made[0]

    session = TradeSession(config, folder, TradeFolder(out), say=said.append, open_feed=feed)
    made[0].session = session
    return session


@pytest.fixture(scope="module")
def learned(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """(folder, what was said) of hours of paper trading with a learner beside it."""
    out, said = tmp_path_factory.mktemp("learned") / "out", list[str]()
    session_of(small_run, out, hours=(6.0, 10.0), said=said).run()
    return out, said


def test_every_verdict_is_kept_and_summed_up(learned):
    out, _ = learned
    verdicts = Learned(out).verdicts()
    result = json.loads((out / "result.json").read_text())["learning"]
    assert len(verdicts) >= 3, Learned(out).log.read_text()
    assert result["adopted"] + result["refused"] == len(verdicts)
    assert [v["candidate"] for v in result["verdicts"]] == [v.candidate for v in verdicts]
    for verdict in verdicts:
        assert verdict.parts == 2
        assert verdict.since < verdict.time
        assert verdict.reason
        if verdict.adopted:
            assert verdict.returns > verdict.others


def test_verdicts_follow_each_other_and_are_about_the_weights_in_use(learned):
    out, _ = learned
    in_use = json.loads((out / "trade.json").read_text())["checkpoint"]
    before = ""
    for verdict in Learned(out).verdicts():
        assert verdict.against == in_use
        assert verdict.since >= before
        before = verdict.time
        in_use = verdict.candidate if verdict.adopted else in_use


def test_the_journal_says_which_weights_decided_what(learned):
    out, said = learned
    files = Learned(out)
    names = list(dict.fromkeys(d.weights for d in read_decisions(out / "journal")))
    adopted = [v.candidate for v in files.verdicts() if v.adopted]
    assert names[0] == json.loads((out / "trade.json").read_text())["checkpoint"]
    assert set(names[1:]) <= set(adopted)
    for name in names[1:]:
        assert files.weights(name)
        assert f"{name} decides from here on" in said


def test_a_replay_decides_with_the_weights_that_decided_then(learned):
    out, _ = learned
    replay = TradeReplay(TradeFolder(out))
    assert len({record.weights for record in replay.records}) > 1
    found = replay.run()
    assert found.differences == []
    assert found.same == found.decided > 0


def test_a_learner_that_is_killed_is_begun_again_and_trading_goes_on(small_run: Path, tmp_path):
    class Killing(PacedFeed):
        done = False

        def _wait(self) -> None:
            super()._wait()
            if not self.done and self.at >= self.start + 90 * MINUTE:
                self.done = True
                os.kill(self.session.learning.pid, signal.SIGKILL)
                self.session.learning._process.join()

    said: list[str] = []
    out = tmp_path / "out"
    result = session_of(small_run, out, hours=(6.0, 9.0), said=said, kind=Killing).run()
    assert result["ended"] == "the stream ended"
    assert len([d for d in read_decisions(out / "journal") if len(d.q)]) > 150
    assert sum("begun again" in text for text in said) == 1
    assert not any("stays so" in text for text in said)
    times = [v.time for v in Learned(out).verdicts()]
    assert times == sorted(times)
    assert len(times) > 1, Learned(out).log.read_text()
