"""Importing data files into a store: every file is checked, and all of a call appear or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError, ConfigError, DataError
from apex_trader.market.archive import archive_parts
from apex_trader.market.checks import check
from apex_trader.market.kinds import KINDS, Data
from apex_trader.market.lookback import discover_lookbacks
from apex_trader.market.naming import FileName, parse_name
from apex_trader.market.plain import read_plain
from apex_trader.market.source import LookbackSource
from apex_trader.market.store import MarketStore
from apex_trader.market.transaction import Transaction, WriteSummary
from apex_trader.market.types import Bars, Funding, Trades
from apex_trader.time import MINUTE, format_time

PERPETUAL_EXCHANGES = ("binanceusdm", "binancecoinm", "krakenfutures", "kucoinfutures")
#: A price this many times above or below the market's own bar of that time is another symbol's.
FAR = 1.25
#: Values that no decimal grid up to this many places holds have none (they were computed).
DECIMALS = 8


@dataclass(frozen=True)
class ImportOptions:
    """What the caller says about the files; None: from the file's name, or inferred.

    exchange, symbol, kind: of every file. instrument: "spot" or "perpetual". tick_size, lot_size,
    min_notional: of every market imported; tick and lot are otherwise the smallest decimal grid
    seen. replace: the files' rows take the place of the store's for the time that they cover.
    covers: [start, end) µs that each file speaks for, when it is more than first to last row.
    """

    exchange: str | None = None
    symbol: str | None = None
    kind: str | None = None
    instrument: Literal["spot", "perpetual"] | None = None
    tick_size: float | None = None
    lot_size: float | None = None
    min_notional: float | None = None
    replace: bool = False
    covers: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size", "min_notional"):
            value = getattr(self, name)
            least = 0.0 if name == "min_notional" else np.nextafter(0.0, 1.0)
            if value is not None and not least <= value < np.inf:
                raise ConfigError(name, value, "a positive number")
        if self.covers is not None and self.covers[0] >= self.covers[1]:
            raise ConfigError("covers", self.covers, "a start before its end")


@dataclass(frozen=True)
class ImportSummary:
    """What an import did: one summary a file, remarks, and look-backs found (None: no overlap)."""

    files: dict[str, WriteSummary]
    remarks: list[str]
    lookbacks: dict[str, LookbackSource | None] = field(default_factory=dict)


def import_files(
    store: MarketStore,
    paths: Sequence[str],
    options: ImportOptions | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> ImportSummary:
    """Import data files; ``progress`` is called with each file's name once it is done.

    Raises DataError or ApexError on the first flaw, and then the store is as it was.
    """
    options = options or ImportOptions()
    names = [(path, _parse_name(path, options)) for path in files_of(paths)]
    summaries: dict[str, WriteSummary] = {}
    remarks: list[str] = []
    with store.transaction() as transaction:
        for path, name in names:
            summaries[path] = _import_one(store, transaction, path, name, options, remarks)
            progress(path)
    return ImportSummary(summaries, remarks, discover_lookbacks(store))


def files_of(paths: Sequence[str]) -> list[str]:
    """The files themselves, and in place of a folder the data files in it."""
    out: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            inside = sorted(str(p) for p in Path(path).iterdir() if p.suffix in _SUFFIXES)
            if not inside:
                raise ApexError(f"{path}: no .parquet, .zip or .csv files in this folder")
            out += inside
        else:
            out.append(path)
    return out


_SUFFIXES = (".parquet", ".zip", ".csv")


def decimal_step(values: NDArray[np.float64]) -> float | None:
    """The smallest decimal step (1, 0.1, … 1e-8) whose multiples all values are, or None."""
    rest = values
    for places in range(DECIMALS + 1):
        scaled = rest * 10.0**places
        # A parsed decimal is off by a rounding or two.
        off = np.abs(scaled - np.rint(scaled)) > 1e-12 + np.abs(scaled) * 1e-15
        if not off.any():
            return float(f"1e-{places}")
        rest = rest[off]
    return None


def _parse_name(path: str, options: ImportOptions) -> FileName:
    return parse_name(path, options.exchange, options.symbol, options.kind)


def import_archive(
    store: MarketStore, transaction: Transaction, path: str, name: FileName, options: ImportOptions
) -> WriteSummary:
    """Write an archive file's rows, a day at a time where a day is a partition."""
    origin = Path(path).name
    if options.covers is not None:
        raise ApexError(f"{origin}: an archive file's name says what it covers: drop --covers")
    summaries = [
        import_rows(
            store, transaction, name.market, part.rows, options, origin=origin,
            covered=part.covered, row_offset=part.offset,
        )
        for part in archive_parts(path, name)
    ]  # fmt: skip
    first, last = summaries[0], summaries[-1]
    rows, new_rows = sum(s.rows for s in summaries), sum(s.new_rows for s in summaries)
    covered = (first.covered[0], last.covered[1])
    return WriteSummary(name.market, name.kind, rows, new_rows, covered)


