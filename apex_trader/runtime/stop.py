"""Ctrl-C and SIGTERM in a run: the first one saves and ends, a second one ends at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A run was stopped by a signal. code: of the command, 128 + the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.code = 128 + number


class StopSignals:
    """What SIGINT and SIGTERM do while they are installed.

    They raise ``Stopped``; inside ``deferred`` the first one is only noted, so that the work there
    can come to a state worth saving. Python runs handlers in the main thread alone: elsewhere
    nothing is installed. A SIGINT that the shell has told us to ignore stays ignored.

    first: what is done before a run ends at the first signal, told to the user.
    """

    def __init__(self, first: str = "a checkpoint is written first") -> None:
        self._noted = f"\nstopping: {first}; once more ends at once\n".encode()
        #: Number of the signal that asked to stop, None so far.
        self.requested: int | None = None
        self._deferred = False
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Take the signals over; again after a library has taken them away."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            present = signal.getsignal(number)
            if present is signal.SIG_IGN:
                continue
            self._before.setdefault(number, present or signal.SIG_DFL)
            signal.signal(number, self._handle)

    def restore(self) -> None:
        """Give the signals back to whom they belonged before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Work that looks at ``requested`` now and then; its end raises ``Stopped`` when asked to.

        An error of the work itself comes first.
        """
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.requested is not None:
            raise Stopped(self.requested)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._deferred and self.requested is None:
            self.requested = number
            with suppress(OSError):  # Ctrl-C ends the other end of a pipe as well
                os.write(2, self._noted)  # print and the display may be in the middle of a line
            return
        self.restore()
        raise Stopped(number)
