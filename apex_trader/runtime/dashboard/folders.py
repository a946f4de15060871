"""Which trading run a page shows: the one that was named, or the newest one of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from apex_trader.errors import ApexError
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trade_session import TradeFolder

#: Folder of a run in which its trading runs lie.
TRADES = "trades"


@dataclass(frozen=True)
class Watched:
    """What a page is about. run: whose trading runs; None where only ``trading`` is known.
    trading: the one that was named; None: the newest one of the run, whichever that is."""

    run: RunFolder | None
    trading: TradeFolder | None = None

    @property
    def name(self) -> str:
        """What was asked for."""
        folder = self.trading or self.run
        assert folder is not None
        return str(folder.path)

    def current(self) -> TradeFolder | None:
        """The trading run to show now, of several the one begun last; None while there is none."""
        if self.trading is not None or self.run is None:
            return self.trading
        begun = [
            TradeFolder(about.parent) for about in (self.run.path / TRADES).glob("*/trade.json")
        ]
        return max(begun, key=_begun, default=None)


def watched(path: str | Path) -> Watched:
    """What a folder holds: a run, or a trading run. ApexError when it is neither."""
    folder = Path(path).expanduser()
    if TradeFolder(folder).about.is_file():
        return Watched(None, TradeFolder(folder))
    if RunFolder(folder).config.is_file():
        return Watched(RunFolder(folder))
    hint = "" if folder.exists() else " (the folder does not exist)"
    raise ApexError(
        f"{path} holds neither a run nor a trading run{hint}: give the folder that "
        "`python -m apex_trader.train` printed, or that of `python -m apex_trader.trade`"
    )


def _begun(folder: TradeFolder) -> tuple[float, str]:
    """When a trading run was begun."""
    try:
        return folder.about.stat().st_mtime, folder.path.name
    except OSError:  # it was removed this very moment
        return 0.0, folder.path.name
