"""Time is int64 microseconds UTC. Second k is [k, k+1)."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

#: Length of one bar of each clock, in microseconds.
CLOCKS: dict[str, int] = {"1s": SECOND, "1m": MINUTE, "1h": HOUR, "1d": DAY}


def parse_time(text: str) -> int:
    """Microseconds UTC of an ISO date or time (``2024-08-08``, ``2024-08-08T23:54:15``).

    A text without a zone is UTC. Raises ApexError when it is not a time.
    """
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise ApexError(
            f"{text!r} is not a time: write a date such as 2024-08-08 or 2024-08-08T23:54:15 (UTC)"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def format_time(micros: int) -> str:
    """ISO text of a time, as short as it is exact: ``2024-08-08 23:54:15.342``."""
    seconds, rest = divmod(int(micros), SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{rest:06d}".rstrip("0") if rest else text


def format_date(micros: int) -> str:
    """The UTC date of a time: ``2024-08-08``."""
    return datetime.fromtimestamp(int(micros) // SECOND, UTC).strftime("%Y-%m-%d")


def day_start(micros: int) -> int:
    """Start of the UTC day that holds a time."""
    return int(micros) // DAY * DAY


def floor_to(times: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Each time rounded down to a multiple of ``step`` microseconds."""
    return times // step * step
