"""The trading loop: closed seconds → state → decision → order → account → journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from apex_trader.execution.config import Lateness
from apex_trader.execution.limits import RiskLimits
from apex_trader.execution.orders import Order, Outcome, Venue
from apex_trader.execution.trade_journal import DecisionRecord, TradeJournal
from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.fills import FillConfig
from apex_trader.runtime.decide import LATE, Ending, Moment, decide, order_for
from apex_trader.runtime.live_agent import LiveAgent
from apex_trader.state.excerpt import Excerpt
from apex_trader.state.gather import MarketTables
from apex_trader.state.live import LiveTables
from apex_trader.time import DAY, SECOND
from apex_trader.trading.live_account import LiveAccount

#: Reasons for which nothing is decided; the first words of what a journal says.
NO_STATE, DAY_END = "no state", "end of the day"
UNCONFIRMED, DIFFERS = "order not confirmed", "another position at the exchange"
#: Decisions in a row at which the venue's position is another one than the account's, before a run
#: ends: somebody else trades on it.
_DIFFERENCES = 3
#: Seconds behind its time from which on a decision is of the past, and not taken.
_CATCHING_UP = 60.0
_NOTHING = np.empty(0, np.float32)


class ExchangeTime(Protocol):
    """What is known of the exchange's clock."""

    def now(self) -> int:
        """The exchange's time, µs."""
        ...

    def skew(self) -> float:
        """Seconds by which this machine's clock has moved off it since the feed was opened."""
        ...


@dataclass
class Counts:
    """How often what happened."""

    decisions: int = 0
    orders: int = 0
    fills: int = 0
    refused: int = 0
    late: int = 0


