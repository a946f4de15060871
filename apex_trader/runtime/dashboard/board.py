"""What a server knows: the trading run that is watched, read once for all who look at it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from apex_trader.errors import ApexError
from apex_trader.runtime.dashboard.folders import Watched
from apex_trader.runtime.dashboard.view import TradeView
from apex_trader.runtime.trade_session import TradeFolder


@dataclass(frozen=True)
class Standing:
    """view: None while there is no trading run, or while ``error`` says why it cannot be shown.
    version: another one whenever there is something new to show."""

    view: TradeView | None
    version: str
    error: str = ""


class Board:
    """Follows what is watched; a run that begins later takes the place of the one before it."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self._lock = threading.Lock()
        self._view: TradeView | None = None
        self._count = 0

    @contextmanager
    def look(self) -> Iterator[Standing]:
        """Up to date, and nobody else's while it is looked at."""
        with self._lock:
            yield self._standing()

    def _standing(self) -> Standing:
        folder = self.watched.current()
        if folder is None:
            self._view = None
            return Standing(None, "nothing")
        try:
            if self._view is None or not self._is_of(folder):
                self._view = TradeView(folder)
                self._count += 1
            self._count += self._view.update()
        except (ApexError, OSError) as error:  # it may be half written, or gone: look again
            self._view = None
            return Standing(None, f"error {error}", str(error))
        return Standing(self._view, f"{folder.path} {self._count}")

    def _is_of(self, folder: TradeFolder) -> bool:
        assert self._view is not None
        return self._view.folder == folder and self._view.began == TradeView.began_of(folder)
