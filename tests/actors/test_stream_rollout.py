"""Lanes on a live market: every decision once, accounts that go on, nothing lost at a seam."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.config import RolloutConfig
from actors.market import RolloutMarket
from actors.stream_rollout import StreamRollout
from apex_trader.errors import ApexError
from apex_trader.experience import Transitions
from apex_trader.state.gather import MarketTables
from apex_trader.trading.config import RewardConfig, TradingConfig
from tests.actors.conftest import ROWS

torch.set_num_threads(1)
CONFIG = RolloutConfig(
    lanes=6, branches=3, outcomes="taken", n_step=3, gamma=0.9, collect_steps=7, extrema_radius=3,
    epsilon_exponent=2.0, source="stream",
)  # fmt: skip
REWARD = RewardConfig(pivot_potential=5e-4, cnn_potential=5e-4, pivot_bonus=1e-3)
TRADING = TradingConfig(ruin_fraction=0.5, lot_size=0.0, tick_size=0.0, min_notional=0.0)


def part(segment, count):
    """The first ``count`` decisions of a segment, as they are sealed while the day goes on."""
    if count == segment.rows:
        return segment
    known, later, events = segment.decisions, segment.outcomes, segment.pivot_events

    def cut(holder):
        arrays = {
            name: {c: a[:count] for c, a in value.items()} if isinstance(value, dict)
            else value[:count]
            for name, value in vars(holder).items()
        }  # fmt: skip
        return replace(holder, **arrays)

    following = later.next_row[:count].copy()
    following[-1] = -1
    told = events.known_row < count
    return replace(
        segment, key=f"{segment.key}-{count}", decisions=cut(known),
        outcomes=replace(cut(later), next_row=following),
        pivot_events=type(events)(**{n: a[told] for n, a in vars(events).items()}),
    )  # fmt: skip


def market_of(days, schema, first=0):
    """[(segment, decisions of it that are there)] as a market with CNN rows; days count from 0."""
    parts = [part(segment, count) for segment, count in days]
    tables = MarketTables.from_segments(parts, schema)
    for day, (at, piece) in enumerate(zip(tables.first_row, parts, strict=True), start=first):
        rows = np.random.default_rng(day).uniform(-1, 1, (ROWS, 2, 528)).astype(np.float16)
        tables.write_cnn(at, rows[: piece.rows], "v1")
    numbers = [5 + first + k for k in range(len(days))]
    return RolloutMarket.build(parts, numbers, tables, CONFIG.extrema_radius)


@pytest.fixture(scope="module")
def make(make_segment, schema, make_network):
    """make(segments): a follower of the days; see ``Follower``."""

    def follower(segments=None, **changes):
        segments = segments or [make_segment(day) for day in range(3)]
        return Follower(segments, schema, make_network(0), replace(CONFIG, **changes))

    return follower


@pytest.fixture(scope="module", params=["taken", "all"])
def sealed_whole(make, request):
    """A follower of three days, each sealed at once; outcomes of the actions taken, or of all."""
    follower = make(outcomes=request.param)
    follower.seal(2, ROWS)
    return follower


class Follower:
    """A stream rollout whose market is sealed further and further."""

    def __init__(self, segments, schema, network, config):
        self.segments, self.schema = segments, schema
        self._network, self._config = network, config
        self.begin = int(segments[0].decisions.ts[10])
        self.worker = None
        self.results = []

    def seal(self, day, count, first=0):
        """The days up to one are there, the last of them up to a decision; collect all."""
        days = [(s, ROWS) for s in self.segments[first:day]] + [(self.segments[day], count)]
        market, complete = market_of(days, self.schema, first), count == ROWS
        if self.worker is None:
            if not StreamRollout.can_begin(market, self.begin):
                return
            self.worker = StreamRollout(
                market, complete, self._network, self._config, TRADING, REWARD, begin=self.begin
            )
        else:
            self.worker.follow(market, complete)
        while self.worker.ready:
            self.results.append(self.worker.collect())

    @property
    def transitions(self):
        return Transitions.concatenate([r.transitions for r in self.results])

    @property
    def priorities(self):
        return np.concatenate([r.priorities for r in self.results])

    def tagged(self):
        return {(tag.segment, int(row)) for r in self.results for tag in r.tags for row in tag.rows}


@settings(max_examples=5, deadline=None, derandomize=True)
@given(
    cuts=st.lists(st.integers(1, 3 * ROWS - 1), max_size=8, unique=True),
    forget=st.booleans(),
)
def test_the_seams_of_sealed_parts_leave_no_trace_in_the_experience(
    make, sealed_whole, cuts, forget
):
    """Sealed in any parts, old days dropped or not: the same transitions, priorities and tags."""
    whole, pieces = sealed_whole, make(outcomes=sealed_whole.worker.config.outcomes)
    for cut in sorted({*cuts, ROWS, 2 * ROWS, 3 * ROWS}):
        day, count = (cut - 1) // ROWS, (cut - 1) % ROWS + 1
        standing = pieces.worker.standing - 5 if pieces.worker else 0
        pieces.seal(day, count, first=max(0, standing - 1) if forget else 0)
    for name, column in vars(whole.transitions).items():
        np.testing.assert_array_equal(getattr(pieces.transitions, name), column, err_msg=name)
    np.testing.assert_array_equal(pieces.priorities, whole.priorities)
    if not forget:
        assert pieces.tagged() == whole.tagged()


def test_every_lane_takes_every_decision_once_from_the_beginning_on(make):
    follower = make(n_step=1)
    for count in (5, 30, 70, 71, 72, 100, ROWS):
        follower.seal(0, count)
    follower.seal(1, 60)
    follower.seal(1, ROWS)
    taken = follower.transitions
    keys = np.column_stack([taken.segment, taken.row])
    rows, times = np.unique(keys, axis=0, return_counts=True)
    assert (times == CONFIG.lanes).all()
    wanted = [
        (5 + day, row)
        for day, segment in enumerate(follower.segments[:2])
        for row in np.flatnonzero(segment.outcomes.next_row >= 0)
        if segment.decisions.ts[row] >= follower.begin
    ]
    last = wanted.pop()  # its transition waits for the value of the state that follows
    assert [tuple(r) for r in rows.tolist()] == wanted
    assert last == (6, ROWS - 2)


def test_accounts_go_on_over_a_gap_and_over_midnight(make):
    follower = make(epsilon_base=1.0, epsilon_exponent=0.0)  # all of them trade
    follower.seal(0, 60)
    worker = follower.worker
    carried, original = [], worker.simulator.carry

    def carry(lanes, rows):
        before = worker.simulator.position[lanes], worker.simulator.equity[lanes]
        gained = original(lanes, rows)
        carried.append((before, gained, worker.simulator.position[lanes],
                        worker.simulator.equity[lanes]))  # fmt: skip
        return gained

    worker.simulator.carry = carry
    follower.seal(0, ROWS)
    follower.seal(1, 60)
    assert len(carried) == 2  # the gap at row 70, and midnight
    for (position, equity), gained, later_position, later_equity in carried:
        np.testing.assert_array_equal(later_position, position)
        np.testing.assert_allclose(later_equity, equity + gained, rtol=1e-12)
    assert np.any(carried[0][2] != 0)
    assert np.any(worker.simulator.equity != TRADING.initial_equity)


def test_a_gap_and_a_day_end_cut_the_episode_and_a_seam_does_not(make):
    follower = make(n_step=1)
    follower.seal(0, 40)
    follower.seal(0, ROWS)
    follower.seal(1, ROWS)
    episodes = sum(r.metrics.get("actors/episodes", 0.0) for r in follower.results)
    assert episodes == 4 * CONFIG.lanes
    assert (follower.transitions.discount > 0).all()


def test_ruin_makes_that_lane_start_anew_where_it_stands(make, make_segment):
    segments = [make_segment(0, drop=50), make_segment(1)]
    follower = make(segments)
    for count in (20, 50, 55, ROWS):
        follower.seal(0, count)
    ruined = sum(r.metrics.get("actors/ruined", 0.0) for r in follower.results)
    assert 0 < ruined < CONFIG.lanes
    terminal = follower.transitions.discount == 0.0
    assert terminal.any()
    assert (np.bincount(follower.transitions.row, minlength=ROWS)[60:68] == CONFIG.lanes).all()


def test_lanes_wait_in_front_of_the_last_sealed_decision(make):
    follower = make()
    follower.seal(0, 40)
    worker = follower.worker
    assert not worker.ready
    assert worker.simulator.rows.tolist() == [38] * CONFIG.lanes
    assert worker.collect().steps == 0
    follower.seal(0, 41)
    assert worker.simulator.rows.tolist() == [39] * CONFIG.lanes


def test_a_market_that_does_not_go_on_is_refused(make, make_market):
    follower = make()
    follower.seal(0, ROWS)
    follower.seal(1, 40)
    with pytest.raises(ApexError, match="not part of the market"):
        follower.worker.follow(market_of([(follower.segments[2], 9)], follower.schema, 2), False)
    with pytest.raises(ApexError, match="other rows"):
        follower.worker.follow(market_of([(follower.segments[2], ROWS)], follower.schema, 0), False)
    with pytest.raises(ApexError, match="use follow"):
        follower.worker.set_market(make_market())
