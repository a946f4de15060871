"""Walk-forward: the same training again and again, each time judged on the days that came next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.periods import PeriodsConfig
from apex_trader.time import DAY, day_start, format_date, parse_time


@dataclass(frozen=True)
class WalkForwardConfig:
    """Folds of a walk-forward test (``train walk_forward.folds=3``).

    folds: how often to train, each time from scratch on all that came before; 0 for a single run,
        divided as ``periods`` says.
    share: of the days, at their end, that are tested; every fold tests an equal part of them. What
        lies before a fold's test is divided by ``periods.validation`` and ``periods.extractor``.
    embargo: days left out before validation and before the test of each fold.
    days: that a fold trains and validates on at most, the newest; 0 for all before its test.
    """

    folds: int = 0
    share: float = 0.5
    embargo: int = 1
    days: int = 0

    def __post_init__(self) -> None:
        for name in ("folds", "embargo", "days"):
            if getattr(self, name) < 0:
                raise ConfigError(f"walk_forward.{name}", getattr(self, name), "0 or more")
        if not 0.0 < self.share < 1.0:
            raise ConfigError("walk_forward.share", self.share, "a share above 0, below 1")


def fold_periods(
    days: Sequence[int], periods: PeriodsConfig, config: WalkForwardConfig
) -> list[PeriodsConfig]:
    """How each fold divides ``days`` (ascending day starts, µs) of the market.

    The folds' tests lie one behind the other and do not overlap; a fold uses no day behind its own
    test. ``periods.validation`` is here the share of the days before the test. ApexError when there
    are too few days.
    """
    start = day_start(parse_time(periods.start)) if periods.start else 0
    end = parse_time(periods.end) if periods.end else max(days, default=0) + DAY
    chosen = [day for day in days if start <= day < end]
    tested = round(config.share * len(chosen))
    if tested < config.folds or len(chosen) - tested < 2:
        raise ApexError(
            f"{len(chosen)} days are too few for walk_forward.folds={config.folds}: each fold "
            "tests at least one, and at least two lie before the first. Import or synthesize more "
            "days, or ask for fewer folds"
        )
    first = len(chosen) - tested
    edges = [first + round(k * tested / config.folds) for k in range(config.folds + 1)]
    return [_fold(chosen, edges[k], edges[k + 1], periods, config) for k in range(config.folds)]


def _fold(
    days: Sequence[int], test: int, stop: int, periods: PeriodsConfig, config: WalkForwardConfig
) -> PeriodsConfig:
    """Of the fold that tests days[test:stop]."""
    before = [day for day in days[:test] if day < days[test] - config.embargo * DAY]
    before = before[-config.days :] if config.days else before
    if len(before) < 2:
        raise ApexError(
            f"walk_forward.embargo={config.embargo} leaves {len(before)} days before the test that "
            f"begins on {format_date(days[test])}: a fold needs at least two"
        )
    count = max(round(periods.validation * len(before)), 1 if periods.validation else 0)
    validated = before[len(before) - count] if count else days[test]
    return replace(
        periods,
        start=format_date(before[0]),
        end=format_date(days[stop - 1] + DAY),
        validation_start=format_date(validated) if count else "",
        validation=periods.validation if count else 0.0,
        test_start=format_date(days[test]),
        embargo=config.embargo,
    )
