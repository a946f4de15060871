"""Which days serve what, in this order: extractor, agent, validation, calibration, test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apex_trader.errors import ApexError, ConfigError
from apex_trader.time import DAY, day_start, format_date, parse_time

#: What the days of a run serve, the last first.
PERIODS = ("test", "calibration", "validation", "agent", "extractor")


@dataclass(frozen=True)
class PeriodsConfig:
    """How the days of the market are divided, in time order.

    start, end: first day and the day after the last (ISO dates); empty for all that there is.
    validation, test: shares of the days at the end, for choosing checkpoints and for the final
        figures. Either may be 0; then nothing is chosen or judged there.
    validation_start, test_start: dates instead of shares.
    calibration: share of the validation days, the last of them, that choose no checkpoint: on them
        the agent's confidence is calibrated. A single validation day chooses, and none calibrates.
    extractor: share of the remaining (training) days that the CNN is fitted on; the agent is
        trained on the rest.
    embargo: days left out before the first validation and before the first test day, which are
        then used for nothing: days that follow each other resemble each other.
    """

    start: str = ""
    end: str = ""
    validation: float = 0.15
    test: float = 0.15
    validation_start: str = ""
    test_start: str = ""
    calibration: float = 0.5
    extractor: float = 0.4
    embargo: int = 0

    def __post_init__(self) -> None:
        for name in ("validation", "test", "calibration", "extractor"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise ConfigError(f"periods.{name}", value, "a share from 0 to below 1")
        if self.embargo < 0:
            raise ConfigError("periods.embargo", self.embargo, "whole days, 0 or more")
        if self.validation + self.test >= 1.0:
            raise ConfigError(
                "periods.validation", self.validation, "less than 1 with periods.test"
            )
        for name in ("start", "end", "validation_start", "test_start"):
            text = getattr(self, name)
            if text:
                try:
                    parse_time(text)
                except ApexError as error:
                    raise ConfigError(f"periods.{name}", text, str(error)) from None
        if self.start and self.end and parse_time(self.end) <= parse_time(self.start):
            raise ConfigError("periods.end", self.end, f"a day after periods.start={self.start}")


@dataclass(frozen=True)
class Periods:
    """Starts of UTC days (µs), each list ascending, no two overlapping.

    validation: the days that checkpoints are chosen on. calibration: validation days that chose
    nothing. agent_from: the agent's training uses no decision before it (the embargo: the
    extractor's labels reach one longest horizon into the agent's first day).
    """

    extractor: tuple[int, ...]
    agent: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    agent_from: int
    calibration: tuple[int, ...] = ()

    @property
    def all(self) -> tuple[int, ...]:
        """Every day, in order."""
        return tuple(day for name in reversed(PERIODS) for day in getattr(self, name))

    def days(self, period: str) -> tuple[int, ...]:
        """The days of a period of ``PERIODS``. ApexError when there is none of that name, or when
        it has no day."""
        if period not in PERIODS:
            raise ConfigError("period", period, f"one of {', '.join(PERIODS)}")
        days: tuple[int, ...] = getattr(self, period)
        if not days:
            raise ApexError(
                f"the run has no {period} days; it has "
                + "; ".join(f"{name} {text}" for name, text in self.describe().items())
                + ". Choose another period, or give the first day and the day after the last"
            )
        return days

    def describe(self) -> dict[str, str]:
        """First and last date and the number of days of each part."""
        out = {}
        for name in reversed(PERIODS):
            days = getattr(self, name)
            out[name] = days_text(days)
        return out


def days_text(days: Sequence[int]) -> str:
    """First and last date of ascending days, and how many there are."""
    count = _count(len(days))
    if not days:
        return count
    first, last = format_date(days[0]), format_date(days[-1])
    return f"{first}, {count}" if first == last else f"{first} … {last}, {count}"


def _count(days: int) -> str:
    return f"{days} day{'s' * (days != 1)}"


def split_days(days: list[int], config: PeriodsConfig, longest_horizon: int) -> Periods:
    """Divide ``days`` (ascending day starts, µs).

    Raises ApexError when there are too few days for every part that the configuration asks for.
    """
    chosen = _within(days, config)
    test_from = _boundary(chosen, config.test_start, config.test, len(chosen))
    embargo = config.embargo * DAY
    test = [d for d in chosen if d >= test_from]
    before_test = [d for d in chosen if d < test_from - (embargo if test else 0)]
    validation_from = _boundary(
        before_test, config.validation_start, config.validation, len(chosen)
    )
    held = [d for d in before_test if d >= validation_from]
    training = [d for d in before_test if d < validation_from - (embargo if held else 0)]
    chooses = len(held) - min(round(config.calibration * len(held)), max(len(held) - 1, 0))
    count = round(config.extractor * len(training))
    if config.extractor > 0:
        count = min(max(count, 1), len(training))
    parts = Periods(
        extractor=tuple(training[:count]),
        agent=tuple(training[count:]),
        validation=tuple(held[:chooses]),
        test=tuple(test),
        agent_from=(training[count - 1] + DAY if count else 0) + longest_horizon,
        calibration=tuple(held[chooses:]),
    )
    _check(parts, config, chosen)
    return parts


def _within(days: list[int], config: PeriodsConfig) -> list[int]:
    start = day_start(parse_time(config.start)) if config.start else 0
    end = parse_time(config.end) if config.end else max(days, default=0) + DAY
    chosen = [d for d in days if start <= d < end]
    if not chosen:
        have = f"{format_date(days[0])} to {format_date(days[-1])}" if days else "no day at all"
        raise ApexError(
            f"no day to train on between periods.start={config.start!r} and "
            f"periods.end={config.end!r}: the market store can build states for {have}"
        )
    return chosen


def _boundary(days: list[int], date: str, share: float, total: int) -> int:
    """First day of the last part of ``days``: a date, or a share of ``total`` days."""
    if date:
        return day_start(parse_time(date))
    count = round(share * total)
    if share > 0:
        count = max(count, 1)
    if count == 0 or count > len(days):
        return days[-1] + DAY if count == 0 and days else 0
    return days[-count]


def _check(parts: Periods, config: PeriodsConfig, days: Sequence[int]) -> None:
    needed = {
        "extractor": config.extractor > 0,
        "agent": True,
        "validation": config.validation > 0 or bool(config.validation_start),
        "test": config.test > 0 or bool(config.test_start),
    }
    empty = [name for name, asked in needed.items() if asked and not getattr(parts, name)]
    if empty:
        dates = [f"periods.{name}={value}" for name in ("validation_start", "test_start")
                 if (value := getattr(config, name))]  # fmt: skip
        short = f"{_count(len(days))} {'is' if len(days) == 1 else 'are'} too few"
        given = f"{days_text(days)}, with {' and '.join(dates)}" if dates else short
        raise ApexError(
            f"{given}: nothing is left for {', '.join(empty)}. Import or synthesize more days, or "
            f"change {'these dates or ' if dates else ''}periods.extractor, periods.validation, "
            "periods.test"
        )
