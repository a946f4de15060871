"""What a state is made of: blocks of columns on clocks, their windows and their mirrors.

A state is the concatenation of its blocks' windows, oldest row first, row-major
(row, then column). The blocks and columns are those of the feature reference in docs/features.md.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ConfigError
from apex_trader.time import CLOCKS, MINUTE, SECOND

#: Every column is clipped to ±CLIP as a guard.
CLIP = 5.0
#: Raised whenever a formula or a constant of a column changes: it is part of every schema's
#: fingerprint, so what was computed or trained with another one is refused.
FEATURES_VERSION = 3
#: Account features appended by the simulator, see ``apex_trader.trading.account``.
ACCOUNT_SIZE = 8
HIDDEN_SIZE = 512
HORIZONS = 4
PREDICTION_COLUMNS = ("direction", "confidence", "magnitude", "volatility")
PIVOT_LEVELS = 5
PIVOT_MEMORY = 8
PIVOT_WIDTH = 50

#: What a data source may lack; a column names the one that it needs.
CAPABILITIES = ("trades", "sides", "taker_volume", "reference")


@dataclass(frozen=True)
class Column:
    """One column of a block.

    sign and partner are its mirror: in the market turned upside down (log prices negated) the
    column holds ``sign * partner``'s value, where partner is its own name unless it swaps.
    anchored: the table holds a log price relative to the segment's base, and the gather makes it
    ``(value - anchor(t)) * scale``; scale is that of the clock at t, or of the row (pivots).
    needs: the capability without which the source cannot provide it, or None.
    """

    name: str
    sign: int = 1
    partner: str = ""
    anchored: bool = False
    needs: str | None = None


@dataclass(frozen=True)
class Block:
    """Windows of ``window`` rows of one table on one clock.

    clock: key of CLOCKS, or "decision" for tables with one row a decision.
    symbol: "primary" or "reference": whose price anchors the anchored columns.
    Anchored columns come first.
    """

    name: str
    clock: str
    window: int
    columns: tuple[Column, ...]
    symbol: str = "primary"

    @property
    def width(self) -> int:
        """Columns of a row."""
        return len(self.columns)

    @property
    def size(self) -> int:
        """Features it adds to the state: window × width."""
        return self.window * self.width

    @property
    def anchored(self) -> int:
        """How many of the leading columns are anchored."""
        return sum(column.anchored for column in self.columns)

    @property
    def row_scaled(self) -> bool:
        """Whether each row scales its own anchored columns, not the clock's σ at t."""
        return self.name == "pivots"

    @cached_property
    def mirror(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(index [width], sign [width]): mirrored row = row[index] * sign."""
        place = {column.name: i for i, column in enumerate(self.columns)}
        index = np.array([place[c.partner or c.name] for c in self.columns], np.int64)
        return index, np.array([c.sign for c in self.columns], np.float32)


def _even(*names: str, needs: str | None = None) -> tuple[Column, ...]:
    return tuple(Column(name, needs=needs) for name in names)


def _odd(*names: str, anchored: bool = False, needs: str | None = None) -> tuple[Column, ...]:
    return tuple(Column(name, sign=-1, anchored=anchored, needs=needs) for name in names)


TICK_COLUMNS = (
    *_odd("price", anchored=True, needs="trades"),
    *_odd("close_vwap", needs="trades"),
    *_even("range", "volume"),
    *_even("arrival_dispersion", needs="trades"),
    *_odd("count_imbalance", needs="sides"),
    *_even("count", "largest", needs="trades"),
    *_even("impact", "toxicity", needs="sides"),
)
PRIMARY_COLUMNS = (
    *_odd("open", anchored=True),
    Column("high", sign=-1, partner="low", anchored=True),
    Column("low", sign=-1, partner="high", anchored=True),
    *_odd("close", anchored=True),
    *_odd("return"),
    *_even("volume"),
    *_odd("taker_imbalance", needs="taker_volume"),
    *_odd("stretch"),
)
REFERENCE_COLUMNS = (
    *_odd("close", anchored=True, needs="reference"),
    *_even("correlation", needs="reference"),
)


def _pivot_columns() -> tuple[Column, ...]:
    """250 columns. The 45 anchored ones lead: 40 pivot prices, then 5 positions in range.

    A position in range is ``(p_t - middle) / half range``, which is an anchored column with the
    negative inverse half range as its row scale.
    """
    levels = range(1, PIVOT_LEVELS + 1)
    slots = range(1, PIVOT_MEMORY + 1)
    prices = [f"l{k}_p{i}_price" for k in levels for i in slots]
    ranges = [f"l{k}_range_position" for k in levels]
    columns = [Column(name, sign=-1, anchored=True) for name in prices + ranges]
    for k in levels:
        for i in slots:
            columns += _odd(f"l{k}_p{i}_type")
            columns += _even(f"l{k}_p{i}_age", f"l{k}_p{i}_delay")
            columns += _odd(f"l{k}_p{i}_swing")
        for name, partner in (
            ("higher_high", "lower_low"),
            ("higher_low", "lower_high"),
            ("lower_high", "higher_low"),
            ("lower_low", "higher_high"),
        ):
            columns.append(Column(f"l{k}_{name}", partner=f"l{k}_{partner}"))
        columns += _odd(f"l{k}_trend")
        columns += _even(f"l{k}_trend_strength")
        columns += _odd(f"l{k}_break")
        columns.append(Column(f"l{k}_since_high", partner=f"l{k}_since_low"))
        columns.append(Column(f"l{k}_since_low", partner=f"l{k}_since_high"))
    return tuple(columns)


PIVOT_COLUMNS = _pivot_columns()
REGIME_COLUMNS = (
    *_even("rv_5m_1h", "rv_1h_1d", "rv_1d_30d", "rv_1h_percentile", "rogers_satchell"),
    *_even("jump_share", "efficiency"),
    *_odd("signed_efficiency"),
    *_even("adx"),
    *_odd("directional"),
    *_even("choppiness", "variance_ratio", "autocorrelation"),
    *_odd("slope_t"),
    Column("from_high", sign=-1, partner="from_low"),
    Column("from_low", sign=-1, partner="from_high"),
    *_odd("skewness"),
    *_even("volume_of_hour"),
    *_even("reference_correlation", needs="reference"),
    *_odd("reference_residual", needs="reference"),
)
#: Hidden features of the mirrored market are table rows of their own, so no mirror is declared
#: for the CNN blocks: index is the identity and sign +1, and the gather takes the other row.
HIDDEN_COLUMNS = _even(*(f"h{i}" for i in range(HIDDEN_SIZE)))
PREDICTION_NAMES = _even(
    *(f"t{h}_{name}" for h in range(1, HORIZONS + 1) for name in PREDICTION_COLUMNS)
)


def window_blocks(clock: str, rows: int) -> tuple[Block, ...]:
    """The primary's and the reference's bar windows of one clock."""
    return (
        Block(f"primary_{clock}", clock, rows, PRIMARY_COLUMNS),
        Block(f"reference_{clock}", clock, rows, REFERENCE_COLUMNS, symbol="reference"),
    )


@dataclass(frozen=True)
class Schema:
    """The blocks of a state, in order, and the clock of its decisions.

    decision_interval in microseconds. horizons: the CNN's four prediction horizons, microseconds.
    max_gap: a gap of the fast clock longer than this (microseconds) ends an episode.
    min_coverage: share of a block's rows that must be there for a decision.
    """

    name: str
    decision_interval: int
    blocks: tuple[Block, ...]
    horizons: tuple[int, ...]
    max_gap: int
    min_coverage: float = 0.9
    columns: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = [
            f"{b.name}[{row - b.window}].{c.name}"
            for b in self.blocks
            for row in range(b.window)
            for c in b.columns
        ]
        object.__setattr__(self, "columns", tuple(names))

    @cached_property
    def market_size(self) -> int:
        """Features of the market part of a state (15,798 for eth_full)."""
        return sum(block.size for block in self.blocks)

    @cached_property
    def offsets(self) -> dict[str, slice]:
        """Where each block lies in the state."""
        out, start = {}, 0
        for block in self.blocks:
            out[block.name] = slice(start, start + block.size)
            start += block.size
        return out

    @cached_property
    def clocks(self) -> tuple[str, ...]:
        """The bar clocks in use, finest first."""
        used = {b.clock for b in self.blocks if b.clock in CLOCKS}
        return tuple(sorted(used, key=CLOCKS.__getitem__))

    @property
    def fast_clock(self) -> str:
        """The finest clock: its windows do not cross a gap."""
        return self.clocks[0]

    def block(self, name: str) -> Block:
        """The block of that name; KeyError when the schema has none."""
        for block in self.blocks:
            if block.name == name:
                return block
        raise KeyError(name)

    def has(self, name: str) -> bool:
        """Whether a block of that name is part of the state."""
        return any(block.name == name for block in self.blocks)

    def without(self, *names: str) -> Schema:
        """The same schema less some blocks (for ablations)."""
        for name in names:
            if not self.has(name):
                raise ConfigError(
                    "state.without", name, "one of " + ", ".join(b.name for b in self.blocks)
                )
        kept = tuple(b for b in self.blocks if b.name not in names)
        return Schema(
            f"{self.name}-{'-'.join(names)}", self.decision_interval, kept, self.horizons,
            self.max_gap, self.min_coverage,
        )  # fmt: skip

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of everything that gives a feature its meaning."""
        payload = asdict(self)
        payload.pop("columns")
        payload["features"] = FEATURES_VERSION
        text = json.dumps(payload, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _cnn_blocks() -> tuple[Block, ...]:
    return (
        Block("cnn_hidden", "decision", 1, HIDDEN_COLUMNS),
        Block("cnn_predictions", "decision", 1, PREDICTION_NAMES),
    )


def _structure_blocks() -> tuple[Block, ...]:
    return (Block("pivots", "1m", 1, PIVOT_COLUMNS), Block("regime", "1m", 1, REGIME_COLUMNS))


def _bar_blocks(clocks: tuple[str, ...], rows: int) -> tuple[Block, ...]:
    pairs = [window_blocks(clock, rows) for clock in clocks]
    return tuple(p for p, _ in pairs) + tuple(r for _, r in pairs)


def eth_full(rows: int = 300) -> Schema:
    """Seconds to days; decides every 5 s. 15,798 market features at 300 rows a window."""
    blocks = (
        Block("ticks", "1s", rows, TICK_COLUMNS),
        *_bar_blocks(("1s", "1m", "1h", "1d"), rows),
        *_cnn_blocks(),
        *_structure_blocks(),
    )
    horizons = (30 * SECOND, 5 * MINUTE, 60 * MINUTE, 240 * MINUTE)
    return Schema("eth_full", 5 * SECOND, blocks, horizons, max_gap=60 * SECOND)


def eth_minutes(rows: int = 300) -> Schema:
    """Minutes to days; decides every minute. 9,798 market features at 300 rows a window."""
    blocks = (*_bar_blocks(("1m", "1h", "1d"), rows), *_cnn_blocks(), *_structure_blocks())
    horizons = (5 * MINUTE, 15 * MINUTE, 60 * MINUTE, 240 * MINUTE)
    return Schema("eth_minutes", 60 * SECOND, blocks, horizons, max_gap=10 * MINUTE)


SCHEMAS = {"eth_full": eth_full, "eth_minutes": eth_minutes}
