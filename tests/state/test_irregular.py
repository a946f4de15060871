"""Irregular minutes from an archive's file to decisions: against a count by hand, minute by minute.

Absent minutes, minutes without volume, a stand-still over midnight, days of nothing.
"""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from apex_trader.data import main
from apex_trader.market.history import StoreSource
from apex_trader.market.store import MarketStore
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.schema import eth_minutes
from apex_trader.time import DAY, HOUR, MINUTE

#: 2024-03-01, and the days of that month.
MARCH, DAYS = 1_709_251_200_000_000, 31
WINDOW, LONGEST = 16, 10
ETH, BTC = "binance:ETHUSDT", "binance:BTCUSDT"
#: Days that are looked at: with pauses, with a stand-still over midnight, after days of nothing.
LOOKED_AT = [20, 21, 24, 28]


@dataclass(frozen=True)
class Minutes:
    """traded, recorded [n]: of each minute of the month, whether it has volume, or a row at all."""

    traded: np.ndarray
    recorded: np.ndarray


def irregular(rng: np.random.Generator) -> Minutes:
    n = DAYS * 1440
    traded, recorded = np.ones(n, bool), np.ones(n, bool)
    for length in (1, 2, 9, 10, 11, 12, 40):
        for at in rng.integers(0, n - length, 12):
            traded[at : at + length] = False
            # Some exchanges fill a pause with rows without volume, some leave it out.
            recorded[at : at + length] = rng.random() < 0.5
    midnight = 21 * 1440
    traded[midnight - 7 : midnight + 6] = False  # 13 minutes, none of the two days has 10 of them
    traded[24 * 1440 + 600 : 28 * 1440 + 63] = False
    recorded[24 * 1440 + 600 : 28 * 1440 + 63] = False
    traded[0] = recorded[0] = True
    recorded |= traded
    return Minutes(traded, recorded)


def zipped(folder: Path, symbol: str, minutes: Minutes, rng: np.random.Generator) -> str:
    """The month as Binance's archive writes it."""
    close = np.round(2000 * np.exp(np.cumsum(rng.normal(0, 3e-4, len(minutes.traded)))), 2)
    last = np.maximum.accumulate(np.where(minutes.traded, np.arange(len(close)), 0))
    close = close[last]
    volume = np.where(minutes.traded, rng.integers(1, 9999, len(close)) / 100, 0.0)
    times = MARCH // 1000 + np.arange(len(close)) * 60_000
    lines = [
        f"{t},{c},{c},{c},{c},{v},{t + 59_999},{v * c:.4f},{int(v > 0)},{v},0,0"
        for t, c, v in zip(times.tolist(), close.tolist(), volume.tolist(), strict=True)
    ]
    path = folder / f"{symbol}-1m-2024-03.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        rows = np.flatnonzero(minutes.recorded)
        archive.writestr(path.stem + ".csv", "\n".join(lines[k] for k in rows) + "\n")
    return str(path)


@dataclass(frozen=True)
class World:
    minutes: Minutes
    store: MarketStore


@pytest.fixture(scope="module", params=[1, 2])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder, rng = tmp_path_factory.mktemp("irregular"), np.random.default_rng(request.param)
    minutes = irregular(rng)
    full = Minutes(np.ones_like(minutes.traded), np.ones_like(minutes.traded))
    files = [zipped(folder, "ETHUSDT", minutes, rng), zipped(folder, "BTCUSDT", full, rng)]
    store = str(folder / "store")
    assert main(["import", *files, "--store", store, "--exchange", "binance"]) == 0
    return World(minutes, MarketStore(store))


@pytest.fixture(scope="module")
def builder(world: World) -> SegmentBuilder:
    return SegmentBuilder(eth_minutes(WINDOW).without("cnn_hidden", "cnn_predictions"),
                          StoreSource(world.store, ETH), StoreSource(world.store, BTC))  # fmt: skip


def run_lengths(absent: np.ndarray) -> list[int]:
    return [len(run) for run in re.findall("x+", "".join("x" if a else "." for a in absent))]


