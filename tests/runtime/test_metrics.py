"""Every reading reaches every sink, in its group and on its group's step axis."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import pytest

from apex_trader.runtime.metrics import STEP_AXES, JsonLines, MetricsHub, WandbSink


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.readings: list[tuple[str, float, dict[str, float]]] = []
        self.summary: dict[str, object] | None = None

    def log(self, group, step, values):
        self.readings.append((group, step, dict(values)))

    def close(self, summary):
        self.summary = dict(summary)


def test_readings_are_split_by_group_each_on_its_own_axis():
    sink = Kept()
    MetricsHub([sink]).log(
        {"learner/updates": 10, "learner/loss": 0.5, "replay/inserted": 400, "replay/size": 300}
    )
    assert sink.readings == [
        ("learner", 10.0, {"learner/updates": 10.0, "learner/loss": 0.5}),
        ("replay", 400.0, {"replay/inserted": 400.0, "replay/size": 300.0}),
    ]


def test_every_sink_gets_every_reading_and_the_summary():
    sinks = [Kept(), Kept()]
    hub = MetricsHub(sinks)
    hub.log({"eval/updates": 1, "eval/net_return": 0.1})
    hub.close({"net": 0.1})
    assert sinks[0].readings == sinks[1].readings
    assert [sink.summary for sink in sinks] == [{"net": 0.1}] * 2


def test_the_latest_value_of_each_metric_is_kept():
    hub = MetricsHub([])
    hub.log({"learner/updates": 1, "learner/loss": 2.0})
    hub.log({"learner/updates": 2})
    assert hub.latest == {"learner/updates": 2.0, "learner/loss": 2.0}


@pytest.mark.parametrize("name", ["loss", "lerner/loss", "wandb/x"])
def test_a_name_outside_the_groups_is_an_error(name):
    with pytest.raises(ValueError, match="in none of the groups"):
        MetricsHub([]).log({name: 1.0})


def test_a_group_without_its_axis_is_an_error():
    with pytest.raises(ValueError, match="lack their step axis 'learner/updates'"):
        MetricsHub([]).log({"learner/loss": 1.0})


def test_system_figures_stand_on_the_runs_own_clock():
    sink = Kept()
    MetricsHub([sink], seconds_before=1_000.0).log({"system/cpu_percent": 50.0})
    ((_, step, values),) = sink.readings
    assert 1_000.0 <= step < 1_060.0
    assert values[STEP_AXES["system"]] == step


def test_json_lines_are_json_whatever_the_number(tmp_path):
    file = tmp_path / "metrics.jsonl"
    sink = JsonLines(file)
    sink.log("learner", 1.0, {"learner/loss": math.nan, "learner/q": math.inf, "learner/x": 2.0})
    sink.close({})

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    line = json.loads(file.read_text(), parse_constant=refuse)
    assert (line["group"], line["step"]) == ("learner", 1.0)
    assert line["learner/loss"] is None
    assert line["learner/q"] is None
    assert line["learner/x"] == 2.0


def test_a_resumed_run_appends_and_every_line_is_there_at_once(tmp_path):
    file = tmp_path / "metrics.jsonl"
    first = JsonLines(file)
    first.log("eval", 1.0, {"eval/updates": 1.0})
    assert len(file.read_text().splitlines()) == 1, "a reader sees it before the run ends"
    first.close({})
    second = JsonLines(file)
    second.log("eval", 2.0, {"eval/updates": 2.0})
    second.close({})
    assert [json.loads(text)["step"] for text in file.read_text().splitlines()] == [1.0, 2.0]


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    """Nobody is logged in to W&B, and no setting says what to do about it."""
    for name in [n for n in os.environ if n.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))


def open_sink(folder: Path, mode: str = "auto", resume_id: str | None = None) -> WandbSink:
    return WandbSink(
        folder, project="apex-trader", name="test", group=None, tags=["a"], mode=mode,
        config={"seed": 0}, resume_id=resume_id,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("no_account")
def test_without_an_account_a_run_is_recorded_offline_with_its_axes(tmp_path, monkeypatch):
    """No prompt, no network; the recording holds config, axes, readings and summary."""
    import socket

    def refuse(self, address, *rest):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] != "127.0.0.1":
            raise AssertionError(f"a connection to {address}")
        return connect(self, address, *rest)

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a prompt"))
    sink = open_sink(tmp_path)
    assert sink._run.settings.mode == "offline"
    sink.log("learner", 1.0, {"learner/updates": 1.0, "learner/loss": 0.5, "learner/q": math.nan})
    sink.close({"backtest/agent/net_return": 0.25})
    (recording,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    content = _complete(recording)
    for axis in STEP_AXES.values():
        assert axis.encode() in content
    for name in (b"learner/loss", b"backtest/agent/net_return"):
        assert name in content
    assert b"learner/q" not in content, "what is no number is not logged"


def _complete(recording: Path) -> bytes:
    """The recording once W&B's own process has written it out."""
    for _ in range(100):
        if recording.stat().st_size > 1_000:
            break
        time.sleep(0.1)
    return recording.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("no_account")
def test_a_resumed_run_keeps_its_id(tmp_path):
    sink = open_sink(tmp_path, mode="offline", resume_id="abc123")
    try:
        assert sink.run_id == "abc123"
    finally:
        sink.close({})
