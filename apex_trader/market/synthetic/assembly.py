"""Pieces of a world, put together in memory."""

from __future__ import annotations

import itertools

import numpy as np

from apex_trader.market import intervals
from apex_trader.market.resample import bars_from_seconds, merge_bars, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.synthetic.world import Piece, SyntheticMarket, World
from apex_trader.market.types import I64, Bars, Seconds, Trades
from apex_trader.time import CLOCKS


def assemble(world: World) -> dict[str, SyntheticMarket]:
    """All of a world in memory, by market."""
    pieces: dict[str, list[Piece]] = {market: [] for market in world.infos}
    for piece in world.pieces():
        pieces[piece.market].append(piece)
    return {market: _market(world, market, parts) for market, parts in pieces.items()}


def _market(world: World, market: str, pieces: list[Piece]) -> SyntheticMarket:
    tapes = [piece for piece in pieces if isinstance(piece.data, Trades)]
    trades = joined_trades([piece.data for piece in tapes if isinstance(piece.data, Trades)])
    seconds = None if trades is None else seconds_from_trades(trades)
    bars = _bars(pieces, seconds, _covered(tapes))
    return SyntheticMarket(world.infos[market], bars, trades, seconds, world.hidden(market))


def _bars(pieces: list[Piece], seconds: Seconds | None, ticked: I64) -> dict[str, Bars]:
    """Bars of every clock: from ticks where they cover it, else from the finest bars that do."""
    by_clock: dict[str, Bars] = {}
    covered: dict[str, I64] = {clock: intervals.empty() for clock in CLOCKS}
    for piece in pieces:
        if isinstance(piece.data, Bars):
            clock = piece.data.clock
            made = by_clock.get(clock)
            by_clock[clock] = piece.data if made is None else merge_bars(made, piece.data)
            covered[clock] = intervals.union(covered[clock], _covered([piece]))
    if seconds is not None:
        by_clock["1s"] = bars_from_seconds(seconds)
        covered["1s"] = ticked
    clocks = list(CLOCKS)
    for fine, coarse in itertools.pairwise(clocks):
        if fine in by_clock:
            made = resample(by_clock[fine], coarse, covered[fine])
            own = by_clock.get(coarse)
            by_clock[coarse] = made if own is None else merge_bars(made, own)
            covered[coarse] = intervals.union(covered[coarse], covered[fine])
    return by_clock


def joined_trades(parts: list[Trades]) -> Trades | None:
    """Tapes one after another; None when there are none."""
    if not parts:
        return None
    ids = [part.id for part in parts if part.id is not None]
    return Trades(
        np.concatenate([part.ts for part in parts]),
        np.concatenate([part.price for part in parts]),
        np.concatenate([part.amount for part in parts]),
        np.concatenate([part.side for part in parts]),
        np.concatenate(ids) if len(ids) == len(parts) else None,
    )


def _covered(pieces: list[Piece]) -> I64:
    return intervals.union(*(intervals.one(piece.start, piece.end) for piece in pieces))