def test_figures_and_checks_name_what_is_absent(world: World, capsys) -> None:
    absent = run_lengths(~world.minutes.recorded)
    inner = absent[:-1] if not world.minutes.recorded[-1] else absent
    main(["info", "--store", world.store.url, "--json", "--market", ETH])
    figures = json.loads(capsys.readouterr().out)[ETH]["kinds"]["1m"]
    assert figures["rows"] == world.minutes.recorded.sum()
    assert figures["zero_volume"] == (world.minutes.recorded & ~world.minutes.traded).sum()
    assert (figures["gaps"], figures["missing"]) == (len(inner), sum(inner))
    assert figures["longest"] == max(inner) * MINUTE
    assert main(["verify", "--store", world.store.url]) == 0
    told = capsys.readouterr().out
    assert f"{sum(absent):,} bars are absent in {len(absent):,} stretches" in told
    assert "0 violations, 1 warnings" in told


def stretches_by_hand(traded: list[bool], longest: int = LONGEST) -> list[int | None]:
    """Of each row the one with which its stretch of trading began; None in a gap.

    longest: rows of a pause that ends no stretch.
    """
    out: list[int | None] = []
    first, pause = None, 0
    for minute, somebody in enumerate(traded):
        if somebody:
            first = minute if first is None or pause > longest else first
            pause = 0
        else:
            pause += 1
        out.append(first if pause <= longest else None)
    return out


@pytest.mark.parametrize("day", LOOKED_AT)
def test_windows_and_episodes_are_those_counted_by_hand(
    world: World, builder: SegmentBuilder, day: int
) -> None:
    segment = builder.build(MARCH + day * DAY)
    known, going_on = segment.decisions, segment.outcomes.next_row
    stretch = stretches_by_hand(world.minutes.traded.tolist())
    # A decision knows the minute that closes at it.
    begins = [stretch[day * 1440 + row - 1] for row in range(1440)]
    for row, begin in enumerate(begins):
        shown = 0 if begin is None else min(WINDOW, day * 1440 + row - begin)
        assert known.row["1m"][row] - known.start["1m"][row] + 1 == shown, row
        if begin is None:
            assert not known.decidable[row], "in a gap nothing is decided"
        if going_on[row] >= 0:
            assert begin is not None
            assert begins[row + 1] == begin, "no transition crosses a gap"
    assert known.decidable.any()


def test_coarse_clocks_go_on_over_days_of_nothing_and_coverage_tells(
    world: World, builder: SegmentBuilder
) -> None:
    segment = builder.build(MARCH + 28 * DAY)
    known, resumed = segment.decisions, 63
    names = [block.name for block in builder.schema.blocks]
    fast = names.index("primary_1m")
    assert (known.coverage[:resumed, fast] == 0).all()
    assert not known.decidable[: resumed + 1].any()
    np.testing.assert_allclose(known.coverage[resumed + 1 : resumed + 6, fast],
                               np.arange(1, 6) / WINDOW, atol=1e-6)  # fmt: skip
    for clock in ("1h", "1d"):
        assert (known.coverage[:, names.index(f"primary_{clock}")] == 1).all()
    hours = StoreSource(world.store, ETH).bars("1h")
    place = known.row["1h"][600]
    last = np.searchsorted(hours.ts + HOUR, known.ts[600], side="right") - 1
    close = segment.tables["primary_1h"][place, 3]
    assert close == pytest.approx(np.log(hours.close[last]) - segment.base[0], abs=1e-6)


def test_a_row_that_is_missing_is_nowhere_a_zero(world: World, builder: SegmentBuilder) -> None:
    """Rows of the tables before a day of nothing are there or NaN, prices never 0 by default."""
    for day in LOOKED_AT:
        segment = builder.build(MARCH + day * DAY)
        table = segment.tables["primary_1m"]
        anchored = table[:, :4] + segment.base[0]
        assert (np.isnan(anchored) | (anchored > np.log(500))).all()
