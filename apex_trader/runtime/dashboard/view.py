"""One trading run as a page shows it: everything its folder says, brought up to date on demand."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.evaluation.report.market_view import MarketView, mark_candles
from apex_trader.execution.journal import journal_stream
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.dashboard.history import DecisionHistory, OrderHistory
from apex_trader.runtime.dashboard.market_seen import MarketSeen
from apex_trader.runtime.dashboard.risk import RiskState, risk_state
from apex_trader.runtime.dashboard.state_seen import StateSeen
from apex_trader.runtime.dashboard.training import Training, training_of
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trade_session import TradeFolder
from apex_trader.time import SECOND
from apex_trader.trading.actions import Actions

#: Decisions without a new record after which a run is called silent.
_SILENT = 4
#: Real seconds for which a run is never called silent.
_PATIENCE = 30.0


@dataclass(frozen=True)
class Status:
    """kind: "waiting" for the first decision, "trading", "stopping", "silent" or "ended". says: the
    same in a sentence. age: real seconds since the journal grew; NaN while it has not."""

    kind: str
    says: str
    age: float


class TradeView:
    """What is known of a trading run.

    Raises ApexError when what trades, or its settings, cannot be read.
    """

    def __init__(self, folder: TradeFolder) -> None:
        self.folder, self.began = folder, self.began_of(folder)
        self.about = _about(folder)
        self.config: Config = load_config(RunFolder(folder.path))
        self.schema = self.config.state.build()
        self.actions = Actions.of(self.config.trading).names
        journal = folder.journal
        self.decisions, self.orders = DecisionHistory(journal), OrderHistory(journal)
        self._market = MarketSeen(journal, self.schema)
        self.state = StateSeen(journal, self.schema)
        self.training: Training = training_of(
            RunFolder(self.about["run"]), self.about["checkpoint"]
        )

    @staticmethod
    def began_of(folder: TradeFolder) -> int:
        """Tells a run from a later one in a folder of the same name."""
        try:
            return folder.about.stat().st_ino
        except OSError:
            return -1

    @property
    def gate(self) -> float:
        """Least confidence of an order that adds risk; 0: there is no gate."""
        return float(self.about.get("gate") or 0.0)

    def update(self) -> bool:
        """Read what the journal gained; whether it did.

        Rows and orders first: each is written behind the decision that it belongs to.
        """
        state, orders = self.state.update(), self.orders.update()
        decisions = self.decisions.update()
        market = self._market.update(self._mark_at)
        return state or orders or decisions or market

    def market(self) -> MarketView:
        """Candles, fills and pivots for the charts."""
        ts, mark = self.decisions.column("ts"), self.decisions.column("mark")
        seen = self._market
        candles = seen.candles if seen.charted else mark_candles(ts, np.exp(mark))
        return MarketView(candles, self.orders.fills(), seen.pivots)

    def risk(self) -> RiskState | None:
        """How far each limit is used; None while nothing was decided."""
        last = self.decisions.last
        if last is None:
            return None
        latest = list(self.orders)[-1:]
        price = math.exp(last["mark"] or math.nan)
        value = [abs(r["quantity"]) * (r["price"] if r["price"] == r["price"] else price)
                 for r in latest]  # fmt: skip
        return risk_state(self.config.risk, last, value[0] if value else math.nan)

    def status(self, now: float | None = None) -> Status:
        """How the run stands; now: seconds since 1970."""
        age = self._age(time.time() if now is None else now)
        result = self._result()
        if result is not None:
            return Status("ended", f"ended: {result.get('ended')}", age)
        if self.folder.stop.exists():
            return Status("stopping", "a STOP file asks it to end", age)
        if self.decisions.last is None:
            return Status("waiting", "begun; nothing has been decided yet", age)
        interval = self.schema.decision_interval / SECOND
        if age > max(_SILENT * interval, _PATIENCE):
            return Status(
                "silent", f"nothing was written for {age:,.0f} s: the process has ended without a "
                "result, or its market is silent", age
            )  # fmt: skip
        return Status("trading", "trading", age)

    # --- inside ----------------------------------------------------------------------------

    def _mark_at(self, ts: int) -> float:
        known = self.decisions.column("ts")
        at = int(np.searchsorted(known, ts))
        if at == len(known) or known[at] != ts:
            return math.nan
        return float(self.decisions.column("mark")[at])

    def _age(self, now: float) -> float:
        """Real seconds since the journal grew."""
        try:
            files = [path.stat().st_mtime for path in self.folder.journal.glob("decisions*")]
        except OSError:  # a file went while they were counted
            return 0.0
        return max(now - max(files), 0.0) if files else math.nan

    def _result(self) -> dict[str, Any] | None:
        """How the run ended; None while it goes on, a second time too."""
        if journal_stream(self.folder.journal, "decisions").exists():
            return None
        try:
            found: dict[str, Any] = json.loads(self.folder.result.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return None
        return found


def _about(folder: TradeFolder) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(folder.about.read_text(encoding="utf-8"))
        return {"run": "", "checkpoint": ""} | about
    except (OSError, json.JSONDecodeError) as error:
        raise ApexError(f"{folder.about} cannot be read: {error}") from None
