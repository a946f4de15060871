"""Settings as they are typed on a command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from apex_trader.runtime.compose import FREE, flat, plain
from apex_trader.runtime.config import Config

#: Text that is taken as it is, and words that are not taken for text.
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./:+@-]*")
_WORDS = ("true", "false", "null", "nan", "inf", "yes", "no", "on", "off", ".nan", ".inf")
#: Settings that say where a run went, not what it was.
_PLACES = ("resume",)


def changes(base: Config, config: Config) -> list[str]:
    """Settings of ``config`` that differ from ``base``, ``name=value``, quoted for the shell."""
    before, now = flat(plain(base), FREE), flat(plain(config), FREE)
    return [
        shlex.quote(f"{name}={_value(value)}")
        for name, value in now.items()
        if before.get(name) != value and name not in _PLACES
    ]


def _value(value: Any) -> str:
    """A value as Hydra's grammar takes it."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}: {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_value(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(value: str) -> str:
    """Text, quoted where Hydra or YAML would read something else into it."""
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return "'" + value.replace("'", "\\'") + "'"
