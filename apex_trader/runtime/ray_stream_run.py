"""A run on Ray whose experience comes from a live market."""

from __future__ import annotations

from apex_trader.errors import ApexError
from apex_trader.runtime.config import Config
from apex_trader.runtime.live_feed import OpenFeed, open_live_feed
from apex_trader.runtime.live_market import NEVER_BEGAN, surplus_days
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.ray_cluster import RayRun
from apex_trader.runtime.ray_stream import Stream
from apex_trader.runtime.ray_stream_learner import StreamLearning
from apex_trader.runtime.ray_stream_rollouts import StreamRollouts
from apex_trader.runtime.rhythm import Budget
from apex_trader.runtime.session import Session

#: Slices of the learner's loop without anything to learn from, after which it has learned
#: everything that there is: the first may have begun before the last experience came.
STALLED = 2


class RayStreamRun(RayRun):
    """As ``RayRun``, but the rollouts follow a stream. See ``StreamRun`` for the rules, and for the
    same in one process.

    The stream's part hears the feed and hands out references to the days; what each of the other
    parts is told goes through the driver, without the data.
    """

    rollouts: StreamRollouts
    learning: StreamLearning

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
        self.stream: Stream | None = None
        self._held: list[int] = []
        self._dry = False

    def _make_experience(self) -> None:
        context = self.context
        stream = self.stream = Stream(context, self.segments, self._open_feed, self._follow)
        self.learning = StreamLearning(context, self.segments, self.replay, stream)
        self.rollouts = StreamRollouts(
            context, self.segments, self.replay, self.learning, stream, self._let_go
        )

    def _start_experience(self) -> None:
        """Waits for the first decision that can be taken."""
        assert self.stream is not None
        context = self.context
        self.segments.build(context.data.evaluation_numbers())
        self.stream.start()
        self.replay.start()
        self.learning.start()
        context.session.display.say("waiting for the first sealed part of the live market")
        self.stream.hear()
        while not self.rollouts.begun:
            if self.stream.ended and self.rollouts.resting:
                raise ApexError(NEVER_BEGAN)
            context.calls.poll()
            context.restarts.pulse()

    def _begin_loops(self) -> None:
        assert self.stream is not None
        super()._begin_loops()
        self.stream.hear()

    def _follow(self) -> None:
        """The market went on: every part gets what it needs of that."""
        self._let_go()
        self.learning.follow()
        self.rollouts.go_on()

    def _let_go(self) -> None:
        """Old days go where there are too many; shards take experience of the others alone."""
        assert self.stream is not None
        held, standing = self.context.current, self.stream.standing
        if standing is not None:
            surplus = surplus_days(held, self.context.resident, standing)
            if surplus:
                self.stream.let_go(surplus)
                self.learning.follow()
        if self.context.current != self._held:
            self._held = self.context.current
            self.replay.set_active()
        self.stream.hear()

    def _supply(self) -> None:
        """The stream's next news bring the rows of the new extractor."""
        assert self.stream is not None
        self.stream.hear()
        self.evaluation.supply()

    def _over(self, budget: Budget) -> bool:
        """Also where a stream has ended, and everything was learned that it brought."""
        assert self.stream is not None
        if super()._over(budget):
            return True
        dry = self.stream.ended and self.rollouts.resting
        if dry and not self._dry:
            self.learning.stalled = 0
            self.context.session.display.say("the stream has ended")
        self._dry = dry
        return dry and self.learning.stalled >= STALLED

    def _source_metrics(self) -> dict[str, float]:
        assert self.stream is not None
        return self.stream.metrics

    def _close(self) -> None:
        if self.stream is not None:
            self.stream.close()
