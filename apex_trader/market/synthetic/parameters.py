"""Parameters of a generator: what they are called, mean and allow."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apex_trader.errors import ApexError, ConfigError
from apex_trader.time import DAY, parse_time

Value = int | float | str


@dataclass(frozen=True)
class Parameter:
    """One parameter of a generator.

    name: as the user types it. default: also decides the type. meaning: one line, with the unit.
    low, high: inclusive bounds of a number. choices: all values of a word, when they are few.
    date: the value is a UTC date. minute_default: the default under ``clock=1m``, where it differs.
    """

    name: str
    default: Value
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    date: bool = False
    minute_default: Value | None = None

    @property
    def allowed(self) -> str:
        """What may be given, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.date:
            return "a UTC date such as 2024-01-01"
        if isinstance(self.default, str):
            return "text"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}"

    def of_minutes(self) -> Parameter:
        """The parameter as it stands under ``clock=1m``."""
        return self if self.minute_default is None else replace(self, default=self.minute_default)

    def check(self, place: str, value: object) -> Value:
        """The value in its type. Numbers may be given as text. ConfigError when not allowed."""
        error = ConfigError(f"{place}.{self.name}", value, self.allowed)
        if isinstance(self.default, str):
            return self._check_text(str(value), error)
        if isinstance(value, bool):
            raise error
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise error from None
        low = float("-inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        if not low <= number <= high:
            raise error
        if isinstance(self.default, float):
            return number
        if number != int(number):
            raise error
        return int(number)

    def _check_text(self, value: str, error: ConfigError) -> str:
        if self.choices and value not in self.choices:
            raise error
        if self.date:
            try:
                whole_day = parse_time(value) % DAY == 0
            except ApexError:
                raise error from None
            if not whole_day:
                raise error
        return value


def close_match(word: str, words: Sequence[str]) -> str:
    """``; did you mean X?`` or nothing."""
    matches = difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def resolve(
    generator: str, table: Sequence[Parameter], given: Mapping[str, object]
) -> dict[str, Any]:
    """Every parameter's value: what was given, checked, else the default of the clock in use.

    ConfigError names an unknown parameter with its closest match, or a value that is not allowed.
    """
    names = [parameter.name for parameter in table]
    for name, value in given.items():
        if name not in names:
            allowed = f"{generator} knows {', '.join(names)}{close_match(name, names)}"
            raise ConfigError(f"{generator}.{name}", value, allowed)
    minutes = given.get("clock") == "1m"
    resolved: dict[str, Any] = {}
    for parameter in table:
        parameter = parameter.of_minutes() if minutes else parameter
        value = given.get(parameter.name)
        resolved[parameter.name] = (
            parameter.default if value is None else parameter.check(generator, value)
        )
    return resolved
