"""What a data file's name says about its market: the plain schema's names and Binance's."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.market.kinds import KINDS
from apex_trader.market.transaction import split_market

_PLAIN = re.compile(
    r"(?P<exchange>[A-Za-z0-9]+)_(?P<symbol>[A-Za-z0-9.-]+)_(?P<kind>[A-Za-z0-9]+)(?:_.*)?\.parquet"
)
_ARCHIVE = re.compile(
    r"(?P<symbol>[A-Z0-9]+)-(?P<kind>aggTrades|trades|fundingRate|[0-9]+[a-z]+|1mo)"
    r"-(?P<period>\d{4}-\d{2}(?:-\d{2})?)\.(?:zip|csv)"
)
#: Kind of the rows of each archive table; klines say it themselves.
_TABLES = {"trades": "trades", "aggTrades": "trades", "fundingRate": "funding"}
_REMEDY = "Name it <exchange>_<SYMBOL>_<kind>[_label].parquet, or give --exchange, --symbol, --kind"


@dataclass(frozen=True)
class FileName:
    """What is known of a file before it is opened.

    market: "exchange:SYMBOL". kind: a key of KINDS. archive: a Binance public archive file, of
    ``table`` "klines", "trades", "aggTrades" or "fundingRate"; covered: [start, end) µs that it
    then speaks for.
    """

    market: str
    kind: str
    archive: bool = False
    table: str = ""
    covered: tuple[int, int] | None = None


def parse_name(
    path: str, exchange: str | None = None, symbol: str | None = None, kind: str | None = None
) -> FileName:
    """The market and kind of a file, from the options or else from its name.

    Raises ApexError when something is unknown, or when the name contradicts an option.
    """
    name = PurePath(path).name
    archive = _ARCHIVE.fullmatch(name)
    if archive is not None:
        return _archive_name(name, archive, exchange, symbol, kind)
    plain = _PLAIN.fullmatch(name)
    said = plain.groupdict() if plain is not None else {}
    if said and said["kind"] not in KINDS:
        # Not our naming, unless the kind is only mistyped.
        if kind is None and exchange is None and symbol is None:
            raise ApexError(f"{name}: {unknown_kind(said['kind'])}. {_REMEDY}")
        said = {}
    given = {"exchange": exchange, "symbol": symbol, "kind": kind}
    known = {k: _agree(name, k, v, said.get(k)) for k, v in given.items()}
    if known["kind"] not in KINDS:
        raise ApexError(f"{name}: {unknown_kind(known['kind'])}")
    market = f"{known['exchange']}:{known['symbol']}"
    split_market(market)
    return FileName(market, known["kind"])


def unknown_kind(kind: str) -> str:
    """A sentence that names the kinds there are, and the closest one."""
    close = difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{kind!r} is no kind of data: {hint}there are " + ", ".join(KINDS)


def _agree(file: str, what: str, given: str | None, said: str | None) -> str:
    if given is None and said is None:
        raise ApexError(f"{file}: the {what} is not in the file's name. {_REMEDY}")
    if given is not None and said is not None and given != said:
        raise ApexError(
            f"{file}: --{what} {given} contradicts the file's name, which says {said}: "
            "wrong file, or rename it"
        )
    return str(given if given is not None else said)


def _archive_name(
    name: str, match: re.Match[str], exchange: str | None, symbol: str | None, kind: str | None
) -> FileName:
    if exchange is None:
        raise ApexError(
            f"{name}: Binance's archive names no exchange: give --exchange binance (spot) or "
            "--exchange binanceusdm (USD-M futures)"
        )
    table = match["kind"] if match["kind"] in _TABLES else "klines"
    found = _TABLES.get(table, match["kind"])
    if found not in KINDS:
        raise ApexError(f"{name}: {unknown_kind(found)}")
    market = f"{exchange}:{_agree(name, 'symbol', symbol, match['symbol'])}"
    split_market(market)
    _agree(name, "kind", kind, found)
    unit = "D" if match["period"].count("-") == 2 else "M"
    try:
        period = np.datetime64(match["period"]).astype(f"datetime64[{unit}]")
    except ValueError:
        raise ApexError(f"{name}: {match['period']} is no date") from None
    edges = np.array([period, period + 1]).astype("datetime64[us]").astype(np.int64)
    return FileName(market, found, True, table, (int(edges[0]), int(edges[1])))
