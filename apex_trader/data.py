"""The market store from the command line.

python -m apex_trader.data import FILE… --store DIR
python -m apex_trader.data download --store DIR --symbols ETHUSDT --from DATE
python -m apex_trader.data synthesize NAME --store DIR
python -m apex_trader.data info --store DIR
python -m apex_trader.data verify --store DIR
python -m apex_trader.data lookback --store DIR --market M --source M

Exit codes: 0 done; 1 ``verify`` found a violation, or ``download`` could not get all of it;
2 the input or an option cannot be used.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from apex_trader import data_download
from apex_trader.errors import ApexError
from apex_trader.market.finding import Finding
from apex_trader.market.importers import ImportOptions, ImportSummary, files_of, import_files
from apex_trader.market.kinds import KINDS
from apex_trader.market.lookback import (
    MINUTES,
    lookback_text,
    natural_source,
    set_lookback,
)
from apex_trader.market.naming import unknown_kind
from apex_trader.market.store import MarketStore
from apex_trader.market.summary import KindSummary, MarketSummary, summarize
from apex_trader.market.verify import verify
from apex_trader.runtime.command import HOLE, OK, run_command
from apex_trader.time import SECOND, format_time, parse_time


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ApexErrors that name what was probably meant."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {
            "formatter_class": argparse.RawDescriptionHelpFormatter,
            "allow_abbrev": False,
        }
        super().__init__(*args, **kwargs)

    def refuse_unknown(self, arguments: Sequence[str]) -> None:
        """Raise for the first option that the parser does not know."""
        known = list(self._option_string_actions)
        for argument in arguments:
            name = argument.split("=")[0]
            if name == "--":
                return
            if name.startswith("--") and name not in known:
                raise ApexError(f"no option {name} of `{self.prog}`: {_closest(name, known)}")

    def error(self, message: str) -> NoReturn:
        """Raise the message, with the closest option where one is unknown."""
        raise ApexError(f"{message}. `{self.prog} --help` explains")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return run_command(lambda: _run(given), given)


def _run(arguments: list[str]) -> int:
    commands = _commands()
    parser = Parser(
        prog="python -m apex_trader.data",
        description=__doc__,
        epilog="Each command has its --help.",
    )
    actions = parser.add_subparsers(metavar="COMMAND", title="commands", dest="command")
    for name, command in commands.items():
        command.add_options(actions.add_parser(name, help=command.text, description=command.text))
    if not arguments:
        parser.print_help()
        return OK
    if arguments[0] in commands:
        actions.choices[arguments[0]].refuse_unknown(arguments[1:])
    elif not arguments[0].startswith("-"):
        raise ApexError(f"no command {arguments[0]!r}: {_closest(arguments[0], list(commands))}")
    options = parser.parse_args(arguments)
    return commands[options.command].run(options)


@dataclass(frozen=True)
class Command:
    """One command: what it does, what it is for, and its options."""

    run: Callable[[argparse.Namespace], int]
    text: str
    add_options: Callable[[argparse.ArgumentParser], None]


def _commands() -> dict[str, Command]:
    return {
        "import": Command(
            _import, "Import data files into the store: all of them, or none.", _import_options
        ),
        "download": Command(data_download.run, data_download.TEXT, data_download.add_options),
        "synthesize": Command(
            _synthesize, "Write a synthetic market into the store.", _synthesize_options
        ),
        "info": Command(_info, "What the store holds.", _info_options),
        "verify": Command(_verify, "Read the whole store anew and check it.", _verify_options),
        "lookback": Command(
            _lookback, "Let another market stand in for a market's past.", _lookback_options
        ),
    }


# -- import ---------------------------------------------------------------------------------------


def _import_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "A Parquet file named <exchange>_<SYMBOL>_<trades|1s|1m|1h|1d|funding>[_label].parquet\n"
        "says itself what it holds; otherwise give --exchange, --symbol and --kind.\n"
        "Trades have columns ts (microseconds UTC), price, amount, side, and perhaps id;\n"
        "bars ts (milliseconds UTC, the open), open, high, low, close, volume, and perhaps\n"
        "taker_buy_volume and count; funding ts (milliseconds) and rate. Files of Binance's\n"
        "public archive (zip, CSV) are read too, with --exchange binance or binanceusdm.\n"
        "Rows in messages are counted from 0."
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="data files, or folders of them")
    _store_option(parser)
    parser.add_argument("--exchange", help="exchange of the files, e.g. binance or binanceusdm")
    parser.add_argument("--symbol", help="symbol of the files, e.g. ETHUSDT")
    parser.add_argument("--kind", help="kind of the files: " + ", ".join(KINDS))
    parser.add_argument("--instrument", choices=["spot", "perpetual"],
                        help="default: perpetual for futures exchanges, else spot")  # fmt: skip
    parser.add_argument("--tick-size", type=float, help="price step (default: smallest seen)")
    parser.add_argument("--lot-size", type=float, help="amount step (default: smallest seen)")
    parser.add_argument("--min-notional", type=float, help="least value of an order (default: 5)")
    parser.add_argument("--covers", nargs=2, metavar=("START", "END"),
                        help="time (UTC) that each file speaks for, when it is more than from its "
                        "first to its last row: bars at its edges are whole then")  # fmt: skip
    parser.add_argument("--replace", action="store_true",
                        help="put the files' rows in place of the store's for the time that they "
                        "cover, instead of refusing contradictions")  # fmt: skip


def _import(options: argparse.Namespace) -> int:
    if options.kind is not None and options.kind not in KINDS:
        raise ApexError(f"--kind: {unknown_kind(options.kind)}")
    covers = None
    if options.covers is not None:
        covers = (parse_time(options.covers[0]), parse_time(options.covers[1]))
    wanted = ImportOptions(
        options.exchange, options.symbol, options.kind, options.instrument, options.tick_size,
        options.lot_size, options.min_notional, options.replace, covers,
    )  # fmt: skip
    files = files_of(options.files)
    for file in files:
        if not Path(file).is_file():
            raise ApexError(f"{file}: there is no such file{_similar_file(file)}")
    sizes = {file: Path(file).stat().st_size for file in files}
    with _progress() as progress:
        task = progress.add_task(f"importing {len(files)} files", total=sum(sizes.values()))
        summary = import_files(
            MarketStore(options.store), files, wanted,
            lambda file: progress.advance(task, sizes.get(file, 0)),
        )  # fmt: skip
    _print_import(summary)
    return OK


def _print_import(summary: ImportSummary) -> None:
    for file, done in summary.files.items():
        rows = f"{done.rows:,} rows of {done.market} {done.kind}"
        if done.new_rows == done.rows:
            news = "all new"
        elif done.new_rows:
            news = f"{done.new_rows:,} new, the rest was already there"
        else:
            news = "already there, 0 new rows"
        print(f"{Path(file).name}: {rows}, {news}")
    for remark in summary.remarks:
        print(f"note: {remark}")
    for market, lookback in summary.lookbacks.items():
        if lookback is None:
            print(f"note: {market} and {natural_source(market)} share no full minute, so the one "
                  "cannot yet stand in for the other's past")  # fmt: skip
        else:
            print(lookback_text(market, lookback))


# -- synthesize -----------------------------------------------------------------------------------


def _synthesize_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "--list shows the generators; NAME --list shows one's parameters."
    parser.add_argument("name", nargs="?", metavar="NAME", help="a generator; see --list")
    parser.add_argument("--store", metavar="DIR", help="folder or URL of the market store")
    parser.add_argument("--seed", type=int, default=0, help="0 or more (default: 0)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                        help="parameters of the generator")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="show generators or parameters")


def _synthesize(options: argparse.Namespace) -> int:
    from apex_trader.market.synthetic import GENERATORS, synthesize

    if options.name is not None and options.name not in GENERATORS:
        raise ApexError(
            f"no generator {options.name!r}: {_closest(options.name, list(GENERATORS))}"
        )
    if options.list:
        _list_generators(options.name)
        return OK
    if options.name is None:
        raise ApexError("which generator? There are " + ", ".join(GENERATORS))
    if options.store is None:
        raise ApexError("--store DIR is missing: the folder or URL of the market store")
    values: dict[str, object] = {}
    for setting in options.set:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise ApexError(f"--set {setting}: write KEY=VALUE")
        values[key] = value
    with _progress() as progress:
        progress.add_task(f"synthesizing {options.name}", total=None)
        summary = synthesize(options.name, MarketStore(options.store), seed=options.seed, **values)
    print(summary)
    return OK


def _list_generators(name: str | None) -> None:
    from apex_trader.market.synthetic import GENERATORS, parameter_table

    console = _console()
    for generator in [name] if name else GENERATORS:
        title = f"{generator}: {GENERATORS[generator].summary}"
        table = Table(title=title, title_justify="left", title_style="bold")
        for column in ("parameter", "default", "meaning", "allowed"):
            table.add_column(column, overflow="fold")
        for parameter in parameter_table(generator):
            table.add_row(parameter.name, str(parameter.default), parameter.meaning,
                          parameter.allowed)  # fmt: skip
        console.print(table)


# -- info -----------------------------------------------------------------------------------------


def _info_options(parser: argparse.ArgumentParser) -> None:
    _store_option(parser)
    parser.add_argument("--market", metavar="EXCHANGE:SYMBOL", help="only this market")
    parser.add_argument("--json", action="store_true", help="for machines; times in µs UTC")


def _info(options: argparse.Namespace) -> int:
    store = _existing(options.store)
    markets = store.markets() if options.market is None else [options.market]
    summaries = [summarize(store, market) for market in markets]
    if options.json:
        print(json.dumps({s.info.market: s.to_json() for s in summaries}, indent=1))
        return OK
    console = _console()
    for summary in summaries:
        console.print(_info_table(summary))
    return OK


def _info_table(summary: MarketSummary) -> Table:
    table = Table(
        title=f"{summary.info.market} – {_facts(summary)}", title_justify="left", title_style="bold"
    )
    for column in ("kind", "rows", "first (UTC)", "last (UTC)", "gaps", "missing", "longest gap",
                   "zero volume", "unknown sides"):  # fmt: skip
        numeric = column not in ("kind", "first (UTC)", "last (UTC)")
        table.add_column(column, justify="right" if numeric else "left")
    for kind, figures in summary.kinds.items():
        table.add_row(kind, *_figures(kind, figures))
    return table


def _figures(kind: str, figures: KindSummary) -> list[str]:
    bars = KINDS[kind].step is not None
    return [
        f"{figures.rows:,}", format_time(figures.first), format_time(figures.last),
        f"{figures.gaps:,}", f"{figures.missing:,}" if bars else "", _duration(figures.longest),
        f"{figures.zero_volume:,}" if bars else "",
        f"{figures.unknown_sides:,}" if kind == "trades" else "",
    ]  # fmt: skip


def _facts(summary: MarketSummary) -> str:
    info = summary.info
    facts = [
        info.instrument, f"tick {info.tick_size:g}", f"lot {info.lot_size:g}",
        f"least order {info.min_notional:g}",
    ]  # fmt: skip
    if "trades" in summary.kinds:
        facts.append("sides known" if info.has_sides else "sides not all known")
    if info.synthetic is not None:
        facts.append("SYNTHETIC: " + ", ".join(f"{k} {v}" for k, v in info.synthetic.items()))
    if info.lookback is not None:
        facts.append(
            f"look-back {info.lookback.market}, basis {info.lookback.basis:+.6f}, decisions from "
            f"{format_time(info.lookback.as_of)}"
        )
    return ", ".join(facts)


# -- verify ---------------------------------------------------------------------------------------


def _verify_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Exit code 1 when something cannot be right; a source's quirks are warnings."
    _store_option(parser)
    parser.add_argument("--market", metavar="EXCHANGE:SYMBOL", help="only this market")


def _verify(options: argparse.Namespace) -> int:
    store = _existing(options.store)
    if options.market is not None:
        store.entry(options.market)
    findings: list[Finding] = []
    with _progress() as progress:
        task = progress.add_task("verifying", total=None)
        for found in verify(store, None if options.market is None else [options.market]):
            if isinstance(found, Finding):
                findings.append(found)
                print(found)
            else:
                progress.update(task, description=f"verifying {found}")
    violations = sum(finding.violation for finding in findings)
    print(f"{violations} violations, {len(findings) - violations} warnings in {store.url}")
    return HOLE if violations else OK


# -- lookback -------------------------------------------------------------------------------------


def _lookback_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The basis is the median ln ratio of both markets' closes over the first minutes that\n"
        "both have in full. It is known from the end of those minutes on: no decision comes\n"
        "before."
    )
    _store_option(parser)
    parser.add_argument("--market", required=True, metavar="EXCHANGE:SYMBOL",
                        help="whose past is short, e.g. binanceusdm:ETHUSDT")  # fmt: skip
    parser.add_argument("--source", required=True, metavar="EXCHANGE:SYMBOL",
                        help="what stands in for it, e.g. binance:ETHUSDT")  # fmt: skip
    parser.add_argument("--minutes", type=int, default=MINUTES,
                        help=f"minutes to measure on (default: {MINUTES})")  # fmt: skip


def _lookback(options: argparse.Namespace) -> int:
    store = _existing(options.store)
    lookback = set_lookback(store, options.market, options.source, options.minutes)
    print(lookback_text(options.market, lookback))
    return OK


# -- shared ---------------------------------------------------------------------------------------


def _store_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", required=True, metavar="DIR",
                        help="folder or URL of the market store")  # fmt: skip


def _existing(url: str) -> MarketStore:
    store = MarketStore(url)
    if not store.markets():
        raise ApexError(
            f"{url}: no market store there, or an empty one: `import` or `synthesize` fills it"
        )
    return store


def _closest(given: str, known: list[str]) -> str:
    close = difflib.get_close_matches(given.split("=")[0], known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else "there are " + ", ".join(known)


def _similar_file(file: str) -> str:
    folder = Path(file).parent
    if not folder.is_dir():
        return f" (and no folder {folder})"
    names = [path.name for path in folder.iterdir()]
    close = difflib.get_close_matches(Path(file).name, names, n=1, cutoff=0.6)
    return f": did you mean {folder / close[0]}?" if close else ""


def _duration(micros: int) -> str:
    seconds = micros / SECOND
    for name, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.4g} {name}"
    return f"{seconds:.4g} s" if micros else ""


def _console() -> Console:
    console = Console(highlight=False)
    # A pipe has no width: then nothing need be broken.
    return console if console.is_terminal else Console(highlight=False, width=200)


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
