"""A serial run whose experience comes from a live market."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from actors.market import RolloutMarket
from actors.rollout import RolloutWorker
from actors.stream_rollout import StreamRollout
from apex_trader.errors import ApexError
from apex_trader.market.store import MarketStore
from apex_trader.runtime.config import Config
from apex_trader.runtime.live_feed import OpenFeed, open_live_feed
from apex_trader.runtime.live_market import NEVER_BEGAN, LiveMarket, changed_text, surplus_days
from apex_trader.runtime.live_rows import LiveRows
from apex_trader.runtime.market_data import MarketData, store_url
from apex_trader.runtime.parts import exploration_seed, make_network
from apex_trader.runtime.serial import SerialRun
from apex_trader.runtime.session import Session
from apex_trader.state.segment import Segment
from learner.checkpoint import Checkpoint
from learner.checkpoint_parts import Part


class StreamRun(SerialRun):
    """As ``SerialRun``, but the rollout follows a stream (``rollout.source=stream``).

    The extractor is fitted, and the weights are judged, on days of the market store as always.
    Live days get numbers behind those; the newest one grows, in the arena too, and the oldest goes
    when there are more than ``train.resident_days``. A resumed run goes on with the replay as far
    as the store still holds what it refers to; its lanes start anew, since the market went on.

    Args:
        config, data, session: see ``SerialRun``.
        open_feed: opens the feed of the run's markets, behind what is in a store.
    """

    rollout: StreamRollout

    def __init__(
        self,
        config: Config,
        data: MarketData,
        session: Session,
        open_feed: OpenFeed = open_live_feed,
    ) -> None:
        super().__init__(config, data, session)
        data.registry.follows_stream = True
        self._open_feed = open_feed
        self._live: LiveMarket | None = None
        self._changed: list[int] = []
        self._live_rows = LiveRows(data.schema)

    def run(self) -> None:
        """See ``SerialRun.run``."""
        try:
            super().run()
        finally:
            if self._live is not None:
                self._live.close()

    @property
    def live(self) -> LiveMarket:
        """The market that the lanes follow; opened when the extractor is fitted."""
        if self._live is None:
            url = store_url(self.config, self.session.folder)
            feed = self._open_feed(self.config, MarketStore(url))
            self._live = LiveMarket(self.config, self.data, MarketStore(url), feed)
        return self._live

    # --- parts -----------------------------------------------------------------------------

    @property
    def _rotates(self) -> bool:
        return False

    def _resident_days(self) -> int:
        return self.config.train.resident_days

    def _make_rollout(self) -> RolloutWorker:
        """Waits for the first decision that can be taken."""
        config, data, live = self.config, self.data, self.live
        self.session.display.say("waiting for the first sealed part of the live market")
        while not (market := self._begun()):
            if live.ended:
                raise ApexError(NEVER_BEGAN)
        return StreamRollout(
            market, live.complete, make_network(config, data.schema, data.trading),
            config.rollout, data.trading, config.reward, begin=live.actor.begin,
            seed=exploration_seed(config.seed, self.session.sitting, 0),
        )  # fmt: skip

    def _begun(self) -> RolloutMarket | None:
        """The live market, when the next batch made it one that can be decided on."""
        went_on = self.live.poll()
        self._changed += self.live.take_changed()
        if not went_on:
            return None
        market = self._market_of(self.live.numbers)
        return market if StreamRollout.can_begin(market, self.live.actor.begin) else None

    def _segment(self, number: int) -> Segment:
        if number in self.data.registry.live:
            return self.live.segment(number)
        return super()._segment(number)

    def _market(self) -> RolloutMarket:
        """The day in which the lanes stand, the one before it, and all that came since."""
        numbers = self.live.numbers
        return self._market_of(numbers[max(0, numbers.index(self.rollout.standing) - 1) :])

    def _market_of(self, numbers: list[int]) -> RolloutMarket:
        segments = [self._segment(n) for n in numbers]
        radius = self.config.rollout.extrema_radius
        return RolloutMarket.build(segments, numbers, self._tables(numbers), radius)

    def _cnn_rows(self, number: int) -> NDArray[np.float16]:
        """Of a live day only the rows that came since are computed."""
        if number not in self.data.registry.live:
            return super()._cnn_rows(number)
        assert self.extractor is not None
        return self._live_rows.of(number, self._segment(number), self.extractor)

    # --- experience ------------------------------------------------------------------------

    @property
    def _dry(self) -> bool:
        return self.live.ended and not self.rollout.ready

    def _collect(self) -> None:
        """Decide on what was sealed; where there is nothing, hear what the stream has to say."""
        if not self.rollout.ready:
            self._hear()
        if self.rollout.ready:
            super()._collect()
        elif self.live.ended:
            self.session.display.say("the stream has ended")

    def _hear(self) -> None:
        went_on = self.live.poll()
        for number in self.live.take_changed():
            self.session.display.say(changed_text(self.data, number))
            self._let_go(number)
        if not went_on:
            return
        for number in went_on:
            self.arena.grow(number, self._load(number))
        market = self._market()
        self._sealed(market)
        self.rollout.follow(market, self.live.complete)
        held, limit = list(self.data.registry.live), self.config.train.resident_days
        for number in surplus_days(held, limit, self.rollout.standing):
            self._let_go(number)

    def _sealed(self, market: RolloutMarket) -> None:
        """The market went on, and no lane has seen it yet."""

    def _let_go(self, number: int) -> None:
        """Nothing refers to a live day any more."""
        for shard in self.shards:
            shard.evict_segment(number)
        if number in self.arena.resident:
            self.arena.evict(number)
        self._live_rows.drop(number)
        self.live.drop(number)
        self.data.registry.let_go(number)

    def _source_metrics(self) -> dict[str, float]:
        return self.live.metrics()

    # --- checkpoints -----------------------------------------------------------------------

    def _rollout_parts(self) -> dict[str, Part]:
        return {}

    def _restore(self, checkpoint: Checkpoint) -> None:
        super()._restore(checkpoint)
        for number in self._changed:
            self.session.display.say(changed_text(self.data, number))
        for shard in self.shards:
            shard.keep_segments(self.data.registry.live)

    def _restore_rollout(self, checkpoint: Checkpoint) -> None:
        """The market went on: the lanes began anew."""
        self._publish()
