"""A command line holds no secret: it would be in process lists, shells' histories and run folders.

W&B and Hydra keep the command line of every run, and errors repeat what they cannot use. So a
command line with a secret is refused before anything reads it, in words that do not repeat it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from apex_trader.errors import ApexError
from apex_trader.secret_names import names_secret

#: Shorter values of variables may be in a command line by chance.
_LEAST = 8
_NAME = re.compile(r"([A-Za-z][\w.-]*)\s*[:=]")
_PASSWORD = re.compile(r"://[^\s/@]*:[^\s/@]+@")
REMEDY = (
    "Export <EXCHANGE>_API_KEY and <EXCHANGE>_API_SECRET (of W&B: WANDB_API_KEY), or name a file "
    "that its owner alone can read with exchange.key_file=FILE. Your shell's history may hold what "
    "you typed"
)


def refuse_secrets(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """ApexError for a command line with a secret in it; the message does not repeat it.

    Refused are settings and options that are named like one (``exchange.api_key=…``), values of
    secret environment variables whatever they are given to, and URLs with a password.
    """
    variables = os.environ if environment is None else environment
    known = {v: n for n, v in variables.items() if names_secret(n) and len(v) >= _LEAST}
    for argument in arguments:
        if named := _secret_name(argument):
            raise ApexError(f"{named}=… is refused: a secret is never given on a command line. "
                            f"{REMEDY}")  # fmt: skip
        for value, variable in known.items():
            if value in argument:
                raise ApexError(f"a command line must not hold what {variable} is set to: it is "
                                f"read from the environment. {REMEDY}")  # fmt: skip
        if _PASSWORD.search(argument):
            raise ApexError("a command line must not hold a URL with a password: give it to what "
                            "opens the URL, in its configuration or environment")  # fmt: skip


def _secret_name(argument: str) -> str:
    """The name in an argument that stands for a secret; empty when there is none."""
    names = _NAME.findall(argument)
    if argument.startswith("--") and "=" not in argument:
        names = [argument]
    return next((name for name in names if names_secret(name)), "")
