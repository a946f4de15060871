"""The run's market segments by number, so that an experience can name one in four bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apex_trader.errors import MismatchError
from apex_trader.time import format_date


class SegmentRegistry:
    """Day ↔ number, and the content key of each segment seen so far.

    The numbers of the store's days are fixed when the run starts. A key is recorded when its
    segment is first built and must be the same ever after: a reference can never change its
    meaning. Days of a live market come behind them as they begin. Such a day's segment grows, by
    rows behind those that it has: its key is that of its newest part, recorded with the time at
    which that ends, so that a resumed run can tell whether the store still holds that part.
    """

    def __init__(self, days: Iterable[int]) -> None:
        self.days = tuple(days)
        self._fixed = len(self.days)
        self._number = {day: i for i, day in enumerate(self.days)}
        self._keys: dict[int, str] = {}
        #: The run follows a live market.
        self.follows_stream = False
        self._until: dict[int, int] = {}

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

    @property
    def live(self) -> dict[int, tuple[str, int]]:
        """Key and end (µs) of the newest part of each live day, by number, ascending."""
        return {n: (self._keys[n], until) for n, until in sorted(self._until.items())}

    def grow(self, day: int, key: str, until: int) -> int:
        """Note a live day's newest part, which ends at ``until`` µs; returns the day's number.

        MismatchError when the same part had another content before, or the day is not a live one.
        """
        if day not in self._number:
            self._number[day] = len(self.days)
            self.days = (*self.days, day)
        number = self._number[day]
        if number < self._fixed:
            raise MismatchError(
                f"{format_date(day)} comes live, but it is one of the run's days of the store: "
                "set periods.end to that day or an earlier one"
            )
        if until == self._until.get(number):
            self.record(number, key)
        if until >= self._until.get(number, until):
            self._keys[number], self._until[number] = key, until
        return number

    @property
    def gone(self) -> frozenset[int]:
        """Numbers of the live days that nothing may refer to any more."""
        return frozenset(range(self._fixed, len(self.days))) - self._until.keys()

    def let_go(self, number: int) -> None:
        """Nothing refers to a live day any more. Its number stays its own: the same day, should it
        come once more with another content, gets another one."""
        self._until.pop(number, None)
        self._keys.pop(number, None)
        if self._number.get(self.days[number]) == number:
            del self._number[self.days[number]]

    def take_keys(self, state: dict[str, Any]) -> None:
        """Note the keys in another process's state of the same days. Errors as in ``record``."""
        for number, key in state["keys"].items():
            self.record(int(number), key)

    def follow(self, state: dict[str, Any]) -> None:
        """Take over the live days from the state of the process that numbers them."""
        for number in self._until:
            self._keys.pop(number, None)
        self.days = (*self.days[: self._fixed], *state["live"])
        self._until = {int(number): until for number, until in state["until"].items()}
        self._keys |= {number: state["keys"][str(number)] for number in self._until}
        self._bind()

    def state_dict(self) -> dict[str, Any]:
        """Days and keys, as plain values."""
        return {
            "days": list(self.days[: self._fixed]),
            "live": list(self.days[self._fixed :]),
            "keys": {str(k): v for k, v in self._keys.items()},
            "until": {str(k): v for k, v in self._until.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up recorded keys. Raises MismatchError when the days are not the same."""
        if tuple(state["days"]) != self.days[: self._fixed]:
            raise MismatchError(
                f"the run was started on {len(state['days'])} days of market data, now there are "
                f"{self._fixed} or others: give the same market.store and periods, or start a "
                "new run"
            )
        if state.get("live") and not self.follows_stream:
            raise MismatchError(
                "the run followed a live market, to whose days its experience refers: resume it "
                "with rollout.source=stream"
            )
        self.days = (*self.days[: self._fixed], *state.get("live", ()))
        self._until |= {int(number): until for number, until in state.get("until", {}).items()}
        self._bind()
        self.take_keys(state)

    def _bind(self) -> None:
        """Day → number, of the store's days and of the live ones that were not let go."""
        gone = self.gone
        self._number = {day: i for i, day in enumerate(self.days) if i not in gone}
