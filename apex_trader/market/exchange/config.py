"""Which exchange, where it is, and where its keys are kept."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from apex_trader.errors import ApexError, ConfigError

#: Base of Binance's public archive of daily and monthly files.
ARCHIVE_URL = "https://data.binance.vision"
#: Exchanges whose public archive is known, by the folder of their files in it.
ARCHIVES = {"binance": "spot", "binanceusdm": "futures/um"}
#: Kinds of data that an exchange does not have, with the reason.
LACKING = {
    ("binance", "funding"): "spot markets pay no funding",
    ("binanceusdm", "1s"): "Binance has no 1 s bars of futures; trades give them",
}
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
#: What looks like a key itself, in place of a name.
_KEY = re.compile(r"[A-Za-z0-9]{32,}")


@dataclass(frozen=True)
class ExchangeConfig:
    """One exchange, and how to speak with it.

    exchange: a ccxt id, e.g. "binance" (spot) or "binanceusdm" (USD-M perpetuals).
    url, ws_url: scheme and host that take the place of the exchange's own in every REST and
    websocket address, e.g. "https://api-gcp.binance.com"; "": its own. A live market is heard
    over both, so there it takes both or none.
    archive_url: base of the public archive. testnet: the exchange's test network.
    key_env, secret_env: names of the environment variables with the API key and its secret; "":
    <EXCHANGE>_API_KEY and <EXCHANGE>_API_SECRET. key_file: a file with both (see ``credentials``),
    which wins over the environment. The keys themselves are never part of a configuration.
    timeout: seconds to wait for an answer. retries: how often a failed request is tried again.
    backoff, backoff_limit: seconds before the first repetition, doubled each time, and at most.
    """

    exchange: str = "binance"
    url: str = ""
    ws_url: str = ""
    archive_url: str = ARCHIVE_URL
    testnet: bool = False
    key_env: str = ""
    secret_env: str = ""
    key_file: str = ""
    timeout: float = 20.0
    retries: int = 8
    backoff: float = 0.5
    backoff_limit: float = 60.0

    def __post_init__(self) -> None:
        if self.exchange not in ARCHIVES:
            _check_known(self.exchange)
        for name, schemes in (
            ("url", ("http", "https")), ("ws_url", ("ws", "wss")),
            ("archive_url", ("http", "https")),
        ):  # fmt: skip
            check_url(f"exchange.{name}", getattr(self, name), schemes)
        for name in ("key_env", "secret_env"):
            value = getattr(self, name)
            if value and (_KEY.fullmatch(value) or not _VARIABLE.fullmatch(value)):
                # Perhaps it is a key: it must not be repeated on the screen or in a log.
                raise ConfigError(
                    f"exchange.{name}", "…", "the NAME of an environment variable, in capitals; "
                    "keys themselves are never given here",
                )  # fmt: skip
        if _KEY.fullmatch(self.key_file):
            raise ConfigError(
                "exchange.key_file", "…", "the path of a file with lines key=… and secret=…; keys "
                "themselves are never given here",
            )  # fmt: skip
        for name, least in (("timeout", 0.001), ("backoff", 0.0), ("backoff_limit", 0.0)):
            if not least <= getattr(self, name) < 86_400:
                raise ConfigError(f"exchange.{name}", getattr(self, name), "seconds, below a day")
        if self.retries < 0:
            raise ConfigError("exchange.retries", self.retries, "0 or more")

    def check_streaming(self) -> None:
        """ConfigError where trades would be heard at one place and asked for at another."""
        for given, lacking in (("url", "ws_url"), ("ws_url", "url")):
            if getattr(self, given) and not getattr(self, lacking):
                raise ConfigError(
                    f"exchange.{lacking}", "", f"given together with exchange.{given}="
                    f"{getattr(self, given)}: a live market is heard over both, and without it "
                    f"one of them would be {self.exchange}'s own",
                )  # fmt: skip


def check_url(field: str, value: str, schemes: tuple[str, ...]) -> None:
    """ConfigError unless the text is empty or a base URL without user name and password."""
    parts = urlsplit(value)
    if value and (parts.scheme not in schemes or not parts.hostname):
        allowed = " or ".join(f"{scheme}://host" for scheme in schemes)
        raise ConfigError(field, value, f"a base URL, {allowed}")
    if parts.username or parts.password:
        raise ConfigError(
            field, f"{parts.scheme}://…@{parts.hostname}", "a URL without user and password"
        )


def _check_known(exchange: str) -> None:
    """ApexError unless ccxt knows the exchange."""
    # Importing ccxt takes a second, which commands that ask no exchange need not spend.
    import ccxt

    if exchange in ccxt.exchanges:
        return
    close = difflib.get_close_matches(exchange.lower(), ccxt.exchanges, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else (
        "binance (spot) and binanceusdm (USD-M perpetuals) are known best, and every id of ccxt"
    )  # fmt: skip
    raise ApexError(f"no exchange {exchange!r}: {hint}")
