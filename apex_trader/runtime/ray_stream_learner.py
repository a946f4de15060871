"""The learner on Ray where experience comes from a live market."""

from __future__ import annotations

import numpy as np
import ray
from ray.exceptions import RayError

from apex_trader.experience import Sample
from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_learner import LearnerActor, Learning
from apex_trader.runtime.ray_loader import GoneError, SegmentLoader
from apex_trader.runtime.ray_part import NOT_STARTED, Handle, Ref
from apex_trader.runtime.ray_replay import Replay
from apex_trader.runtime.ray_segments import Segments
from apex_trader.runtime.ray_stream import LiveDays, Stream
from learner.arena import Loaded, UnknownRowError

#: Seconds in which a stream is open again that has a long history.
RESTART_LIMIT = 600.0


class LiveLoader(SegmentLoader):
    """Brings live days: from what the stream handed out, or, where that is lost, from it itself."""

    def __init__(self, stream: Handle, days: LiveDays) -> None:
        super().__init__(stream, Stream.PART, days.extractor, RESTART_LIMIT)
        self._refs: dict[int, tuple[Ref, Ref]] = {}
        self._days = LiveDays()
        self._note(days)

    def follow(self, days: LiveDays) -> dict[int, Loaded]:
        """Take up what is known now; the days that went on or have other CNN rows, by number.

        RayError when these went with the stream: it will hand them out again.
        """
        news = [n for n, refs in _by_number(days).items() if self._refs.get(n) != refs]
        grown = {n: _load(days, n) for n in news}
        self._note(days)
        return grown

    def load(self, number: int) -> Loaded:
        """See ``SegmentLoader.load``."""
        if number in self._refs:
            try:
                return _load(self._days, number)
            except RayError:
                self._refs.clear()  # the stream died, and everything that it owned
        return super().load(number)

    def refers_to_gone(self, sample: Sample) -> bool:
        """Whether a batch, drawn before days were let go, needs one of them."""
        return bool(np.isin(sample.transitions.segment, list(self._days.gone)).any())

    def _note(self, days: LiveDays) -> None:
        self._days, self._refs = days, _by_number(days)
        self.swap_extractor(days.extractor)


class StreamLearnerActor(LearnerActor):
    """Rewrites the arena's slot of a day that went on, and forgets days that are gone."""

    _loader: LiveLoader
    _waiting: Sample | None = None

    def follow(self, days: LiveDays) -> tuple[int, bool] | str:
        """Days went on, came or went, or have another extractor's rows.

        Answers (updates, whether the extractor is another one).
        """
        if self._learner is None:
            return NOT_STARTED
        try:
            grown = self._loader.follow(days)
        except RayError:
            return int(self._learner.updates), False
        arena, version = self._arena, days.market.version
        swapped = version is not None and arena.extractor not in (None, version)
        for number in arena.resident:
            if number in days.gone or swapped:
                arena.evict(number)
        if swapped:
            assert version is not None
            arena.swap_cnn(version, self._cnn_rows)
        for number, loaded in grown.items():
            arena.grow(number, loaded)
        return int(self._learner.updates), swapped

    def _load(self, number: int) -> Loaded:
        loaded = super()._load(number)
        self._arena.grow(number, loaded)  # it may have gone on since it was last here
        return loaded

    def _take(self, sample: Sample) -> bool:
        """A batch with decisions that are not known yet waits: news of them are on their way behind
        this slice. If they do not bring them, they went with the stream, and the batch goes too."""
        waited, self._waiting = self._waiting is sample, None
        if self._loader.refers_to_gone(sample):
            return True
        try:
            return super()._take(sample)
        except GoneError:
            return True  # it was let go a moment ago
        except UnknownRowError:
            if waited:
                return True
            self._waiting = sample
            self._ready.appendleft(sample)
            return False


class StreamLearning(Learning):
    """The driver's side."""

    ACTOR = StreamLearnerActor

    def __init__(
        self, context: RunContext, segments: Segments, replay: Replay, stream: Stream
    ) -> None:
        super().__init__(context, segments, replay)
        self._stream = stream

    def follow(self) -> None:
        """Tell it of the days as they stand."""

        def answer(result: tuple[int, bool]) -> None:
            updates, swapped = result
            if swapped:
                self._swapped(updates)

        self._context.calls.fly(self._handle.follow.remote(self._stream.days), answer)

    def _make_loader(self) -> SegmentLoader:
        return LiveLoader(self._stream.handle, self._stream.days)


def _by_number(days: LiveDays) -> dict[int, tuple[Ref, Ref]]:
    market = days.market
    rows = market.cnn or (None,) * len(market.numbers)
    return dict(zip(market.numbers, zip(market.segments, rows, strict=True), strict=True))


def _load(days: LiveDays, number: int) -> Loaded:
    segment, rows = _by_number(days)[number]
    return Loaded(ray.get(segment), None if rows is None else ray.get(rows), days.market.version)
