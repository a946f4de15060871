"""The display on a terminal, and in a log where nobody looks on."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from apex_trader.runtime import display as module
from apex_trader.runtime.display import ROWS, Display

READING = {"learner/updates": 50.0, "learner/loss": 0.01234, "learner/td_mean": 0.5,
           "learner/q_mean": -0.25, "learner/grad_norm": 1.5,
           "learner/updates_per_second": 123.4}  # fmt: skip


def plain(every: float = 0.0) -> tuple[Display, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=80, highlight=False)
    return Display("quickstart", console, plain_every=every), out


def terminal() -> tuple[Display, Console]:
    console = Console(
        record=True, force_terminal=True, width=100, height=40, file=io.StringIO(), highlight=False
    )
    return Display("quickstart · runs/x", console), console


def test_without_a_terminal_a_line_says_phase_progress_and_figures():
    display, out = plain()
    display.phase("training", 200)
    display.log("learner", 50.0, READING)
    display.advance(50)
    lines = out.getvalue().splitlines()
    assert lines[0] == "training …"
    assert lines[-1].startswith("training 25%, ")
    assert "loss 0.01234" in lines[-1]
    assert "Q mean -0.25000" in lines[-1]


def test_a_line_is_a_line_however_long():
    """A log's lines are not broken at the 80 columns of a terminal that is not there."""
    display, out = plain()
    display.phase("training", 200)
    display.log("learner", 50.0, READING)
    for group, rows in ROWS:
        display.log(group, 1.0, {metric: 1.0 for _, metric, _ in rows})
    long = "a sentence of the run that goes on and on " * 5
    display.say(long)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) > 200
    assert lines[-1] == long.rstrip() or lines[-1] == long
    assert all(line.startswith(("training", "a sentence")) for line in lines)


def test_lines_come_now_and_then(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    display, out = plain(every=15)
    display.phase("training", 1_000)
    for second in range(60):
        clock[0] += 1.0
        display.advance(second)
    progress = [line for line in out.getvalue().splitlines() if "%" in line]
    assert len(progress) == 4


def test_time_left_follows_the_progress(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    display, out = plain()
    display.phase("training", 100)
    clock[0] = 20.0
    display.advance(20)
    assert out.getvalue().splitlines()[-1] == "training 20%, 80 s left"


def test_time_left_of_a_resumed_run_follows_this_sittings_progress(monkeypatch):
    """300 of 600 were done before; the 30 of this sitting took a minute."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    display, out = plain()
    display.phase("training", 600, done=300)
    display.log("learner", 300.0, {})
    assert out.getvalue().splitlines()[-1] == "training 50%, starting"
    clock[0] = 60.0
    display.advance(330)
    assert out.getvalue().splitlines()[-1] == "training 55%, 540 s left"


def test_figures_of_an_earlier_phase_are_not_repeated():
    display, out = plain()
    display.phase("pretraining the CNN", 10)
    display.log("pretrain", 1.0, {"pretrain/fit_loss": 1.5})
    assert "loss 1.5" in out.getvalue()
    display.phase("training", 10)
    display.advance(5)
    assert "loss" not in out.getvalue().splitlines()[-1]


def test_square_brackets_are_text_not_markup():
    display, out = plain()
    display.say("state.without=[cnn_hidden] [bold]x[/]")
    assert out.getvalue() == "state.without=[cnn_hidden] [bold]x[/]\n"


def test_on_a_terminal_the_latest_figures_and_the_bar_are_drawn():
    display, console = terminal()
    display.phase("training", 200)
    display.log("learner", 50.0, {**READING, "learner/loss": 9.0})
    display.log("learner", 60.0, READING)
    display.advance(50)
    display.say("a line that stays")
    display.close({})
    text = console.export_text()
    assert "quickstart · runs/x" in text
    assert "50/200" in text
    assert "0.01234" in text
    assert "a line that stays" in text
    assert "9.00000" not in text.splitlines()[-1]


def test_a_phase_replaces_the_one_before():
    display, console = terminal()
    display.phase("pretraining the CNN", 10)
    display.phase("training", 10)
    display.close({})
    last_picture = console.export_text()
    assert "training" in last_picture
    assert "pretraining" not in last_picture


def test_closing_twice_is_harmless():
    display, _ = terminal()
    display.close({})
    display.close({})


def test_a_table_stays_a_table():
    display, out = plain()
    table = Table()
    table.add_column("policy")
    table.add_row("agent")
    display.say_table(table)
    assert "agent" in out.getvalue()


#: Ctrl-C in `train 2>&1 | tee log`: tee is gone before the run can say anything.
PIPED = """
import os, signal, sys
from apex_trader.runtime.display import Display
from apex_trader.runtime.stop import StopSignals
stop = StopSignals()
stop.install()
with stop.deferred():
    sys.stdin.readline()  # the reader has gone
    os.kill(os.getpid(), signal.SIGTERM)
    display = Display("run", plain_every=0.0)
    display.phase("judging", 10)
    display.advance(5)
    open(sys.argv[1], "w").write("checkpoint")
"""


def test_a_stopped_run_saves_though_nobody_reads_what_it_says(tmp_path: Path):
    saved = tmp_path / "saved"
    run = subprocess.Popen(
        [sys.executable, "-c", PIPED, str(saved)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert run.stdout is not None
    run.stdout.close()
    run.communicate(b"\n", timeout=60)
    assert saved.read_text() == "checkpoint"
