"""What every command does alike: a user's mistake ends with one clear message, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from apex_trader.errors import ApexError
from apex_trader.runtime.secrets import refuse_secrets
from apex_trader.runtime.stop import Stopped

#: Exit codes: done; the check found a hole; the input cannot be used; stopped by the user.
OK, HOLE, USAGE, INTERRUPTED = 0, 1, 2, 130


def run_command(body: Callable[[], int | None], arguments: Sequence[str] | None = None) -> int:
    """Exit code of ``body``; an ApexError becomes its message on stderr and code 2.

    arguments: the command line, by default the process's own. One with an API key or a password
    in it is refused before anything can repeat it.

    A run that a signal stopped ends with 130 (Ctrl-C) or 143 (SIGTERM).
    """
    try:
        refuse_secrets(sys.argv[1:] if arguments is None else arguments)
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
