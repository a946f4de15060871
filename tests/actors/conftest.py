from dataclasses import replace

import numpy as np
import pytest
import torch

from actors.market import RolloutMarket
from apex_trader.experience import Transitions
from apex_trader.models.config import DuelingConfig, EncoderConfig, StackConfig
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import eth_minutes
from apex_trader.state.segment import Decisions, Outcomes, PivotEvents, Segment
from apex_trader.time import DAY, MINUTE

torch.set_num_threads(1)

WINDOW, ROWS, SIGMA = 16, 120, 1e-3
FIRST_DAY = 20_000 * DAY


def _transitions(random, n, segments=3, rows=12):
    out = Transitions.empty(n)
    out.segment[:] = random.integers(0, segments, n)
    out.row[:] = random.integers(0, rows, n)
    out.next_row[:] = out.row + 3
    out.account[:] = random.normal(size=(n, 8))
    out.next_account[:] = random.normal(size=(n, 8))
    out.action[:] = random.integers(0, 3, n)
    out.reward[:] = random.normal(size=n)
    out.discount[:] = random.random(n)
    return out


@pytest.fixture(scope="session")
def transitions():
    """transitions(random, n, segments=3, rows=12): made-up transitions, strata empty."""
    return _transitions


def _schema():
    schema = eth_minutes(rows=WINDOW)
    kept = {"primary_1m", "reference_1m", "cnn_predictions"}
    return schema.without(*(b.name for b in schema.blocks if b.name not in kept))


@pytest.fixture(scope="session")
def schema():
    return _schema()


def _pivots(known_row, own_row, ts):
    known_row, own_row = np.array(known_row, np.int64), np.array(own_row, np.int64)
    m = len(known_row)
    kind = np.where(np.arange(m) % 2, 1, -1).astype(np.int8)
    when = ts[0] + own_row * MINUTE
    return PivotEvents(known_row.astype(np.int32), np.full(m, 2, np.int8), kind, when)


def _segment(day=0, seed=0, gap=70, events=((30, 20), (90, 85)), drop=None):
    """The last ROWS minutes of a day: a random walk with a gap, and pivots (known row, own row).

    drop: row at which the price falls by 70%.
    """
    random, schema = np.random.default_rng([seed, day]), _schema()
    price = np.cumsum(random.normal(0, SIGMA, ROWS + WINDOW)) + 8.0
    if drop is not None:
        price[WINDOW + drop :] -= 1.2
    returns = np.diff(price, prepend=price[0]) / SIGMA
    tables = {b.name: np.zeros((len(price), b.width), np.float32)
              for b in schema.blocks if b.clock == "1m"}  # fmt: skip
    tables["primary_1m"][:, :4] = (price - price[0])[:, None]
    tables["primary_1m"][:, 4] = np.clip(returns, -5, 5)
    known, ones = np.arange(ROWS) + WINDOW - 1, np.ones(ROWS, np.float32)
    ts = FIRST_DAY + day * DAY + DAY - (ROWS - np.arange(ROWS, dtype=np.int64)) * MINUTE
    decisions = Decisions(
        ts=ts, start={"1m": (known - WINDOW + 1).astype(np.int32)},
        row={"1m": known.astype(np.int32)},
        anchor=np.stack([price[known] - price[0], 0 * ones], 1).astype(np.float32),
        scale={"1m": np.full((ROWS, 2), 1 / (SIGMA * np.sqrt(WINDOW) / 2), np.float32)},
        coverage=np.ones((ROWS, len(schema.blocks)), np.float32),
        decidable=np.ones(ROWS, np.bool_), sigma_hour=ones * SIGMA * 60**0.5,
        sigma_decision=ones * SIGMA, trend=random.uniform(-1, 1, ROWS).astype(np.float32),
        choppiness=0.5 * ones, mark=price[known],
    )  # fmt: skip
    following = np.arange(1, ROWS + 1)
    following[[gap, ROWS - 1]] = -1
    outcomes = Outcomes(
        fill=price[known] + 1e-5, fill_ts=ts + 1_000_000, next_row=following.astype(np.int32),
        episode=(np.arange(ROWS) > gap).astype(np.int32), funding=0 * ones,
    )  # fmt: skip
    known_row, own_row = np.array(events, np.int64).reshape(-1, 2).T
    return Segment(
        key=f"day-{day}-{seed}-{drop}", schema=schema.fingerprint, market="test:WALK",
        day=FIRST_DAY + day * DAY, base=(float(price[0]), 0.0), tables=tables, row_scale={},
        decisions=decisions, outcomes=outcomes, pivot_events=_pivots(known_row, own_row, ts),
        synthetic=True,
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_segment():
    """make_segment(day, seed, gap, events, drop): see ``_segment``."""
    return _segment


def _market(days=2, seed=0, numbers=None, radius=3, **options):
    segments = [_segment(day, seed, **options) for day in range(days)]
    tables = MarketTables.from_segments(segments, _schema())
    random = np.random.default_rng(seed)
    for first in tables.first_row:
        rows = random.uniform(-1, 1, (ROWS, 2, 528)).astype(np.float16)
        tables.write_cnn(first, rows, "v1")
    return RolloutMarket.build(segments, numbers or [5 + k for k in range(days)], tables, radius)


@pytest.fixture(scope="session")
def make_market():
    """make_market(days, seed, numbers, radius, …): a market with CNN rows, registry numbers 5…"""
    return _market


@pytest.fixture(scope="session")
def make_network():
    """make_network(seed): a small dueling network whose Q-values differ clearly."""

    def make(seed=0):
        generator = torch.Generator().manual_seed(seed)
        stack = StackConfig(strides=(4, 2), channels=(4, 8), features=16)
        encoder = replace(
            EncoderConfig(), stack=stack, hidden_features=16, vector_features=8, fusion=24, width=16
        )
        network = DuelingQNetwork(
            _schema(), 3, replace(DuelingConfig(), encoder=encoder, hidden=16), generator
        )
        with torch.no_grad():
            for head in (network.value, network.advantage):
                head.weight.mul_(100.0)
        return network

    return make
