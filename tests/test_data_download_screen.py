"""Progress of a download where there is no terminal: some lines, not silence and not a flood."""

from __future__ import annotations

import pytest

from apex_trader.data_download_screen import Lines, screen
from apex_trader.market.download.want import Want
from apex_trader.market.exchange.listings import Listing
from apex_trader.market.transaction import WriteSummary
from apex_trader.time import DAY, HOUR
from tests.market.samples import MONDAY

WANT = Want(Listing("ETHUSDT", "ETH/USDT", "spot", None, None, None), "binance:ETHUSDT", "trades",
            MONDAY, MONDAY + 4 * DAY)  # fmt: skip


class Shown:
    """Lines of a download that is told of by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines = Lines(period=10.0, clock=lambda: self.now)

    def deliver(self, start: int, end: int, rows: int = 1000) -> None:
        covered = MONDAY + start, MONDAY + end
        self.lines.received(WANT, 5000)
        self.lines.delivered(
            WANT, covered, WriteSummary(WANT.market, "trades", rows, rows, covered)
        )


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert out == "", "what a download brought is for stdout, how it gets on is not"
    return err.splitlines()


def test_the_beginning_and_the_end_of_each_want_are_told(capsys):
    shown = Shown()
    with shown.lines:
        shown.lines.planned(WANT, 4 * DAY)
        shown.deliver(0, 3 * DAY)
        shown.deliver(3 * DAY, 4 * DAY)
    assert said(capsys) == [
        "binance:ETHUSDT trades: 4 days missing",
        "binance:ETHUSDT trades: 2,000 rows, 10.0 kB, all there",
    ]


def test_between_them_a_line_comes_every_ten_seconds_at_most(capsys):
    shown = Shown()
    shown.lines.planned(WANT, 4 * DAY)
    for hour in range(95):
        shown.now += 1.0
        shown.deliver(hour * HOUR, (hour + 1) * HOUR)
    told = said(capsys)[1:]
    assert len(told) == 9
    assert told[0] == "binance:ETHUSDT trades: 9%, 9,000 rows, 50.0 kB"


def test_nothing_to_do_is_told(capsys):
    Shown().lines.planned(WANT, 0)
    assert said(capsys) == ["binance:ETHUSDT trades: all there"]


def test_a_reader_that_left_does_not_end_a_download(capsys, monkeypatch):
    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", closed)
    Shown().lines.planned(WANT, DAY)


def test_without_a_terminal_lines_are_shown():
    assert isinstance(screen(), Lines)
