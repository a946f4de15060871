"""A trading run's journal, decided again: every decision must come out as it did (invariant 9)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from apex_trader.errors import ApexError, MismatchError
from apex_trader.execution.journal import read_journal
from apex_trader.execution.limits import RiskLimits
from apex_trader.execution.trade_journal import DecisionRecord, SeenRows, read_decisions, read_rows
from apex_trader.runtime.calibration import weights_digest
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.decide import STOPPED, Ending, Moment, decide
from apex_trader.runtime.learned import Learned
from apex_trader.runtime.live_agent import LiveAgent
from apex_trader.runtime.load_agent import load_agent
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trade_session import TradeFolder, live_agent, trading_agent
from apex_trader.runtime.trade_venue import Terms, rules_of
from apex_trader.state.gather import MarketTables
from apex_trader.state.live_day import empty_day
from apex_trader.time import format_time
from apex_trader.trading.live_account import LiveAccount

#: Quote currency per unit of equity to which an account must follow from the one before: the
#: journal has prices, where the account was booked with their logarithms.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Difference:
    """What came out otherwise at a decision (µs): its name, as recorded, and as it is now."""

    ts: int
    name: str
    recorded: Any
    now: Any

    def __str__(self) -> str:
        return f"{format_time(self.ts)}  {self.name}: recorded {self.recorded}, now {self.now}"


@dataclass
class Reproduction:
    """decided: decisions that were taken. same: those that came out the same in everything.
    skipped: decision times at which nothing was asked."""

    decided: int = 0
    same: int = 0
    skipped: int = 0
    differences: list[Difference] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """For a file."""
        return {
            "decided": self.decided, "same": self.same, "skipped": self.skipped,
            "differences": [
                {"at": format_time(d.ts), "what": d.name, "recorded": str(d.recorded),
                 "now": str(d.now)}
                for d in self.differences
            ],
        }  # fmt: skip


class TradeReplay:
    """Decides a journal again, from what it holds and the run's own agent.

    Args:
        out: of the trading run. run: folder of the run whose agent traded; "": where it was.

    Raises:
        ApexError: no trading run is there, it decided nothing, or its agent cannot be loaded.
        MismatchError: the agent's weights are others now.
    """

    def __init__(self, out: TradeFolder, run: str = "") -> None:
        if not out.about.is_file():
            raise ApexError(
                f"{out.path} holds no trading run: give the folder with trade.json in it "
                "(replay=DIR)"
            )
        self.out, about = out, json.loads(out.about.read_text())
        self.records = read_decisions(out.journal)
        if not self.records:
            raise ApexError(f"the journal in {out.journal} holds no decision yet")
        self.folder = RunFolder.open(run or about["run"])
        self.config = load_config(RunFolder(out.path))
        self.data = MarketData(self.config, self.folder)
        self.chosen = load_agent(self.folder, self.data.schema, about["checkpoint"])
        digest = weights_digest(self.chosen.weights)
        if digest != about["weights"]:
            raise MismatchError(
                f"{self.folder.path} has other weights at {about['checkpoint']} now ({digest}) "
                f"than those that traded ({about['weights']}): give the run as it was (run=DIR)"
            )
        self.agent, self.confidence = trading_agent(
            self.config, self.data, self.chosen, self.folder
        )
        self._adopted: dict[str, LiveAgent] = {}
        terms = Terms.read(about)
        self.rules = rules_of(self.config, self.data.trading, terms)
        self._fills = self.data.builder.fills
        self._orders = _booked(out.journal)

    def run(self) -> Reproduction:
        """Every decision again."""
        found = Reproduction()
        for number, (record, tables, seen) in enumerate(self._states()):
            found.differences += self._account(number)
            if not len(record.q):
                found.skipped += 1
                continue
            found.decided += 1
            differences = list(self._compare(record, tables, seen))
            found.differences += differences
            found.same += not differences
        return found

    # --- inside ----------------------------------------------------------------------------

    def _states(self) -> Iterator[tuple[DecisionRecord, MarketTables, SeenRows | None]]:
        """Each record with the tables as they were then, and the rows that it brought."""
        rows = read_rows(self.out.journal, self.data.schema)
        ahead = next(rows, None)
        day, tables = -1, empty_day(self.data.schema)
        for number, record in enumerate(self.records):
            newest = None
            while ahead is not None and ahead.record <= number:
                if ahead.day != day:
                    day, tables = ahead.day, empty_day(self.data.schema)
                ahead.excerpt.put(tables)
                newest, ahead = ahead, next(rows, None)
            yield record, tables, newest

    def _compare(
        self, record: DecisionRecord, tables: MarketTables, seen: SeenRows | None
    ) -> Iterator[Difference]:
        """What comes out otherwise of one decision."""
        account = LiveAccount(self.rules, self._fills.latency)
        account.load_bytes(record.ledger)
        limits = RiskLimits(self.config.risk)
        limits.load(json.loads(record.limits))
        agent = self._agent_of(record.weights)
        if record.row < 0 or int(tables.ts[record.row]) != record.ts:
            yield Difference(record.ts, "row", record.row, "not in the journal")
            return
        agent.see(tables, record.row)
        if seen is not None and "cnn" in seen.excerpt.columns and tables.cnn is not None:
            made = tables.cnn[record.row].numpy()
            kept = seen.excerpt.columns["cnn"][0]
            if not np.array_equal(made, kept, equal_nan=True):
                yield Difference(record.ts, "CNN features", "as seen", "others")
        shown = account.features(record.sigma_hour, record.sigma_decision)
        at = Moment(
            record.row, record.ts, record.seen, record.ts, record.skew, record.sigma_decision, shown
        )
        made_now = decide(agent, tables, account, limits, at, self._fills, _ending(record))
        wish, order = made_now.wish, made_now.order
        now: dict[str, Any] = {
            "account": shown, "q": wish.q, "wanted": wish.target,
            "confidence": np.float32(wish.confidence), "clipped": np.float32(wish.clipped),
            "target": made_now.target, "reason": made_now.reason,
            "order": order.id if order is not None else "",
        }  # fmt: skip
        for name, value in now.items():
            before = getattr(record, name)
            if name in ("confidence", "clipped"):
                before = np.float32(before)
            if not np.array_equal(before, value, equal_nan=name not in ("reason", "order")):
                yield Difference(record.ts, name, before, value)

    def _agent_of(self, name: str) -> LiveAgent:
        """The agent with the weights that decided: the run's own, or adopted ones (learn=true)."""
        if name == self.chosen.checkpoint:
            return self.agent
        if name not in self._adopted:
            learned = Learned(self.out.path)
            found = learned.confidence(name)
            weights = replace(self.chosen, weights=learned.weights(name), checkpoint=name)
            confidence = found.confidence if found is not None else None
            self._adopted[name] = live_agent(self.config, self.data, weights, confidence)
        return self._adopted[name]

    def _account(self, number: int) -> Iterator[Difference]:
        """How an account does not follow from the one before it and the orders in between.

        Funding changes it too, which the journal has only as what was paid in all.
        """
        record = self.records[number]
        account = LiveAccount(self.rules, self._fills.latency)
        account.load_bytes(record.ledger)
        for name in ("position", "quantity", "equity"):
            if getattr(record, name) != getattr(account, name):
                yield Difference(record.ts, name, getattr(record, name), getattr(account, name))
        if number == 0:
            return
        before = LiveAccount(self.rules, self._fills.latency)
        before.load_bytes(self.records[number - 1].ledger)
        if account.ts == before.ts or before.ts < 0:
            return
        traded, price, fee, slippage = self._orders.get(before.ts, (0.0, 0.0, 0.0, 0.0))
        paid = float(account.record["paid"] - before.record["paid"])
        here, there = float(np.exp(account.mark)), float(np.exp(before.mark))
        expected = before.equity + before.quantity * (here - there) - fee - slippage - paid
        expected += traded * (here - price) if traded else 0.0
        for name, value in (("quantity", before.quantity + traded), ("equity", expected)):
            unit = abs(before.equity) if name == "equity" else 1.0
            if account.ruined or abs(getattr(account, name) - value) <= _TOLERANCE * unit:
                continue
            yield Difference(record.ts, f"{name} from before", getattr(account, name), value)


def _booked(journal: Path) -> dict[int, tuple[float, float, float, float]]:
    """Decision (µs) → what its order traded (signed, base coin), price, fee and slippage."""
    table = read_journal(journal, "orders")
    if table is None:
        return {}
    decided = table["decided"].cast("int64").to_pylist()
    columns = [table[name].to_pylist() for name in ("traded", "price", "fee", "slippage")]
    return dict(zip(decided, zip(*columns, strict=True), strict=True))


def _ending(record: DecisionRecord) -> Ending:
    """Whether the run was to end then: somebody outside said so, which the reason tells."""
    head = f"{STOPPED}: "
    if not record.reason.startswith(head):
        return Ending()
    return Ending(record.reason[len(head) :], record.target == 0)


def journal_folder(text: str) -> TradeFolder:
    """The trading run of a path that a user gave: its folder, or its journal."""
    path = Path(text).expanduser()
    return TradeFolder(path.parent if path.name == "journal" else path)