def import_rows(
    store: MarketStore,
    transaction: Transaction,
    market: str,
    data: Data,
    options: ImportOptions,
    *,
    origin: str,
    covered: tuple[int, int] | None = None,
    row_offset: int = 0,
) -> WriteSummary:
    """Write rows of a real market, and learn what they tell about it.

    Raises DataError on impossible or contradicting rows and on those of another symbol.
    """
    _refuse_synthetic(transaction, market)
    check(data, origin, row_offset)  # an impossible price is not another symbol's
    if not options.replace:
        seen = store.viewing(transaction.manifest)
        _refuse_other_symbol(seen, market, data, origin, row_offset)
    first = not any(kind.partitions for kind in transaction.entry(market).kinds.values())
    summary = transaction.write(
        market, data, covered=covered, replace=options.replace, origin=origin,
        row_offset=row_offset,
    )  # fmt: skip
    _learn(transaction, market, data, options, first=first)
    return summary


def _import_one(
    store: MarketStore, transaction: Transaction, path: str, name: FileName,
    options: ImportOptions, remarks: list[str],
) -> WriteSummary:  # fmt: skip
    if name.archive:
        return import_archive(store, transaction, path, name, options)
    origin = Path(path).name
    data, ignored = read_plain(path, KINDS[name.kind])
    if ignored:
        remarks.append(f"{origin}: columns not used: {', '.join(ignored)}")
    return import_rows(
        store, transaction, name.market, data, options, origin=origin, covered=options.covers
    )


def _refuse_synthetic(transaction: Transaction, market: str) -> None:
    entry = transaction.manifest.markets.get(market)
    if entry is not None and entry.info.synthetic is not None:
        raise ApexError(
            f"{market} is a synthetic market in this store: import real data into another store"
        )


def _refuse_other_symbol(
    store: MarketStore, market: str, data: Data, origin: str, row_offset: int
) -> None:
    """DataError when prices are far from those that the store has for the same time."""
    if isinstance(data, Funding) or len(data) == 0 or market not in store.markets():
        return
    # A bar's open is its price at its own time; by the close of a coarse one a market may crash.
    field = "price" if isinstance(data, Trades) else "open"
    prices = data.price if isinstance(data, Trades) else data.open
    for bars in _references(store, market, int(data.ts[0]), int(data.ts[-1])):
        at = np.searchsorted(bars.ts, data.ts, side="right") - 1
        at_or_first = np.maximum(at, 0)
        inside = (at >= 0) & (data.ts < bars.ts[at_or_first] + bars.step)
        high, low = bars.high[at_or_first] * FAR, bars.low[at_or_first] / FAR
        wrong = inside & ((prices > high) | (prices < low))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                origin, f"{prices[row]} is far from {bars.close[at_or_first[row]]}, which the "
                f"store has for {market} at {format_time(int(data.ts[row]))}",
                "Check that the symbol is right; --replace imports it all the same",
                row=row + row_offset, field=field,
            )  # fmt: skip
        if inside.all():
            return


def _references(store: MarketStore, market: str, first: int, last: int) -> Iterator[Bars]:
    """Bars around [first, last] that the store has, coarsest first."""
    held = store.kinds(market)
    for kind in ("1d", "1h", "1m"):
        if kind in held:
            step = KINDS[kind].step or 0
            bars = store.read_bars(market, kind, first - step, last + 1)
            if len(bars):
                yield bars
    if "trades" in held:
        bars = store.tick_minutes(market, "trades", first - MINUTE, last + 1)
        if len(bars):
            yield bars


def _learn(
    transaction: Transaction, market: str, data: Data, options: ImportOptions, *, first: bool
) -> None:
    """Update what is known of the market: given by the caller, else inferred from its rows."""
    entry = transaction.entry(market)
    chosen = {
        name: value
        for name in ("instrument", "tick_size", "lot_size", "min_notional")
        if (value := getattr(options, name)) is not None
    }
    inferred: dict[str, Any] = {"has_sides": _has_sides(transaction, market)}
    if first and market.split(":")[0] in PERPETUAL_EXCHANGES:
        inferred["instrument"] = "perpetual"
    for name, values in _stepped(data).items():
        step = decimal_step(values)
        if step is not None:
            known = np.inf if first else getattr(entry.info, name)
            inferred[name] = min(step, known)
    kept = {n: v for n, v in inferred.items() if n not in entry.given}
    transaction.set_info(replace(entry.info, **(kept | chosen)), given=list(chosen))


def _stepped(data: Data) -> dict[str, NDArray[np.float64]]:
    """Values that lie on the market's price and amount steps, by field of ``MarketInfo``."""
    if isinstance(data, Trades):
        return {"tick_size": data.price, "lot_size": data.amount}
    if isinstance(data, Bars) and len(data):
        prices = np.concatenate([data.open, data.high, data.low, data.close])
        # Sums over hours carry rounding errors that are no amounts.
        fine = {"lot_size": data.volume} if data.step <= MINUTE else {}
        return {"tick_size": prices, **fine}
    return {}


def _has_sides(transaction: Transaction, market: str) -> bool:
    """Whether there are trades, each with a known side."""
    trades = transaction.entry(market).kinds.get("trades")
    partitions = list(trades.partitions.values()) if trades is not None else []
    return bool(partitions) and all(p.unknown_sides == 0 for p in partitions)
