"""A long market's encodings come back from their file as the network made them."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from apex_trader.errors import ApexError
from apex_trader.evaluation import encodings
from apex_trader.evaluation.encodings import EncodedMarket

torch.set_num_threads(1)
ROWS, SIZE, WIDTH = 20, 6, 3


class Tables:
    """Two segments of 20 rows, whose states are drawn."""

    def __init__(self, seed: int) -> None:
        drawn = np.random.default_rng(seed).normal(size=(2 * ROWS, SIZE))
        self.states = torch.from_numpy(drawn.astype(np.float32))
        self.device, self.decisions, self.first_row = torch.device("cpu"), 2 * ROWS, [0, ROWS]


class Network(nn.Module):
    """A linear encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(SIZE, WIDTH)
        self.encoder.width = WIDTH

    def encode(self, states: torch.Tensor) -> torch.Tensor:
        return self.encoder(states)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Stretches of 8 rows, and pages let go after every few reads."""
    monkeypatch.setattr(encodings, "STRETCH", 8)
    monkeypatch.setattr(encodings, "_KEPT_ROWS", 5)
    monkeypatch.setattr(encodings, "gather", lambda tables, rows: tables.states[rows])


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as made:
        yield made


def test_rows_of_all_segments_are_numbered_on_and_come_back_in_any_order(pool):
    network, days = Network(), [Tables(1), Tables(2), Tables(3)]
    with EncodedMarket(network, pool) as market:
        for tables in days:
            market.add(tables, np.ones(tables.decisions, np.bool_))
        market.finish()
        states = torch.cat([tables.states for tables in days])
        rows = np.random.default_rng(0).permutation(len(states))
        with torch.no_grad():
            wanted = network.encode(states)
        for part in np.array_split(rows, 9):
            torch.testing.assert_close(market.of(part), wanted[part])
        assert market.rows == len(states)
        for first, stop in market.stretches:
            torch.testing.assert_close(market.read(first, stop), wanted[first:stop])


def test_stretches_end_with_their_segment_and_are_left_out_where_nothing_is_wanted(pool):
    wanted = np.zeros(2 * ROWS, np.bool_)
    wanted[[3, 17, 39]] = True
    seen: dict[int, int] = {}
    with EncodedMarket(Network(), pool) as market:
        market.add(Tables(1), wanted, lambda first, states: seen.update({first: len(states)}))
        market.finish()
        assert market.stretches == [(0, 8), (16, 20), (36, 40)]
        assert seen == {0: 8, 16: 4, 36: 4}
        assert market.of(np.array([3, 17, 39])).shape == (3, WIDTH)
        with pytest.raises(ApexError, match="nobody said would be"):
            market.of(np.array([3, 9]))


def test_a_full_disk_says_where_room_is_needed(pool, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(encodings.os, "pwrite", full)
    wanted = np.arange(2 * ROWS) == 0
    with EncodedMarket(Network(), pool) as market:
        market.add(Tables(1), wanted)
        with pytest.raises(ApexError, match=r"No space left.*set TMPDIR"):
            market.finish()
