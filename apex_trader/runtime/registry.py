"""The run's market segments by number, so that an experience can name one in four bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apex_trader.errors import MismatchError
from apex_trader.time import format_date


class SegmentRegistry:
    """Day ↔ number, and the content key of each segment seen so far.

    The numbers are fixed when the run starts. A key is recorded when its segment is first built
    and must be the same ever after: a reference can never change its meaning.
    """

    def __init__(self, days: Iterable[int]) -> None:
        self.days = tuple(days)
        self._number = {day: i for i, day in enumerate(self.days)}
        self._keys: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.days)

    def number(self, day: int) -> int:
        """The segment number of a day; KeyError for a day outside the run."""
        return self._number[day]

    def record(self, number: int, key: str) -> None:
        """Note a segment's content key. Raises MismatchError when it was another before."""
        known = self._keys.setdefault(number, key)
        if known != key:
            raise MismatchError(
                f"the market data of {format_date(self.days[number])} changed since this run "
                f"began (content {known[:12]}, now {key[:12]}): restore the market store, or "
                "start a new run"
            )

    def state_dict(self) -> dict[str, Any]:
        """Days and keys, as plain values."""
        return {"days": list(self.days), "keys": {str(k): v for k, v in self._keys.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up recorded keys. Raises MismatchError when the days are not the same."""
        if tuple(state["days"]) != self.days:
            raise MismatchError(
                f"the run was started on {len(state['days'])} days of market data, now there are "
                f"{len(self.days)} or others: give the same market.store and periods, or start a "
                "new run"
            )
        for number, key in state["keys"].items():
            self.record(int(number), key)
