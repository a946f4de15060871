"""A trading run from its folder to its result: on paper, against a recorded feed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apex_trader.errors import ApexError, ConfigError
from apex_trader.execution.trade_journal import read_decisions
from apex_trader.market.store import MarketStore
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trade_session import TradeFolder, TradeSession
from apex_trader.runtime.trader import NO_STATE
from apex_trader.time import DAY, HOUR, MINUTE, SECOND
from tests.runtime.recorded_feed import RecordedFeed

pytestmark = pytest.mark.slow

#: The market is repeated faster than it was; anything may be ordered.
WORDS = [
    "trade.lateness=none", "confidence.gate=0", "risk.max_clipped=0.99", "risk.orders_per_minute=9",
    "risk.daily_loss=0.9", "risk.drawdown=0.9",
]  # fmt: skip


def last_day(store: MarketStore, market: str) -> int:
    return int(store.read_bars(market, "1m").ts[-1]) // DAY * DAY


def session_of(run: Path, out: Path, *words: str, hours: tuple[float, float] = (9.0, 10.0),
               said: list[str] | None = None) -> TradeSession:  # fmt: skip
    """A trading run of the small run's agent over some hours of its market's last day."""
    folder = RunFolder(run)
    config = load_config(folder, [*WORDS, *words])

    def feed(config: Config, store: MarketStore) -> Any:
        markets = [config.market.primary, config.market.reference]
        day = last_day(store, markets[0])
        begin, end = (day + int(hour * HOUR) for hour in hours)
        return RecordedFeed(store, markets, begin, end, MINUTE, second=2 * SECOND)

    say = (said if said is not None else []).append
    return TradeSession(config, folder, TradeFolder(out), say=say, open_feed=feed)


@pytest.fixture(scope="module")
def traded(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an hour of paper trading."""
    out = tmp_path_factory.mktemp("traded") / "out"
    session_of(small_run, out).run()
    return out


def test_an_hour_of_minutes_is_traded_and_summed_up(traded: Path):
    result = json.loads((traded / "result.json").read_text())
    decisions = read_decisions(traded / "journal")
    asked = [d for d in decisions if len(d.q)]
    assert result["ended"] == "the stream ended"
    assert result["decisions"] == len(asked) > 50
    assert result["orders"] == sum(bool(d.order) for d in decisions) > 0
    assert result["equity"] == decisions[-1].equity != 10_000.0
    assert np.diff([d.ts for d in decisions]).min() == MINUTE
    assert {d.reason for d in decisions} <= {"", NO_STATE}


def test_what_trades_and_its_settings_lie_beside_the_journal(traded: Path, small_run: Path):
    about = json.loads((traded / "trade.json").read_text())
    assert about["run"] == str(small_run)
    assert about["checkpoint"].startswith("step-")
    assert load_config(RunFolder(traded)).confidence.gate == 0.0


def test_a_stopped_run_goes_on_as_if_it_had_never_stopped(traded: Path, small_run, tmp_path):
    """The position of before is held, its pending order is booked, and no minute is decided twice.

    What an agent decides depends on its account: so equal decisions mean an equal account."""
    out, flat = tmp_path / "out", "trade.flatten=false"
    session_of(small_run, out, flat, hours=(9.0, 9.5)).run()
    said: list[str] = []
    session_of(small_run, out, flat, hours=(9.5, 10.0), said=said).run()
    assert any("going on" in text for text in said)
    again, whole = read_decisions(out / "journal"), read_decisions(traded / "journal")
    assert [d.ts for d in again] == [d.ts for d in whole]
    assert [(d.target, d.position, d.quantity) for d in again] == [
        (d.target, d.position, d.quantity) for d in whole
    ]
    assert [d.equity for d in again] == [d.equity for d in whole]


def test_a_stop_file_closes_the_position_and_ends_the_run(small_run: Path, tmp_path):
    out = tmp_path / "out"

    class Stopping(list[str]):
        def append(self, text: str) -> None:
            super().append(text)
            if "→ long" in text:
                (out / "STOP").touch()

    said = Stopping()
    result = session_of(small_run, out, said=said).run()
    assert result["ended"] == "STOP file"
    assert result["position"] == 0
    decisions = read_decisions(out / "journal")
    assert decisions[-1].position == 0
    assert any(d.reason == "stopped: STOP file" and d.order for d in decisions)
    assert any("the position is closed first" in text for text in said)
    with pytest.raises(ApexError, match="STOP"):  # it would end at once again
        session_of(small_run, out)


def test_another_agent_may_not_go_on_in_a_run_s_folder(traded: Path, small_run, tmp_path):
    out = shutil.copytree(traded, tmp_path / "out")
    about = json.loads((out / "trade.json").read_text())
    (out / "trade.json").write_text(json.dumps(about | {"weights": "another"}))
    with pytest.raises(ApexError, match="another folder"):
        session_of(small_run, out)


def test_an_agent_whose_confidence_is_unknown_does_not_pass_a_gate(small_run: Path, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "run")
    shutil.rmtree(run / "confidence", ignore_errors=True)
    with pytest.raises(ConfigError, match=r"confidence\.gate"):
        session_of(run, tmp_path / "out", "confidence.gate=0.7", "periods.calibration=0")
    assert not (tmp_path / "out").exists()


def test_a_synthetic_market_cannot_be_traded_on(small_run: Path, tmp_path):
    config = load_config(RunFolder(small_run))
    planted = replace(config, market=replace(config.market, synthetic="regimes"))
    with pytest.raises(ApexError, match="synthetic"):
        TradeSession(planted, RunFolder(small_run), TradeFolder(tmp_path / "out"))
