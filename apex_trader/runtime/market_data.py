"""The run's market: its store, its days, and the segments built from them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.market.fills import FillConfig
from apex_trader.market.history import StoreSource
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.market.synthetic import synthesize
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.config import Config
from apex_trader.runtime.periods import Periods, split_days
from apex_trader.runtime.registry import SegmentRegistry
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment
from apex_trader.time import day_start, format_date

#: Built segments kept in memory beside the ones that others hold, unless told otherwise.
KEPT = 8

#: A span (µs) without an end on either side.
EVER = (0, 2**62)

Say = Callable[[str], None]


def store_url(config: Config, folder: RunFolder) -> str:
    """The market store of a run: the configured one, or the run's own for a synthetic market."""
    return str(folder.path / "market") if config.market.synthetic else config.market.store


def prepare_store(config: Config, folder: RunFolder, say: Say = print) -> None:
    """Write the run's synthetic market unless it is there; check that a real store is."""
    store = MarketStore(store_url(config, folder))
    if config.market.synthetic and config.market.primary not in store.markets():
        say(f"writing the synthetic market {config.market.synthetic} …")
        synthesize(
            config.market.synthetic, store, seed=config.seed, **dict(config.market.parameters)
        )
        folder.write_json(_origin(folder), _wanted(config))
    _check_origin(config, folder)
    known = store.markets()
    for market in filter(None, (config.market.primary, config.market.reference)):
        if market not in known:
            have = f"it holds {', '.join(known)}" if known else "it is empty or not there"
            raise ApexError(
                f"market store {store_url(config, folder)} has no {market}: {have}. Fill it with "
                "`python -m apex_trader.data import FILE… --store DIR`, or set market.store, "
                "market.primary and market.reference"
            )


def _origin(folder: RunFolder) -> Path:
    """What the run's own synthetic market was made from."""
    return folder.path / "market" / "origin.json"


def _wanted(config: Config) -> dict[str, Any]:
    market = config.market
    return {"generator": market.synthetic, "seed": config.seed, "parameters": market.parameters}


def _check_origin(config: Config, folder: RunFolder) -> None:
    """ApexError when the run's own market was made by another generator, seed or parameters."""
    if not config.market.synthetic or not _origin(folder).exists():
        return
    made = folder.read_json(_origin(folder))
    if made != _wanted(config):
        raise ApexError(
            f"{folder.path / 'market'} holds another synthetic market: {_describe(made)}; now "
            f"{_describe(_wanted(config))} is asked for. Choose another hydra.run.dir, or remove "
            "that folder"
        )


