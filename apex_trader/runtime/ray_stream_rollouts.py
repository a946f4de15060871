"""Rollouts on Ray that follow a live market: all of them the same one, each with its own lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from ray.exceptions import RayActorError

from actors.market import RolloutMarket
from actors.rollout import RolloutWorker
from actors.stream_rollout import StreamRollout
from apex_trader.runtime.market_data import tables_with_cnn
from apex_trader.runtime.parts import make_network
from apex_trader.runtime.ray_calls import SLICE, NotStartedError
from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_learner import Learning
from apex_trader.runtime.ray_part import NOT_STARTED
from apex_trader.runtime.ray_replay import Replay
from apex_trader.runtime.ray_rollouts import RolloutActor, Rollouts
from apex_trader.runtime.ray_segments import Market, Segments
from apex_trader.runtime.ray_stream import Stream
from apex_trader.trading.config import TradingConfig


class StreamRolloutActor(RolloutActor):
    """Takes each decision of the sealed days once; ``set_market`` gives it the market as it goes
    on, and ``start`` is False while that holds no decision to begin with."""

    def set_market(self, market: Market) -> int | str:
        """See ``StreamRollout.follow``."""
        if self._worker is None:
            return NOT_STARTED
        self._rollout.follow(self._build(market), market.complete)
        return self._index

    def run(self, seconds: float) -> dict[str, Any] | str:
        """As ``RolloutActor.run``, until nothing is left to decide on (``dry``).

        standing: registry number of the lanes' day. reached: µs, their decision.
        """
        told = super().run(seconds)
        if isinstance(told, str):
            return told
        rollout = self._rollout
        if told["steps"] == 0:
            told["metrics"] = {}
        dry = not self._pending and not rollout.ready
        reached = int(rollout.market.path.arrays.ts[rollout.simulator.rows[0]])
        return {**told, "standing": rollout.standing, "reached": reached, "dry": dry}

    @property
    def _rollout(self) -> StreamRollout:
        return cast(StreamRollout, self._worker)

    def _make(
        self, market: Market, trading: TradingConfig, actors: int, seed: int
    ) -> RolloutWorker | None:
        built, config = self._build(market), self._config
        if not StreamRollout.can_begin(built, self._agent_from):
            return None
        return StreamRollout(
            built, market.complete, make_network(config, built.tables.schema, trading),
            config.rollout, trading, config.reward, begin=self._agent_from, actor=self._index,
            actors=actors, seed=seed,
        )  # fmt: skip

    def _build(self, market: Market) -> RolloutMarket:
        segments, rows = market.load()
        tables = tables_with_cnn(segments, self._config.state.build(), rows, market.version)
        radius = self._config.rollout.extrema_radius
        return RolloutMarket.build(segments, market.numbers, tables, radius)

    def _ready(self) -> bool:
        return self._rollout.ready


@dataclass
class _Lanes:
    """Where a rollout is.

    begin: µs, where it begins when it is started. standing: number of its lanes' day, None while it
    has not begun. heard: the market that it was last given. busy: a call is under way. dry: it took
    every decision of that market.
    """

    begin: int = 0
    standing: int | None = None
    heard: Market | None = None
    busy: bool = False
    dry: bool = False


class StreamRollouts(Rollouts):
    """The driver's side: each rollout gets the market as it goes on between two slices, and rests
    where there is nothing to decide. moved: called when lanes have come further.

    One that died begins where its lanes had come to: no decision is taken twice.
    """

    ACTOR = StreamRolloutActor

    def __init__(
        self, context: RunContext, segments: Segments, replay: Replay, learning: Learning,
        stream: Stream, moved: Callable[[], None],
    ) -> None:  # fmt: skip
        super().__init__(context, segments, replay, learning)
        self._stream, self._moved = stream, moved
        self._lanes = [_Lanes() for _ in self._handles]

    @property
    def begun(self) -> bool:
        """Whether all have begun."""
        return all(lanes.standing is not None for lanes in self._lanes)

    @property
    def resting(self) -> bool:
        """Whether none has anything to do with the market as it is known."""
        return all(not s.busy and (s.dry or s.standing is None) for s in self._lanes)

    def run(self) -> None:
        """See ``Rollouts.run``."""
        self.go_on()

    def go_on(self) -> None:
        """Every rollout that is free gets what is new, or its next slice."""
        for k in range(len(self._lanes)):
            self._go_on(k)

    def _go_on(self, k: int) -> None:
        lanes, live = self._lanes[k], self._context.data.registry.live
        if lanes.busy or self._context.ending or self._name(k) in self._context.restarts.down:
            return
        if lanes.standing is not None and lanes.standing not in live:  # its day changed
            self._lanes[k] = lanes = _Lanes(begin=self._stream.begin)
        begin = lanes.begin or self._stream.begin
        if lanes.standing is None or lanes.heard is None:
            market = self._stream.to_begin(begin)
        else:
            market = self._stream.to_go_on(lanes.standing, lanes.heard)
        if market is not None and market != lanes.heard:
            self._hand(k, market, begin)
        elif lanes.standing is not None and not lanes.dry:
            self._run(k)

    def _hand(self, k: int, market: Market, begin: int) -> None:
        """Give a rollout the market as it goes on; start it where it has not begun."""
        lanes, starts = self._lanes[k], self._lanes[k].standing is None
        lanes.busy, lanes.heard = True, market

        def answer(result: int | bool) -> None:
            lanes.busy = False
            if not starts:
                lanes.dry = False
            elif result:
                lanes.standing, lanes.dry = market.numbers[0], False
                self._note_standing()
            self._go_on(k)

        def failed(error: BaseException) -> None:
            if isinstance(error, RayActorError | NotStartedError):
                self._lost(k)
            else:  # these objects went with the stream, which will hand out others
                lanes.busy = False

        call = self._start(k, market, begin) if starts else (
            self._handles[k].set_market.remote(market)
        )  # fmt: skip
        self._context.calls.fly(call, answer, failed)

    def _run(self, k: int) -> None:
        lanes = self._lanes[k]
        lanes.busy = True

        def answer(result: dict[str, Any]) -> None:
            lanes.busy, lanes.dry = False, result["dry"]
            lanes.standing, lanes.begin = result["standing"], result["reached"]
            self._count(result)
            self._note_standing()
            self._moved()
            self.go_on()

        call = self._handles[k].run.remote(SLICE)
        self._context.calls.fly(call, answer, lambda _: self._lost(k))

    def _lost(self, k: int) -> None:
        restarts, name = self._context.restarts, self._name(k)
        restarts.lost(name)
        self._lanes[k] = _Lanes(begin=self._lanes[k].begin)
        self._note_standing()
        handle = self._handles[k]
        restarts.start_again(name, handle.process.remote, lambda _: self._go_on(k))

    def _note_standing(self) -> None:
        known = [s.standing for s in self._lanes if s.standing is not None]
        self._stream.standing = min(known, default=None)
