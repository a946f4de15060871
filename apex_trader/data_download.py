"""``python -m apex_trader.data download``: an exchange's history into the market store."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.market.exchange.config import ARCHIVE_URL, LACKING, ExchangeConfig
from apex_trader.market.kinds import KINDS
from apex_trader.market.naming import unknown_kind
from apex_trader.market.store import MarketStore
from apex_trader.runtime.command import HOLE, OK, USAGE
from apex_trader.time import parse_time

if TYPE_CHECKING:
    from apex_trader.market.download.download import DownloadRequest

TEXT = "Download an exchange's history: what the store lacks of it."
#: Kinds that are downloaded when none are named, where the exchange has them.
DEFAULT_KINDS = ("1m", "1h", "1d", "funding")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = (
        "Binance's archive has a file a month or a day, with a checksum; REST has the rest, such\n"
        "as today. Killed at any time, the same command goes on where it stopped; run twice, it\n"
        "downloads nothing new. Trades are aggregate trades. Public data needs no API key.\n\n"
        "python -m apex_trader.data download --store data/market --symbols ETHUSDT,BTCUSDT \\\n"
        "    --kinds trades,1m,1h,1d --from 2024-01-01 --to 2024-03-01\n"
        "python -m apex_trader.data download --store data/market --exchange binanceusdm \\\n"
        "    --symbols ETHUSDT --kinds trades,funding --from 2024-01-01\n\n"
        "Exit code 1 when a part of the time could not be had."
    )
    parser.add_argument("--store", required=True, metavar="DIR",
                        help="folder or URL of the market store")  # fmt: skip
    parser.add_argument("--exchange", default="binance", metavar="NAME",
                        help="binance (spot, the default), binanceusdm (USD-M perpetuals), or any "
                        "exchange of ccxt")  # fmt: skip
    parser.add_argument("--symbols", required=True, metavar="A,B",
                        help="the exchange's symbols, e.g. ETHUSDT,BTCUSDT")  # fmt: skip
    parser.add_argument("--kinds", metavar="A,B", help="of " + ", ".join(KINDS) + " (default: "
                        + ", ".join(DEFAULT_KINDS) + ", where there are such)")  # fmt: skip
    parser.add_argument("--from", dest="start", required=True, metavar="TIME",
                        help="first day or time (UTC)")  # fmt: skip
    parser.add_argument("--to", dest="end", metavar="TIME",
                        help="day or time (UTC) before which it ends (default: now)")  # fmt: skip
    parser.add_argument(
        "--source",
        default="auto",
        metavar="auto|archive|rest",
        help="auto (the default): the archive's files, and REST for what they lack",
    )
    parser.add_argument("--concurrency", type=int, default=4, metavar="N",
                        help="files under way at a time (default: 4)")  # fmt: skip
    parser.add_argument("--verify-checksums", default="always", dest="checksums",
                        metavar="always|published|never",
                        help="always (the default): a file without a checksum is an error; "
                        "published: such a file is taken as it is")  # fmt: skip
    parser.add_argument(
        "--keep",
        metavar="DIR",
        type=Path,
        help="keep the archive's files there (default: deleted once imported)",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="download all of it anew, in place of what the store has",
    )
    parser.add_argument("--archive-url", default=ARCHIVE_URL, metavar="URL",
                        help=f"base of the archive (default: {ARCHIVE_URL})")  # fmt: skip
    parser.add_argument("--url", default="", help="another base of the exchange's REST address")


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit code."""
    # The clients of a hundred exchanges are imported: only this command waits for that.
    from apex_trader.data_download_screen import print_result, screen
    from apex_trader.market.download.download import download

    request = _request(options)
    store = MarketStore(options.store)
    try:
        with screen() as shown:
            result = download(store, request, shown, np.random.default_rng())
    except KeyboardInterrupt:
        print("the same command goes on where this one stops", file=sys.stderr)
        raise
    print_result(store, request, result)
    if result.failures:
        return USAGE
    return OK if result.complete else HOLE


def _request(options: argparse.Namespace) -> DownloadRequest:
    from apex_trader.market.download.download import DownloadRequest

    exchange = ExchangeConfig(
        options.exchange, url=options.url, archive_url=options.archive_url or ARCHIVE_URL
    )
    kinds = _words(options.kinds) if options.kinds is not None else tuple(
        kind for kind in DEFAULT_KINDS if (options.exchange, kind) not in LACKING
    )  # fmt: skip
    for kind in kinds:
        if kind not in KINDS:
            raise ApexError(f"--kinds: {unknown_kind(kind)}")
    return DownloadRequest(
        exchange, _words(options.symbols), kinds, parse_time(options.start),
        None if options.end is None else parse_time(options.end), options.source,
        options.concurrency, options.checksums, options.keep, options.replace,
    )  # fmt: skip


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