class MarketData:
    """Builds the segments of a run by their registry number, and keeps the latest few.

    Nothing here is random: another process that makes one from the same configuration and store
    builds the same segments, bit for bit. span: (from, to) in µs, for a backtest of a period of its
    own; otherwise the configuration divides the days.
    """

    def __init__(
        self, config: Config, folder: RunFolder, span: tuple[int, int] | None = None
    ) -> None:
        self.config = config
        self.schema = config.state.build()
        store = MarketStore(store_url(config, folder))
        primary = StoreSource(store, config.market.primary)
        reference = StoreSource(store, config.market.reference) if config.market.reference else None
        self.info: MarketInfo = primary.info
        self.reference_info: MarketInfo | None = reference.info if reference is not None else None
        fills = FillConfig(
            latency=config.execution.micros("latency"),
            max_fill_wait=config.execution.micros("max_fill_wait"),
            bar_fill=config.execution.bar_fill,
        )
        self.builder = SegmentBuilder(self.schema, primary, reference, fills)
        self.periods: Periods = self._periods(span)
        self.registry = SegmentRegistry(self.periods.all)
        self.trading = config.trading.for_market(self.info)
        #: Built segments kept in memory; the least recently used goes first.
        self.kept = KEPT
        self._segments: OrderedDict[int, Segment] = OrderedDict()

    def _periods(self, span: tuple[int, int] | None) -> Periods:
        """The configured division, or the days of a span alone, all of them test days."""
        days = self.builder.days()
        if span is None:
            return split_days(days, self.config.periods, max(self.schema.horizons))
        start, end = span
        chosen = tuple(d for d in days if day_start(start) <= d < end)
        if not chosen:
            raise ApexError(
                f"no day can be judged {_span_text(start, end)}: states of {self.info.market} can "
                f"be built for {format_date(days[0])} to {format_date(days[-1])} "
                f"({len(days)} days)"
            )
        return Periods((), (), (), chosen, 0)

    def numbers(self, days: Sequence[int]) -> list[int]:
        """Registry numbers of days."""
        return [self.registry.number(day) for day in days]

    def evaluation_numbers(self) -> list[int]:
        """Registry numbers of the validation days that greedy runs use, evenly spread."""
        numbers = self.numbers(self.periods.validation)
        limit = self.config.train.evaluate_days
        if limit == 0 or len(numbers) <= limit:
            return numbers
        places = np.linspace(0, len(numbers) - 1, limit).round().astype(int)
        return [numbers[i] for i in places]

    def segment(self, number: int) -> Segment:
        """A segment by its number. Raises MismatchError when its content changed in the run."""
        if number not in self._segments:
            segment = self.builder.build(self.registry.days[number])
            self.registry.record(number, segment.key)
            self._segments[number] = segment
        self._segments.move_to_end(number)
        while len(self._segments) > self.kept:
            self._segments.popitem(last=False)
        return self._segments[number]

    def passing(self, numbers: Sequence[int]) -> Iterator[Segment]:
        """Segments by number, in time order, built one after another; none is kept here, and those
        that were go first. MismatchError as in ``segment``."""
        self._segments.clear()
        for number in sorted(numbers, key=lambda n: self.registry.days[n]):
            segment = self.builder.build(self.registry.days[number])
            self.registry.record(number, segment.key)
            yield segment

    def notes(self) -> list[str]:
        """What a reader of this market's results must know."""
        notes = []
        if self.info.synthetic is not None:
            made = _made_from(self.info.synthetic)
            notes.append(f"Synthetic market, not a real one: {made}.")
        reference = self.reference_info
        if reference is not None and reference.synthetic is not None:
            made = _made_from(reference.synthetic)
            notes.append(f"The reference {reference.market} is synthetic, not a real one: {made}.")
        if self.info.lookback is not None:
            back = self.info.lookback
            notes.append(
                f"Look-back before {self.info.market}'s own data comes from {back.market}, shifted "
                f"by a basis of {back.basis * 1e4:+.1f} bp."
            )
        if self.info.instrument == "spot" and self.trading.instrument == "perpetual":
            notes.append(
                f"{self.info.market} is a spot market, traded here as a perpetual: long and short, "
                "without funding payments."
            )
        if self.config.execution.bar_fill == "this_open":
            notes.append("Optimistic fills: orders trade at the decision's own price (this_open).")
        return notes


def _span_text(start: int, end: int) -> str:
    if end == EVER[1]:
        return f"from {format_date(start)} on"
    before = f"before {format_date(end)}"
    return f"from {format_date(start)} to {before}" if start > EVER[0] else before


def _made_from(synthetic: Mapping[str, Any]) -> str:
    """Generator, seed and origin of a synthetic market's label."""
    return _describe({k: synthetic.get(k) for k in ("generator", "seed", "source", "start")})


def _describe(synthetic: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in dict(synthetic).items() if v is not None)


@dataclass(frozen=True)
class CnnRows:
    """CNN rows of segments for one extractor: float16 [n, 2, 528] a segment, or None without."""

    extractor: FrozenExtractor | None

    @property
    def version(self) -> str | None:
        """The extractor's version."""
        return self.extractor.version if self.extractor is not None else None

    def of(self, segment: Segment) -> NDArray[np.float16] | None:
        """Rows of one segment, computed; NaN in stretches where nothing can be decided."""
        return None if self.extractor is None else self.extractor.segment_rows(segment)


def tables_with_cnn(
    segments: Sequence[Segment],
    schema: Schema,
    rows: Iterable[NDArray[np.float16] | None],
    version: str | None,
) -> MarketTables:
    """Tables of segments in the given order, their CNN rows attached, one segment's at a time."""
    tables = MarketTables.from_segments(list(segments), schema)
    if version is not None:
        for first, part in zip(tables.first_row, rows, strict=True):
            assert part is not None
            tables.write_cnn(first, part, version)
    return tables


def day_tables(
    segment: Segment, schema: Schema, extractor: FrozenExtractor | None, pool: Executor
) -> MarketTables:
    """Tables of one segment, CNN rows where something can be decided; computed in ``pool``."""
    tables = MarketTables.from_segments([segment], schema)
    if extractor is not None:
        wanted = segment.decisions.decidable
        rows = extractor.rows(tables, 0, segment.rows, wanted=wanted, pool=pool)
        tables.write_cnn(0, rows, extractor.version)
    return tables
