"""Trades that came after their seconds had closed: recorded for good, beside the day's data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from apex_trader.market.files import Files, digest, encode
from apex_trader.market.leftovers import REVISIONS
from apex_trader.market.stream.lane import Revisions
from apex_trader.market.transaction import split_market
from apex_trader.time import format_date

_COLUMNS = ("ts", "price", "amount", "side", "id")


def write_revisions(files: Files, revisions: Sequence[Revisions]) -> list[str]:
    """Write each as a Parquet file of its own; their names, relative to the store.

    ``exchange=E/symbol=S/kind=revisions/date=D/<closed>-<digest>.parquet``: the trades' columns
    and ``closed``, the time (µs) up to which seconds were closed when they came. Files are put in
    place whole and never changed, so nothing that was recorded can be lost or rewritten.
    """
    names = []
    for revision in revisions:
        trades = revision.trades
        columns = {name: getattr(trades, name) for name in _COLUMNS}
        if columns["id"] is None:
            del columns["id"]
        columns["closed"] = np.full(len(trades), revision.closed)
        content = encode(pa.table(columns))
        folder = _folder(revision.market, format_date(int(trades.ts[0])))
        name = f"{folder}/{revision.closed}-{digest(content)}.parquet"
        files.write(name, content)
        names.append(name)
    return names


def read_revisions(files: Files, market: str, date: str | None = None) -> pa.Table | None:
    """All recorded revisions of a market (of one UTC date), in the order in which they came.

    Columns as in ``write_revisions``; None when there are none.
    """
    parent = _folder(market, date or "").removesuffix("/date=")
    names = [n for n in files.listing(parent, deep=True) if n.endswith(".parquet")]
    names.sort(key=lambda name: (int(PurePosixPath(name).name.split("-")[0]), name))
    tables = [files.read_table(name) for name in names]
    return pa.concat_tables(tables, promote_options="default") if tables else None


def _folder(market: str, date: str) -> str:
    exchange, symbol = split_market(market)
    return f"exchange={exchange}/symbol={symbol}/kind={REVISIONS}/date={date}"
