"""Watch a trading run on a local web page, while it trades or afterwards.

    python -m apex_trader.dashboard run=runs/eth_full/…         # its newest trading run
    python -m apex_trader.dashboard run=runs/eth_full/…/trades/2026-11-24_12-00-00
    python -m apex_trader.dashboard run=DIR port=8051 refresh=5

run      the folder of a run, whose trading run begun last is shown and whose next one will be, or
         the folder of a trading run (out= of apex_trader.trade)
port     of the page (8050); 0 takes any that is free
host     address that it listens on (127.0.0.1: this machine alone). There is no password: whoever
         reaches another address sees everything
refresh  seconds between two looks at the journal (2)
The page only reads: it can neither disturb the trader nor order anything. It needs no network.
Ctrl-C ends it; the trader goes on. docs/dashboard.md explains what it shows.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from rich.console import Console

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.command import run_command
from apex_trader.runtime.words import split_words


@dataclass
class Request:
    """What the user asked for; see the module's help."""

    run: str = ""
    host: str = "127.0.0.1"
    port: int = 8050
    refresh: float = 2.0

    @classmethod
    def parse(cls, arguments: list[str]) -> Request:
        """From the command line. Raises ApexError for what is not understood."""
        words, others = split_words(arguments, ("run", "host", "port", "refresh"))
        if others:
            raise ApexError(f"{others[0]} changes nothing here: leave it out (--help explains)")
        if not words.get("run"):
            raise ConfigError("run", "", "the folder of a run or of a trading run, run=DIR")
        found = cls(words["run"], words.get("host") or cls.host)
        port, refresh = words.get("port", str(cls.port)), words.get("refresh", str(cls.refresh))
        if not port.isdecimal() or int(port) > 65_535:
            raise ConfigError("port", port, "a whole number from 0 to 65535")
        try:
            found.port, found.refresh = int(port), float(refresh)
        except ValueError:
            raise ConfigError("refresh", refresh, "seconds, 0.2 or more") from None
        if not 0.2 <= found.refresh <= 3_600.0:
            raise ConfigError("refresh", refresh, "seconds, 0.2 … 3600")
        return found


def main() -> None:
    """The command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    sys.exit(run_command(lambda: _run(sys.argv[1:])))


def _run(arguments: list[str]) -> None:
    request = Request.parse(arguments)
    # Dash takes a second to import, which a mistake need not wait for.
    from apex_trader.runtime.dashboard.app import app_of
    from apex_trader.runtime.dashboard.board import Board
    from apex_trader.runtime.dashboard.folders import watched
    from apex_trader.runtime.dashboard.serve import PageServer, is_local

    torch.set_num_threads(1)
    board = Board(watched(request.run))
    server = PageServer(app_of(board, request.refresh), request.host, request.port)
    console = Console(highlight=False, soft_wrap=True)
    if not is_local(request.host):
        console.print(
            f"warning: whoever can reach {request.host} sees this account and its trades; there is "
            "no password (host=127.0.0.1 keeps the page to this machine)", style="yellow",
        )  # fmt: skip
    console.print(f"watching {board.watched.name}", markup=False)
    console.print(f"page: {server.url}  (Ctrl-C ends it; the trader goes on)", markup=False)
    try:
        server.run()
    finally:
        server.close()
    console.print("ended")


if __name__ == "__main__":
    main()
