"""What every command does alike: a user's mistake ends with one clear message, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console

from apex_trader.errors import ApexError
from apex_trader.runtime.stop import Stopped

#: Exit codes: done; the check found a hole; the input cannot be used; stopped by the user.
OK, HOLE, USAGE, INTERRUPTED = 0, 1, 2, 130


def run_command(body: Callable[[], int | None]) -> int:
    """Exit code of ``body``; an ApexError becomes its message on stderr and code 2.

    A run that a signal stopped ends with 130 (Ctrl-C) or 143 (SIGTERM).
    """
    try:
        return body() or OK
    except ApexError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print("[bold red]error:[/] ", end="")
        console.print(str(error), markup=False)
        return USAGE
    except Stopped as stop:  # the run has said where it stands
        return stop.code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED
