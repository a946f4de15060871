"""A run's training, gone on with beside its trader: a part is judged first, then learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from actors.evaluation import Evaluator
from actors.market import RolloutMarket
from apex_trader.evaluation.confidence.confidence import Calibrated, Uncalibrated
from apex_trader.runtime.calibration import calibrate_agent, confidence_of
from apex_trader.runtime.confidence import order_features
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent, network_of
from apex_trader.runtime.learned import Learned, live_name
from apex_trader.runtime.live_feed import OpenFeed
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.prequential import Contestant, Prequential
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.sealed_account import SealedAccount
from apex_trader.runtime.session import Session
from apex_trader.runtime.stream_run import StreamRun
from apex_trader.time import SECOND
from learner.checkpoint import Checkpoint


class Origin(NamedTuple):
    """What a learner beside a trader begins with: the trader's configuration, the run's folder, the
    checkpoint that trades and the agent in it."""

    config: Config
    folder: RunFolder
    checkpoint: Checkpoint
    agent: Agent


class LearningRun(StreamRun):
    """As ``StreamRun``, begun with a run's weights, optimiser and extractor, and an empty replay.

    Whenever a part is sealed, the weights in use and a candidate, a snapshot of the learner's, are
    compared on it before the lanes may decide there (``Prequential``). A candidate that passes is
    adopted. The extractor stays as it is.

    Args:
        config, data, session, open_feed: see ``StreamRun``. origin: what trades.
        learned: where verdicts and adopted weights are kept.
        reached: told the end (µs) of what was heard.
    """

    def __init__(
        self,
        config: Config,
        data: MarketData,
        session: Session,
        open_feed: OpenFeed,
        origin: Origin,
        learned: Learned,
        reached: Callable[[int], None] = lambda ts: None,
    ) -> None:
        super().__init__(config, data, session, open_feed)
        self._origin, self._learned, self._reached = origin, learned, reached
        # Of the run as it was trained: its calibration days keep their meaning.
        self._trained = MarketData(origin.config, origin.folder)
        self._snapshots: dict[str, tuple[dict[str, Tensor], Calibrated | None]] = {}
        self._heard = 0

    # --- parts -----------------------------------------------------------------------------

    def _fit_extractor(self) -> None:
        """The run's own: the weights know no other."""
        state = self._origin.checkpoint.state("pretrain.pt")
        if state is not None:
            self.pretrain.load_state_dict(state)
        if self.extractor is not None:
            self._store_extractor()

    def _make_evaluator(self) -> Evaluator | None:
        """None: what is new is judged on what is newest."""
        return None

    def _build(self, checkpoint: Checkpoint | None) -> None:
        super()._build(checkpoint)
        self._heard = self._sealed_until()
        if checkpoint is None:
            self.learner.load_state_dict(self._origin.checkpoint.state("learner.pt"))
            self._publish()
        self._snapshot_of = self.learner.updates
        trade = self._origin.config.trade
        self.prequential = Prequential(
            self._in_use(), self._candidate, trade.judge_parts, trade.judge_margin,
            self.config.rollout.seal_every * SECOND,
        )  # fmt: skip

    def _restore(self, checkpoint: Checkpoint) -> None:
        super()._restore(checkpoint)
        self._snapshot_of = self.learner.updates

    # --- evaluate first, then train --------------------------------------------------------

    def _begun(self) -> RolloutMarket | None:
        market = super()._begun()
        self._reached(self.live.actor.tables.end)
        return market

    def _hear(self) -> None:
        super()._hear()
        self._reached(self.live.actor.tables.end)

    def _sealed(self, market: RolloutMarket) -> None:
        learned, self._heard = self._heard, self._sealed_until()
        verdicts = self.prequential.judge(market, self._heard, self.live.complete, learned)
        for verdict in verdicts:
            if verdict.adopted:
                self._learned.keep(verdict.candidate, *self._snapshots[verdict.candidate])
            self._learned.add(verdict)
            what = "adopted" if verdict.adopted else "refused"
            self.session.display.say(f"{verdict.candidate} {what}: {verdict.reason}")
        if verdicts:
            self._save()

    def _sealed_until(self) -> int:
        """µs; every decision before it may be taken."""
        return max(until for _, until in self.data.registry.live.values())

    def _candidate(self) -> Contestant | None:
        """The learner's weights as they are now, unless they were so the last time."""
        updates = self.learner.updates
        if updates == self._snapshot_of:
            return None
        self._snapshot_of = updates
        weights = {k: v.detach().cpu().clone() for k, v in self.learner.judged.state_dict().items()}
        agent = self._agent(live_name(updates, weights), updates, weights)
        found = self._calibrated(agent)
        if isinstance(found, Uncalibrated):
            return Contestant(agent.checkpoint, updates, None, found.reason)
        self._snapshots = {agent.checkpoint: (weights, found)}
        return self._contestant(agent, found)

    def _in_use(self) -> Contestant:
        """The weights that the trader begins with."""
        origin, name = self._origin, self._learned.in_use()
        if name:
            agent = self._agent(name, 0, self._learned.weights(name))
            return self._contestant(agent, self._learned.confidence(name))
        found = None
        if origin.config.confidence.gate > 0.0:
            trading = self._trained.trading
            known = confidence_of(
                origin.config, self._trained, origin.agent, trading, origin.folder
            )
            found = known if isinstance(known, Calibrated) else None
        return self._contestant(origin.agent, found)

    def _calibrated(self, agent: Agent) -> Calibrated | Uncalibrated | None:
        """Its confidence on the run's calibration days; None where no gate asks for any."""
        config = self._origin.config
        if config.confidence.gate <= 0.0:
            return None
        return calibrate_agent(config, self._trained, agent, self._trained.trading)

    def _agent(self, name: str, updates: int, weights: dict[str, Tensor]) -> Agent:
        """The run's agent with other weights, which know the live days too."""
        agent = self._origin.agent
        live = [self.data.registry.days[number] for number in self.data.registry.live]
        days = {**agent.days, "agent": (*agent.days.get("agent", ()), *live)}
        return replace(agent, weights=weights, updates=updates, checkpoint=name, days=days)

    def _contestant(self, agent: Agent, found: Calibrated | None) -> Contestant:
        config, trading = self._origin.config, self.data.trading
        network = network_of(config, self.data, agent)
        confidence = found.confidence if found is not None else None
        features, gate = order_features(config, trading), config.confidence.gate

        def account(begin: int) -> SealedAccount:
            return SealedAccount(network, confidence, features, gate, trading, config.reward, begin)

        return Contestant(agent.checkpoint, agent.updates, account)
