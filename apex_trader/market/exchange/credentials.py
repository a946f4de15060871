"""API keys: read from the environment or a file when a client is made, and shown nowhere."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from apex_trader.errors import ApexError
from apex_trader.market.exchange.config import ExchangeConfig

HIDDEN = "[hidden]"


@dataclass(frozen=True)
class Credentials:
    """An API key and its secret. Printing one shows that it is there, and no more."""

    key: str = field(repr=False)
    secret: str = field(repr=False)

    def hide(self, text: str) -> str:
        """The text with key and secret blotted out."""
        for value in (self.key, self.secret):
            text = text.replace(value, HIDDEN)
        return text


def credentials(
    config: ExchangeConfig, environment: Mapping[str, str] | None = None
) -> Credentials | None:
    """The keys that a configuration points at; None when there are none, and none are named.

    A file holds lines ``key=…`` and ``secret=…`` (others and # comments are ignored) and must be
    readable by its owner alone. ApexError names what is missing, never a value.
    """
    if config.key_file:
        return _from_file(Path(config.key_file).expanduser())
    values = os.environ if environment is None else environment
    prefix = config.exchange.upper()
    names = (config.key_env or f"{prefix}_API_KEY", config.secret_env or f"{prefix}_API_SECRET")
    key, secret = (values.get(name, "").strip() for name in names)
    if key and secret:
        return Credentials(key, secret)
    if key or secret or config.key_env or config.secret_env:
        lacking = names[1] if key else names[0]
        raise ApexError(f"the environment variable {lacking} is not set: export both {names[0]} "
                        f"and {names[1]}, or neither")  # fmt: skip
    return None


def _from_file(path: Path) -> Credentials:
    try:
        mode = path.stat().st_mode
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ApexError(f"the key file {path} cannot be read: {reason}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ApexError(f"the key file {path} is open to other users: run chmod 600 {path}")
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    values = {name.strip().lower(): value.strip().strip("\"'") for name, value in pairs}
    if not values.get("key") or not values.get("secret"):
        raise ApexError(f"the key file {path} must have a line key=… and a line secret=…")
    return Credentials(values["key"], values["secret"])


class HidingFilter(logging.Filter):
    """Blots keys out of log records: a client's debug log shows the headers of its requests."""

    def __init__(self, keys: Credentials) -> None:
        super().__init__()
        self._keys = keys

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without keys."""
        record.msg, record.args = self._keys.hide(record.getMessage()), None
        return True
