"""The arena: what is resident is addressed right, and nothing else is ever read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError, ConfigError, MismatchError
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.schema import eth_full
from learner.arena import DeviceArena, Loaded, SlotShape
from tests.learner.fakes import EXTRACTOR, SCHEMA, cnn_rows, filled_arena, loaded, random_segment

PARTS = {n: loaded(SCHEMA, n, rows=20 + n) for n in range(6)}
SHAPE = SlotShape.holding([p.segment for p in PARTS.values()], SCHEMA)


def arena_of(slots: int, loader: bool = False) -> DeviceArena:
    return DeviceArena(
        SCHEMA, SHAPE.nbytes(SCHEMA) * slots, shape=SHAPE, loader=PARTS.get if loader else None
    )  # type: ignore[arg-type]


def states(arena: DeviceArena, number: int, mirrored: bool) -> torch.Tensor:
    rows = np.arange(PARTS[number].segment.rows, dtype=np.int32)
    (where,) = arena.rows(np.full(len(rows), number, np.int32), rows)
    mirror = torch.full((len(rows),), mirrored)
    return gather(arena.tables, torch.from_numpy(where), mirror)


def states_alone(number: int, mirrored: bool) -> torch.Tensor:
    part = PARTS[number]
    tables = MarketTables.from_segments([part.segment], SCHEMA)
    tables.write_cnn(0, part.cnn, EXTRACTOR)  # type: ignore[arg-type]
    rows = torch.arange(part.segment.rows)
    return gather(tables, rows, torch.full(rows.shape, mirrored))


@settings(max_examples=15, deadline=None)
@given(visits=st.lists(st.integers(0, 5), min_size=1, max_size=12), slots=st.integers(1, 4))
def test_however_segments_rotate_each_gives_the_states_it_gives_alone(
    visits: list[int], slots: int
) -> None:
    arena = arena_of(slots, loader=True)
    for number in visits:
        for mirrored in (False, True):
            assert torch.equal(states(arena, number, mirrored), states_alone(number, mirrored))
        assert len(arena.resident) <= slots


def test_rows_of_many_segments_are_found_at_once() -> None:
    arena = arena_of(6)
    for number, part in PARTS.items():
        arena.add(number, part)
    segment, row = np.array([3, 0, 3, 5], np.int32), np.array([0, 4, 7, 24], np.int32)
    found, again = arena.rows(segment, row, row)
    np.testing.assert_array_equal(found, again)
    assert found.tolist() == [arena.first_row(s) + r for s, r in zip(segment, row, strict=True)]


def test_the_least_recently_used_segment_makes_room() -> None:
    arena = arena_of(2)
    assert arena.add(0, PARTS[0]) == []
    assert arena.add(1, PARTS[1]) == []
    arena.rows(np.zeros(1, np.int32), np.zeros(1, np.int32))
    assert arena.add(2, PARTS[2]) == [1]
    assert arena.resident == [0, 2]
    assert arena.add(2, PARTS[2]) == []


def test_a_segment_that_is_not_resident_is_a_clear_error() -> None:
    arena = arena_of(2)
    arena.add(0, PARTS[0])
    with pytest.raises(ApexError, match=r"segments \[4\] are not resident \(1 of 2 slots"):
        arena.rows(np.array([0, 4], np.int32), np.zeros(2, np.int32))
    with pytest.raises(ApexError, match="not resident"):
        arena.rows(np.array([2_000_000_000], np.int32), np.zeros(1, np.int32))
    with pytest.raises(ApexError, match="not resident"):
        arena.evict(4)
    with pytest.raises(ApexError, match="not resident"):
        arena.first_row(4)


def test_a_batch_wider_than_the_arena_is_a_clear_error() -> None:
    arena = arena_of(2, loader=True)
    with pytest.raises(ApexError, match="a batch spans 3 segments, the arena holds 2"):
        arena.rows(np.array([0, 1, 2], np.int32), np.zeros(3, np.int32))


def test_loading_for_a_batch_never_evicts_what_the_batch_needs() -> None:
    arena = arena_of(2, loader=True)
    arena.rows(np.array([0, 1], np.int32), np.zeros(2, np.int32))
    segment = np.array([0, 2], np.int32)
    arena.rows(segment, np.zeros(2, np.int32))
    assert arena.resident == [0, 2]


@pytest.mark.parametrize("row", [-1, 20])
def test_a_row_that_the_segment_lacks_is_an_error(row: int) -> None:
    arena = arena_of(1)
    arena.add(0, PARTS[0])
    with pytest.raises(ApexError, match="decision row that its segment lacks"):
        arena.rows(np.zeros(1, np.int32), np.array([row], np.int32))
    with pytest.raises(ApexError, match="negative segment"):
        arena.rows(np.array([-1], np.int32), np.zeros(1, np.int32))


def test_another_segment_under_the_same_number_is_a_mismatch() -> None:
    arena = arena_of(2)
    arena.add(0, PARTS[0])
    arena.evict(0)
    with pytest.raises(MismatchError, match="segment 0 was key-0, now it is key-1"):
        arena.add(0, PARTS[1])


def _first_part(part: Loaded, count: int) -> Loaded:
    """A day as it was when ``count`` of its decisions were known."""
    segment = part.segment
    known = segment.decisions
    cut = {
        name: {c: rows[:count] for c, rows in value.items()} if isinstance(value, dict)
        else value[:count]
        for name, value in vars(known).items()
    }  # fmt: skip
    early = replace(segment, key=f"{segment.key}-{count}", decisions=replace(known, **cut))
    return Loaded(early, np.asarray(part.cnn)[:count], part.extractor)


def test_a_segment_that_goes_on_keeps_its_place_and_its_states() -> None:
    arena, early = arena_of(2), _first_part(PARTS[0], 10)
    row, behind = np.array([9], np.int32), np.array([20], np.int32)
    zero = np.zeros(1, np.int32)
    arena.add(0, early)
    (place,) = arena.rows(zero, row)
    then = gather(arena.tables, torch.from_numpy(place))
    with pytest.raises(ApexError, match="lacks"):
        arena.rows(zero, behind)
    arena.grow(0, PARTS[0])
    (again,) = arena.rows(zero, row)
    assert again.tolist() == place.tolist()
    assert torch.equal(gather(arena.tables, torch.from_numpy(again)), then)
    assert torch.equal(states(arena, 0, False), states_alone(0, False))
    with pytest.raises(ApexError, match="keeps its rows"):
        arena.grow(0, early)


def test_a_segment_that_went_on_elsewhere_comes_back_longer() -> None:
    arena = arena_of(1)
    arena.add(0, _first_part(PARTS[0], 10))
    arena.evict(0)
    arena.grow(0, PARTS[0])
    assert arena.resident == []
    arena.add(0, PARTS[0])
    assert torch.equal(states(arena, 0, True), states_alone(0, True))


def test_a_segment_of_another_schema_is_a_mismatch() -> None:
    other = eth_full(rows=6)
    arena = DeviceArena(other, 1 << 30, shape=SlotShape(dict.fromkeys(other.clocks, 99), 99),
                        segments=1)  # fmt: skip
    with pytest.raises(MismatchError, match="built for schema"):
        arena.add(0, PARTS[0])
    assert arena.resident == []


def test_a_budget_below_one_segment_says_what_is_needed() -> None:
    with pytest.raises(
        ConfigError, match=rf"learner\.arena_bytes=10 .*at least {SHAPE.nbytes(SCHEMA)}"
    ):
        DeviceArena(SCHEMA, 10, shape=SHAPE)


def test_a_segment_larger_than_a_slot_is_an_error() -> None:
    arena = DeviceArena(SCHEMA, 1 << 26, shape=SHAPE, segments=1)
    with pytest.raises(ApexError, match=r"SlotShape\.holding"):
        arena.add(9, Loaded(random_segment(SCHEMA, rows=60)))
    assert arena.resident == []


def test_the_budget_is_kept_and_reported() -> None:
    budget = SHAPE.nbytes(SCHEMA) * 3 + 17
    arena = DeviceArena(SCHEMA, budget, shape=SHAPE)
    assert arena.tables.nbytes == SHAPE.nbytes(SCHEMA) * 3 <= budget
    assert "room for 3 segments" in arena.summary()
    assert "loaded" not in arena.summary(), "nothing is missing in an arena that was just made"
    assert "extractor" not in arena.summary()
    arena.add(0, PARTS[0])
    assert "1 loaded; extractor extractor-1" in arena.summary()
    metrics = arena.metrics()
    assert metrics["learner/arena_resident"] == 1
    assert metrics["learner/arena_bytes"] == arena.tables.nbytes


def test_a_run_of_few_segments_takes_no_more_than_it_needs() -> None:
    arena = DeviceArena(SCHEMA, 1 << 30, shape=SHAPE, segments=2)
    assert arena.tables.nbytes == 2 * SHAPE.nbytes(SCHEMA)


def test_any_day_fits_a_day_s_slot() -> None:
    shape = SlotShape.of_day(eth_full())
    assert shape.decisions == 17_280
    assert shape.rows == {"1s": 86_700, "1m": 1_740, "1h": 324, "1d": 301}


def test_without_cnn_rows_nothing_is_gathered() -> None:
    arena = arena_of(2)
    arena.add(0, Loaded(PARTS[0].segment))
    with pytest.raises(MismatchError, match=r"segments \[0\] have no CNN rows"):
        arena.rows(np.zeros(1, np.int32), np.zeros(1, np.int32))


def test_versions_of_the_extractor_never_mix() -> None:
    arena = arena_of(3)
    arena.add(0, PARTS[0])
    newer = Loaded(PARTS[1].segment, PARTS[1].cnn, "extractor-2")
    with pytest.raises(MismatchError, match=r"extractor-2, the arena holds those of extractor-1"):
        arena.add(1, newer)
    assert arena.resident == [0]


def test_a_new_extractor_replaces_all_rows_in_place() -> None:
    arena = filled_arena(SCHEMA, [0, 1])
    assert arena.tables.cnn is not None
    address = arena.tables.cnn.data_ptr()
    arena.swap_cnn("extractor-2", lambda number: cnn_rows(40, seed=50 + number))
    assert arena.extractor == "extractor-2"
    assert arena.tables.cnn.data_ptr() == address
    (rows,) = arena.rows(np.ones(40, np.int32), np.arange(40, dtype=np.int32))
    found = arena.tables.cnn[torch.from_numpy(rows)].numpy()
    np.testing.assert_array_equal(found, cnn_rows(40, seed=51))


def test_a_swap_that_fails_half_way_leaves_no_old_row_behind() -> None:
    arena = filled_arena(SCHEMA, [0, 1])

    def rows(number: int) -> np.ndarray:
        return cnn_rows(40 if number == 0 else 39)

    with pytest.raises(MismatchError, match="39 CNN rows"):
        arena.swap_cnn("extractor-2", rows)
    arena.rows(np.zeros(1, np.int32), np.zeros(1, np.int32))
    assert arena.tables.cnn is not None
    first = arena.first_row(1)
    assert arena.tables.cnn[first : first + 40].isnan().all()
    with pytest.raises(MismatchError, match="no CNN rows of extractor extractor-2"):
        arena.rows(np.ones(1, np.int32), np.zeros(1, np.int32))


def test_a_schema_without_cnn_blocks_needs_no_extractor() -> None:
    schema = SCHEMA.without("cnn_hidden", "cnn_predictions")
    arena = DeviceArena.of([random_segment(schema)], schema)
    assert len(arena.rows(np.zeros(3, np.int32), np.arange(3, dtype=np.int32))[0]) == 3
    assert arena.tables.cnn is None
    with pytest.raises(MismatchError, match="no CNN blocks"):
        arena.swap_cnn("extractor-1", lambda number: cnn_rows(40))
