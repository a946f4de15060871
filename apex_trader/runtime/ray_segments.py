"""The run's market on Ray: one part builds segments and CNN rows, all others share references."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import CnnRows, MarketData
from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_part import Part, Ref
from apex_trader.runtime.ray_resources import HELPER_CPUS
from apex_trader.runtime.rotation import training_days
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.segment import Segment


@dataclass(frozen=True)
class Market:
    """Segments as references into the object store: what actors are given instead of data.

    numbers: registry numbers. segments, cnn: one reference each (cnn empty without CNN blocks).
    version: of the extractor that made the CNN rows. complete: the last day is over, as all are
    that do not come live.
    """

    numbers: tuple[int, ...]
    segments: tuple[Ref, ...]
    cnn: tuple[Ref, ...]
    version: str | None
    complete: bool = True

    def load(self) -> tuple[list[Segment], list[NDArray[np.float16] | None]]:
        """The segments and their CNN rows; arrays are views of the object store."""
        segments = ray.get(list(self.segments))
        rows = ray.get(list(self.cnn)) if self.cnn else [None] * len(segments)
        return segments, rows


class SegmentServer(Part):
    """Builds segments and CNN rows once and hands out references to them.

    It needs no ``start``: what it had built is built again when it is asked for.
    keep: how many of each stay in the object store; the least recently asked for goes first.
    """

    def __init__(self, config: Config, folder: str, keep: int) -> None:
        super().__init__(config)
        self._data = MarketData(config, RunFolder(folder))
        self._keep = keep
        self._segments: OrderedDict[int, Ref] = OrderedDict()
        self._rows: OrderedDict[tuple[str, int], Ref] = OrderedDict()
        self._extractor: FrozenExtractor | None = None

    def market(self, numbers: Sequence[int], extractor: Sequence[Ref]) -> Market:
        """References to segments and, when ``extractor`` holds one, to their CNN rows.

        extractor: [reference to a FrozenExtractor's state_dict] or [].
        """
        if extractor:
            self._adopt(extractor[0])
        segments = tuple(self._segment(n) for n in numbers)
        if not extractor:
            return Market(tuple(numbers), segments, (), None)
        assert self._extractor is not None
        rows = tuple(self._cnn(n) for n in numbers)
        return Market(tuple(numbers), segments, rows, self._extractor.version)

    def keys(self) -> dict[str, Any]:
        """The registry's state: days and content keys so far."""
        return self._data.registry.state_dict()

    def _adopt(self, reference: Ref) -> None:
        state = ray.get(reference)
        if self._extractor is None or self._extractor.version != state["version"]:
            self._extractor = FrozenExtractor.from_state(state, self._data.schema)
            self._rows.clear()

    def _segment(self, number: int) -> Ref:
        if number not in self._segments:
            self._segments[number] = ray.put(self._data.segment(number))
        return self._recent(self._segments, number)

    def _cnn(self, number: int) -> Ref:
        assert self._extractor is not None
        key = (self._extractor.version, number)
        if key not in self._rows:
            segment = ray.get(self._segment(number))
            self._rows[key] = ray.put(CnnRows(self._extractor).of(segment))
        return self._recent(self._rows, key)

    def _recent(self, cache: OrderedDict[Any, Ref], key: Any) -> Ref:
        cache.move_to_end(key)
        while len(cache) > self._keep:
            cache.popitem(last=False)
        return cache[key]


class Segments:
    """The driver's side: asks for segments, with the CNN rows of the present extractor.

    extractor: [reference to its state_dict], or [] without CNN blocks. version: its own.
    """

    PART = "segment server"

    def __init__(self, context: RunContext) -> None:
        self._context, data = context, context.data
        self.extractor: list[Ref] = []
        self.version: str | None = None
        #: Numbers of the training days on which the weights are judged too.
        self.training = training_days(context.config, data)
        others = len(data.periods.extractor) + len(self.judged_numbers)
        self.handle = context.make(
            SegmentServer, context.config, str(context.session.folder.path.absolute()),
            len(context.active.current) + others + 2, cpus=HELPER_CPUS, here=True,
        )  # fmt: skip
        context.restarts.watch(self.PART, self.handle)

    def adopt(self, state: dict[str, Any]) -> None:
        """Give out the rows of this extractor (its ``state_dict``) from now on."""
        frozen = FrozenExtractor.from_state(state, self._context.data.schema)
        self._context.session.store_extractor(frozen)
        self.version, self.extractor = frozen.version, [ray.put(state)]

    def ask(self, numbers: Sequence[int]) -> Ref:
        """A ``Market`` of segments, to come."""
        return self.handle.market.remote(list(numbers), self.extractor)

    def active(self) -> Ref:
        """That of the active days."""
        return self.ask(self._context.active.current)

    @property
    def judged_numbers(self) -> list[int]:
        """Numbers of the days on which the weights are judged: ``training``, then validation's."""
        return [*self.training, *self._context.data.evaluation_numbers()]

    def judged(self) -> Ref:
        """That of the days on which the weights are judged."""
        return self.ask(self.judged_numbers)

    def keys(self) -> Ref:
        """The registry's state, to come."""
        return self.handle.keys.remote()

    def build(self, numbers: Sequence[int]) -> Market:
        """Wait for segments, one after another, so that progress shows and none takes all the
        time."""
        display, calls = self._context.session.display, self._context.calls
        display.phase("building market segments", len(numbers))
        for done, number in enumerate(numbers, start=1):
            calls.wait(self.ask([number]))
            display.advance(done)
        market: Market = calls.wait(self.ask(numbers))
        return market