class Trader:
    """Follows a market and holds the position that the agent wants, as far as it may.

    At every decision time, once all seconds before it are closed: what became of the last order is
    booked, the agent is asked, its wish passes the gate and the limits, everything is written down,
    and then the order is sent.

    Args:
        tables: that end where the feed begins. agent: see ``LiveAgent``. account: fresh, or as it
        was when an earlier run of the same journal ended.
        venue: where orders go. limits: on every order. journal: of the run.
        fills: latency and wait of orders. lateness: see ``TradeConfig``.
        weights: what the journal calls the agent's weights. time: the exchange's clock.
    """

    def __init__(
        self,
        tables: LiveTables,
        agent: LiveAgent,
        account: LiveAccount,
        venue: Venue,
        limits: RiskLimits,
        journal: TradeJournal,
        fills: FillConfig,
        lateness: Lateness,
        weights: str,
        time: ExchangeTime,
        told: Callable[[DecisionRecord], None] = lambda record: None,
    ) -> None:
        self.tables, self.agent, self.account, self.limits = tables, agent, account, limits
        self._venue, self._journal, self._fills = venue, journal, fills
        self._lateness, self._weights, self._time = lateness, weights, time
        self._told = told
        self._interval = tables.schema.decision_interval
        self._noted: tuple[MarketTables | None, int] = (None, 0)
        self._pending: Order | None = None
        self._ending = Ending()
        self._differed = 0
        self.counts = Counts()
        self._last = -1

    @property
    def finished(self) -> bool:
        """It was to stop, and nothing is left to do."""
        done = self._pending is None and (self.account.position == 0 or not self._ending.flatten)
        return bool(self.stopping or self.limits.halt) and done

    @property
    def stopping(self) -> str:
        """Why the run ends as soon as it may; "" while it goes on."""
        return self._ending.reason

    def go_on(self, last: DecisionRecord) -> None:
        """Continue behind the last decision of an earlier run of the same journal.

        Its order, if it sent one, is pending: what became of it is asked for at the next decision.
        """
        self.account.load_bytes(last.ledger)
        self.limits.load(json.loads(last.limits))
        self._last = last.ts
        if last.order:
            self._pending = order_for(self.account, last.target, last.ts, last.seen, self._fills)

    @property
    def behind(self) -> float:
        """Seconds since the end of the newest second that is known."""
        return (self._now(self.tables.end) - self.tables.end) / SECOND

    def adopt(self, agent: LiveAgent, weights: str) -> None:
        """Decide with another agent from the next decision on; weights: its name in the journal."""
        self.agent, self._weights = agent, weights

    def stop(self, reason: str, flatten: bool) -> None:
        """Decide nothing any more; close the position at the next decision, where ``flatten``."""
        self._ending = Ending(self.stopping or reason, flatten)

    def hear(self, batch: ClosedSeconds) -> None:
        """Take closed seconds that join on, and every decision that they bring."""
        for piece in self._pieces(batch):
            self.tables.extend(piece)
            due = piece.until % self._interval == 0 and piece.until > self._last
            if due and not self.finished:
                self._at(piece.until)

    def _pieces(self, batch: ClosedSeconds) -> Iterator[ClosedSeconds]:
        at = batch.start
        while at < batch.until:
            until = min(batch.until, (at // self._interval + 1) * self._interval)
            yield batch.between(at, until)
            at = until

    def _at(self, ts: int) -> None:
        """The decision at ``ts``, up to which everything is known."""
        row, known = self.tables.newest, self.tables.known
        now = self._now(ts)
        if (now - ts) / SECOND > _CATCHING_UP:
            return  # nothing can be ordered any more: it has the past to hear first
        if row < 0 or int(known.ts[row]) != ts or not known.decidable[row]:
            self._write(self._undecided(ts, now, row, NO_STATE), None)
            return
        mark = float(known.mark[row])
        held_back = self._settle(ts, mark)
        self.limits.mark(ts, self.account.equity)
        if held_back:
            self._write(self._undecided(ts, now, row, held_back), None)
            return
        if ts % DAY + self._interval == DAY:
            self._write(self._undecided(ts, now, row, DAY_END), None)
            return
        tables, sigma = self.tables.tables, float(known.sigma_decision[row])
        self.agent.see(tables, row)
        shown = self.account.features(float(known.sigma_hour[row]), sigma)
        at = Moment(row, ts, now, self.tables.end, self._skew(), sigma, shown)
        wish, target, reason, order = decide(
            self.agent, tables, self.account, self.limits, at, self._fills, self._ending
        )
        self.counts.decisions += 1
        self.counts.refused += target != wish.target
        self.counts.late += reason.startswith(LATE)
        record = self._undecided(ts, now, row, reason)._replace(
            account=shown, q=wish.q, wanted=wish.target, confidence=wish.confidence, target=target,
            order=order.id if order is not None else "", clipped=wish.clipped,
        )  # fmt: skip
        self._write(record, order)

    def _settle(self, ts: int, mark: float) -> str:
        """Book what came of the last decision, now that its interval is over.

        Why nothing may be decided, since the account is not known to be the venue's; "" when it is.
        """
        account, order = self.account, self._pending
        if account.ts < 0:
            account.begin(ts, mark)
            return self._compare()
        outcome, wanted, trade = Outcome(float("nan"), 0), account.position, None
        if order is not None:
            found = self._venue.outcome(order)
            if found is None:
                return f"{UNCONFIRMED}: nobody can tell yet what became of {order.id}"
            outcome, wanted = found, order.target
            if outcome.traded is not None:
                trade = account.traded(outcome.executed, outcome.traded, outcome.fee or 0.0)
        before = account.quantity
        payments = self.tables.markets.primary.funding(*account.owed(ts))
        booked = account.settle(ts, mark, wanted, outcome.price, outcome.ts, payments, trade)
        if order is not None:
            traded = account.quantity - before
            self._journal.order(order, outcome, traded, booked.fee, booked.slippage)
            self.counts.fills += outcome.filled
        self._pending = None
        if account.ruined:
            self.stop("ruined: the account was liquidated", self._ending.flatten)
        return self._compare()

    def _compare(self) -> str:
        """How the position at the venue differs from the account's; ends the run when it stays."""
        found = self._venue.differs(self.account.quantity)
        self._differed = self._differed + 1 if found else 0
        if self._differed >= _DIFFERENCES:
            self.stop(f"{DIFFERS}: {found}", flatten=False)
        return f"{DIFFERS}: {found}" if found else ""

    def _write(self, record: DecisionRecord, order: Order | None) -> None:
        """Everything that was seen and decided, on the disk before an order is sent."""
        self._note_rows()
        self._journal.decision(record)
        self._journal.commit()
        if order is not None:
            self._venue.send(order)
            self.limits.sent(order.ts)
            self.counts.orders += 1
            self._pending = order
        self._told(record)

    def _note_rows(self) -> None:
        tables, stop = self.tables.tables, self.tables.newest + 1
        noted = self._noted[1] if self._noted[0] is tables else 0
        if stop > noted:
            self._journal.rows(self.tables.day, Excerpt.of(tables, noted, stop))
            self._noted = (tables, stop)

    def _undecided(self, ts: int, now: int, row: int, reason: str) -> DecisionRecord:
        """The record of a decision time at which nothing was asked."""
        known, account = self.tables.known, self.account
        there = row >= 0

        def at(column: np.ndarray) -> float:
            return float(column[row]) if there else float("nan")

        return DecisionRecord(
            ts, now, row, bool(there and known.decidable[row]), at(known.mark),
            at(known.sigma_hour), at(known.sigma_decision), account.position, account.quantity,
            account.equity, _NOTHING, _NOTHING, account.position, float("nan"), account.position,
            reason, "", self._weights, float("nan"), self._skew(), account.to_bytes(),
            json.dumps(self.limits.state()),
        )  # fmt: skip

    def _now(self, ts: int) -> int:
        """The exchange's time (µs): that of the decision, where lateness is not to count."""
        return ts if self._lateness == "none" else max(ts, self._time.now())

    def _skew(self) -> float:
        return 0.0 if self._lateness == "none" else self._time.skew()
