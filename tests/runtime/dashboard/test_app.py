"""The page without a browser: what it says, and that only what is new is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dash import no_update

from apex_trader.errors import ApexError
from apex_trader.runtime.dashboard.app import POLICY, app_of, update, zoomed
from apex_trader.runtime.dashboard.board import Board, Standing
from apex_trader.runtime.dashboard.figures import STRETCHES, market_figure
from apex_trader.runtime.dashboard.folders import watched
from apex_trader.runtime.dashboard.serve import PageServer, is_local
from apex_trader.runtime.dashboard.view import TradeView
from apex_trader.runtime.trade_session import TradeFolder
from tests.runtime.dashboard.conftest import Replay, begin_run
from tests.runtime.test_trader import Paper


def text_of(part: Any) -> str:
    """All text in a component."""
    if isinstance(part, (list, tuple)):
        return " ".join(text_of(one) for one in part)
    if hasattr(part, "children"):
        return text_of(part.children)
    return "" if part is None else str(part)


def drawn(board: Board, shown: dict[str, str], stretch: str = "1 h", choice: str = "all") -> Any:
    with board.look() as standing:
        return update(standing, board.watched.name, stretch, choice, shown)


def test_the_page_says_what_the_run_did(paper: Paper, folder: TradeFolder):
    parts, figures, hidden, _ = drawn(Board(watched(folder.path)), {})
    text = text_of(parts)
    assert not hidden
    assert len(figures) == 3
    account = paper.trader.account
    for said in ("paper trading", "step-000040", "no gate", f"{account.equity:,.2f}",
                 f"{paper.trader.counts.fills} of {paper.trader.counts.orders}",
                 "risk", "end of the day", "15", "not audited"):  # fmt: skip
        assert said in text, said


def test_only_what_changed_is_sent(tmp_path: Path, paper: Paper):
    begun = begin_run(tmp_path / "run")
    replay = Replay(begun.journal, paper.folder)
    replay.decide(20)
    board = Board(watched(tmp_path / "run"))
    parts, figures, _, shown = drawn(board, {})
    assert no_update not in [*parts, *figures]
    parts, figures, _, again = drawn(board, shown)
    assert again == shown
    assert [p is no_update for p in parts] == [True, False, False, True, True, True, True, True]
    assert all(f is no_update for f in figures)
    parts, figures, _, narrowed = drawn(board, shown, choice="orders")
    assert parts[5] is not no_update
    assert all(f is no_update for f in figures)
    replay.decide(5)
    parts, figures, _, grown = drawn(board, narrowed, choice="orders")
    assert grown["version"] != shown["version"]
    assert no_update not in [*parts[1:7], *figures]
    assert parts[0] is parts[7] is no_update
    _, figures, _, _ = drawn(board, grown, stretch="all", choice="orders")
    assert no_update not in figures


def test_a_run_without_decisions_and_one_without_trading_runs(tmp_path: Path):
    begun = begin_run(tmp_path / "run")
    parts, _, hidden, _ = drawn(Board(watched(begun.path)), {})
    assert not hidden
    assert "nothing has been decided yet" in text_of(parts)
    begun.about.unlink()
    parts, figures, hidden, shown = drawn(Board(watched(tmp_path / "run")), {})
    assert hidden
    assert shown == {}
    assert "No trading run yet" in text_of(parts)
    assert f"apex_trader.trade run={tmp_path / 'run'}" in text_of(parts)
    assert all(figure is no_update for figure in figures)


def test_what_cannot_be_shown_is_said_instead():
    parts, _, hidden, _ = update(Standing(None, "e", "it is torn"), "x", "all", "all", {})
    assert hidden
    assert "it is torn" in text_of(parts)


@pytest.mark.parametrize("stretch", list(STRETCHES))
def test_every_fill_of_a_stretch_is_drawn(view: TradeView, stretch: str):
    figure = market_figure(view, stretch)
    marks = [t for t in figure.data if t.name in ("bought", "sold")]
    assert sum(len(t.x) for t in marks) == view.orders.filled
    (candles,) = [t for t in figure.data if t.type == "candlestick"]
    assert 0 < len(candles.x) <= 1_500


def test_a_reader_s_zoom_is_kept_until_he_goes_back(view: TradeView):
    event = {"xaxis.range[0]": "2023-12-01", "xaxis.range[1]": "2023-12-02", "dragmode": "pan"}
    figure = zoomed(market_figure(view, "all"), event)
    assert figure.layout.xaxis.range == ("2023-12-01", "2023-12-02")
    for event in (None, {"xaxis.autorange": True}, {"autosize": True}):
        assert zoomed(market_figure(view, "all"), event).layout.xaxis.range is None
    assert zoomed(no_update, event) is no_update


def test_numbers_of_a_refusal_count_once_in_its_reason(tmp_path: Path, paper: Paper):
    begun = begin_run(tmp_path / "run")
    replay = Replay(begun.journal, paper.folder)
    for k, record in enumerate(replay.left["decisions"][:10]):
        record["reason"] = f"order rate: {k} orders in the last minute"
    replay.decide(10)
    shown = TradeView(begun)
    shown.update()
    assert shown.decisions.reasons == {"order rate": 10}
    assert shown.decisions.said["order rate"][0].startswith("order rate: 9")
    assert len(shown.decisions.latest("not acted")) == 10 - shown.decisions.acted


def test_only_this_machine_s_own_names_are_answered(folder: TradeFolder):
    app = app_of(Board(watched(folder.path)), 2.0)
    server = PageServer(app, "127.0.0.1", 0)
    try:
        client = app.server.test_client()
        answer = client.get("/", headers={"Host": f"127.0.0.1:{server.port}"})
        assert answer.status_code == 200
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert client.get("/", headers={"Host": "localhost:1"}).status_code == 200
        assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 403
    finally:
        server.close()


def test_a_port_in_use_is_said_with_what_to_do(folder: TradeFolder):
    app = app_of(Board(watched(folder.path)), 2.0)
    first = PageServer(app, "127.0.0.1", 0)
    try:
        with pytest.raises(ApexError, match=r"in use.*port=0"):
            PageServer(app, "127.0.0.1", first.port)
    finally:
        first.close()
    with pytest.raises(ApexError, match="cannot be served"):
        PageServer(app, "203.0.113.7", 0)


def test_which_addresses_are_this_machine_s_own():
    assert all(is_local(host) for host in ("127.0.0.1", "localhost", "::1", "127.8.0.1"))
    assert not any(is_local(host) for host in ("0.0.0.0", "::", "10.0.0.1", "host.example"))
