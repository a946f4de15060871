"""A trading run: its folder, its feed and its trader, from the first decision to the last."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from apex_trader.errors import ApexError, ConfigError
from apex_trader.evaluation.confidence.confidence import Calibrated, Confidence
from apex_trader.execution.limits import RiskLimits
from apex_trader.execution.trade_journal import DecisionRecord, TradeJournal, read_decisions
from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.store import MarketStore
from apex_trader.runtime.calibration import confidence_of, weights_digest
from apex_trader.runtime.compose import flat, load_config, plain, save_config
from apex_trader.runtime.confidence import order_features
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent, network_of
from apex_trader.runtime.learned import Learned
from apex_trader.runtime.learning_process import LearningProcess
from apex_trader.runtime.live_agent import LiveAgent
from apex_trader.runtime.live_feed import FeedTime, LiveFeed, OpenFeed, open_live_feed
from apex_trader.runtime.live_market import live_tables
from apex_trader.runtime.load_agent import load_agent
from apex_trader.runtime.market_data import MarketData, prepare_store, store_url
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.stop import StopSignals
from apex_trader.runtime.trade_venue import Desk, Terms, check_mode
from apex_trader.runtime.trader import Trader
from apex_trader.time import SECOND, format_time
from apex_trader.trading.live_account import LiveAccount

#: A file of this name in the run's folder stops it.
STOP = "STOP"
#: Groups of settings that a run which goes on has as it began: its journal is of one kind.
_SAME = ("trade", "risk", "confidence", "execution", "trading", "state", "market")
_FLAT_FIRST = "the position is closed first"
_LEFT = "the position is left as it is"
#: Real seconds without a closed second after which a run that is to stop leaves its position open.
_PATIENCE = 30.0
#: Seconds behind the market that are told, and real seconds between two lines about it.
_BEHIND, _TELL_EVERY = 60.0, 10.0
#: Market time (µs) between two lines that say how the run stands.
_STATUS_EVERY = 60 * SECOND


@dataclass(frozen=True)
class TradeFolder:
    """Paths of a trading run: trade.json and config.yaml (what trades), journal/, result.json."""

    path: Path

    @property
    def about(self) -> Path:
        """What trades: the run, the checkpoint, the settings."""
        return self.path / "trade.json"

    @property
    def journal(self) -> Path:
        """See ``TradeJournal``."""
        return self.path / "journal"

    @property
    def result(self) -> Path:
        """How it ended."""
        return self.path / "result.json"

    @property
    def stop(self) -> Path:
        """Whoever makes this file stops the run."""
        return self.path / STOP


def trading_agent(
    config: Config, data: MarketData, agent: Agent, folder: RunFolder
) -> tuple[LiveAgent, Confidence | None]:
    """The agent that decides live, gated by its confidence.

    ConfigError when it has none and confidence.gate asks for some.
    """
    found = confidence_of(config, data, agent, data.trading, folder)
    confidence = found.confidence if isinstance(found, Calibrated) else None
    if confidence is None and config.confidence.gate > 0.0:
        raise ConfigError(
            "confidence.gate", config.confidence.gate,
            f"0 to trade without a gate: {getattr(found, 'reason', '')}",
        )  # fmt: skip
    return live_agent(config, data, agent, confidence), confidence


def live_agent(
    config: Config, data: MarketData, agent: Agent, confidence: Confidence | None
) -> LiveAgent:
    """The agent that decides live, gated where the configuration asks for it."""
    network, features = network_of(config, data, agent), order_features(config, data.trading)
    gate = config.confidence.gate
    return LiveAgent(network, agent.extractor, features, confidence if gate else None, gate)


class TradeSession:
    """Everything that a trading run holds; ``run`` trades until it is stopped.

    Args:
        config: of the run whose agent trades, with what was changed for trading.
        folder: of that run. out: of the trading run; one that was there goes on.
        checkpoint: "best", "latest" or a name. say: told of what happens.
        open_feed: opens the feed of the run's markets.

    Raises:
        ApexError: a STOP file is there, the market has no exchange, its history is too short, or
            the agent cannot be loaded. ConfigError: see ``trading_agent``.
    """

    def __init__(
        self,
        config: Config,
        folder: RunFolder,
        out: TradeFolder,
        checkpoint: str = "best",
        say: Any = print,
        open_feed: OpenFeed = open_live_feed,
    ) -> None:
        check_tradable(config)
        if out.stop.exists():
            raise ApexError(f"{out.stop} ends every run in this folder: remove it first")
        self.config, self.folder, self.out, self._say = config, folder, out, say
        self._stop = StopSignals(_FLAT_FIRST if config.trade.flatten else _LEFT)
        self._status, self._told_behind = 0, 0.0
        prepare_store(config, folder, say)
        data = MarketData(config, folder)
        agent = load_agent(folder, data.schema, checkpoint)
        live, confidence = trading_agent(config, data, agent, folder)
        known = self._known(agent, confidence)
        self._desk = Desk(config, data.trading, Terms.read(known) if known else None)
        if not known:
            self._write_about(agent, confidence)
        store = MarketStore(store_url(config, folder))
        say("opening the feed …")
        self.feed: LiveFeed = open_feed(config, store)
        try:
            tables = live_tables(config, data, store, self.feed)
            fills = data.builder.fills
            account = LiveAccount(self._desk.rules, fills.latency)
            before = read_decisions(out.journal)
            self.journal = TradeJournal(out.journal, data.schema, config.trade.journal_rows)
            self.trader = Trader(
                tables, live, account, self._desk.venue(tables.markets.primary, fills),
                RiskLimits(config.risk), self.journal, fills, config.trade.lateness,
                agent.checkpoint, FeedTime(self.feed), self._tell,
            )  # fmt: skip
            self._data, self._agent, self.learning = data, agent, None
            self._learned, self._used, self._verdicts = Learned(out.path), agent.checkpoint, 0
            if config.trade.learn:
                self._adopt()
                self.learning = LearningProcess(
                    config, folder, agent, out.path, store, self.feed.start, say
                )
            if before:
                self.trader.go_on(before[-1])
                say(f"going on behind {format_time(before[-1].ts)}, equity {account.equity:,.2f}")
        except BaseException:
            self.feed.close()
            self._desk.close()
            raise

    def run(self) -> dict[str, Any]:
        """Trade until the run is stopped, halts, or the stream ends; what ``result.json`` holds."""
        trader, self._heard = self.trader, time.monotonic()
        self._stop.install()
        try:
            with self._stop.deferred():
                for batch in self.feed:
                    self._look_for_a_stop()
                    if batch.until > batch.start:
                        self._heard = time.monotonic()
                    self._learn(batch)
                    trader.hear(batch)
                    self._tell_behind()
                    if trader.finished or self._given_up():
                        break
                self._stop.requested = None  # it is stopped
        finally:
            self._stop.restore()
            self.feed.close()
            if self.learning is not None:
                self.learning.close()
            self._desk.close()
            self.journal.close()
            result = self._result()
            RunFolder(self.out.path).write_json(self.out.result, result)
        return result

    # --- inside ----------------------------------------------------------------------------

    def _learn(self, batch: ClosedSeconds) -> None:
        """Let the learner hear what the trader is about to, and take over what it brought."""
        if self.learning is not None:
            self.learning.hear(batch)
            self._adopt()

    def _adopt(self) -> None:
        """Decide with the newest adopted weights from here on; the old ones, if they are broken."""
        file = self._learned.verdicts_file
        size = file.stat().st_size if file.is_file() else 0
        if size == self._verdicts:
            return
        self._verdicts, name = size, self._learned.in_use()
        if not name or name == self._used:
            return
        try:
            weights, found = self._learned.weights(name), self._learned.confidence(name)
            if found is None and self.config.confidence.gate > 0.0:
                raise ApexError(f"{name} has no confidence, and there is a gate")
        except ApexError as error:
            self._say(f"{error}; {self._used} goes on deciding")
            return
        confidence = found.confidence if found is not None else None
        agent = replace(self._agent, weights=weights, checkpoint=name)
        self.trader.adopt(live_agent(self.config, self._data, agent, confidence), name)
        self._used = name
        self._say(f"{name} decides from here on")

    def _look_for_a_stop(self) -> None:
        flatten = self.config.trade.flatten
        if self.out.stop.exists():
            self._stopping(f"{STOP} file", flatten)
        elif self._stop.requested is not None:
            self._stopping("by a signal", flatten)

    def _stopping(self, reason: str, flatten: bool) -> None:
        if not self.trader.stopping:
            self._say(f"stopping ({reason}): {_FLAT_FIRST if flatten else _LEFT}")
            self.trader.stop(reason, flatten)

    def _given_up(self) -> bool:
        """It is to stop, and nothing is heard any more: nothing can be closed."""
        ending = bool(self.trader.stopping or self.trader.limits.halt)
        return ending and time.monotonic() - self._heard > _PATIENCE

    def _tell_behind(self) -> None:
        """One line every few seconds while the market is not known up to now."""
        behind = self.trader.behind
        if behind > _BEHIND and time.monotonic() - self._told_behind >= _TELL_EVERY:
            self._told_behind = time.monotonic()
            known = format_time(self.trader.tables.end)
            self._say(f"the market is known up to {known}, {behind:,.0f} s ago")

    def _tell(self, record: DecisionRecord) -> None:
        """One line for an order or a refusal, and one a minute for how it stands."""
        if record.order:
            self._say(f"{format_time(record.ts)}  {_move(record)} at about {_price(record)}")
        if record.ts - self._status >= _STATUS_EVERY:
            self._status = record.ts
            c = self.trader.counts
            self._say(
                f"{format_time(record.ts)}  position {_SIDES[record.position + 1]}, equity "
                f"{record.equity:,.2f}, decisions {c.decisions:,}, orders {c.orders:,}, fills "
                f"{c.fills:,}, refused {c.refused:,}{', ' + record.reason if record.reason else ''}"
            )

    def _about(self, agent: Agent, confidence: Confidence | None) -> dict[str, Any]:
        return {
            "run": str(self.folder.path.absolute()), "checkpoint": agent.checkpoint,
            "weights": weights_digest(agent.weights), "mode": self.config.trade.mode,
            "gate": self.config.confidence.gate if confidence is not None else 0.0,
        }  # fmt: skip

    def _known(self, agent: Agent, confidence: Confidence | None) -> dict[str, Any]:
        """What traded here before, {} for nothing. ApexError when it was another thing."""
        if not self.out.about.is_file():
            return {}
        known: dict[str, Any] = json.loads(self.out.about.read_text())
        now: dict[str, Any] = self._about(agent, confidence)
        before = flat(plain(load_config(RunFolder(self.out.path))))
        settings = flat(plain(self.config))
        then = {name: known.get(name) for name in now}
        for name in settings:
            if name.partition(".")[0] in _SAME:
                now[name], then[name] = settings[name], before.get(name)
        for name, value in now.items():
            if then[name] != value:
                raise ApexError(
                    f"{self.out.path} holds a trading run with {name}={then[name]}, now it would "
                    f"be {value}: choose another folder (out=DIR)"
                )
        return known

    def _write_about(self, agent: Agent, confidence: Confidence | None) -> None:
        """What trades, before it does."""
        out = RunFolder(self.out.path)
        self.out.path.mkdir(parents=True, exist_ok=True)
        save_config(out, self.config)
        out.write_json(self.out.about, self._about(agent, confidence) | self._desk.terms.plain())

    def _result(self) -> dict[str, Any]:
        trader, account = self.trader, self.trader.account
        found = {
            "ended": trader.stopping or trader.limits.halt or "the stream ended",
            "mode": self.config.trade.mode,
            "until": format_time(account.ts) if account.ts >= 0 else None,
            "position": account.position, "quantity": account.quantity, "equity": account.equity,
            "return": account.equity / account.trading.initial_equity - 1.0,
            "fee": float(account.record["fee"]), "slippage": float(account.record["slippage"]),
            "funding": float(account.record["paid"]), **asdict(trader.counts),
        }  # fmt: skip
        if self.config.trade.learn:
            verdicts = self._learned.verdicts()
            adopted = sum(verdict.adopted for verdict in verdicts)
            found["learning"] = {
                "weights": self._used, "adopted": adopted, "refused": len(verdicts) - adopted,
                "verdicts": [asdict(verdict) for verdict in verdicts],
            }  # fmt: skip
        if account.position:
            self._say(f"the position is still open: {account.quantity:+g}")
        return found


def check_tradable(config: Config) -> None:
    """ApexError for a run whose market nobody can trade on, ConfigError for settings that clash."""
    if config.market.synthetic:
        raise ApexError(
            "the run's market is synthetic and has no exchange: train on a market store of a real "
            "one (market.store, market.primary), or take another run"
        )
    check_mode(config)
    config.exchange.check_streaming()
    if config.stream.watermark > config.execution.latency:
        raise ConfigError(
            "stream.watermark", config.stream.watermark,
            f"at most execution.latency={config.execution.latency:g}: decisions wait for it",
        )  # fmt: skip


_SIDES = ("short", "flat", "long")


def _move(record: DecisionRecord) -> str:
    return f"{_SIDES[record.position + 1]} → {_SIDES[record.target + 1]}"


def _price(record: DecisionRecord) -> str:
    return f"{math.exp(record.mark):,.2f}"
