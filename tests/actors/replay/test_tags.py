import numpy as np
import pytest

from actors.replay.tags import ExtremaTagger
from apex_trader.errors import ApexError
from apex_trader.time import MINUTE


def tagger(segments, radius=3, numbers=None):
    return ExtremaTagger(segments, numbers or range(7, 7 + len(segments)), radius, MINUTE)


def named(tags):
    return {tag.segment: tag.rows.tolist() for tag in tags}


def moves(*rows):
    """Lanes that go from each row to the next one."""
    return np.array(rows), np.array(rows) + 1


def test_rows_near_a_pivot_are_named_as_a_lane_passes_its_confirmation(make_segment):
    tags = tagger([make_segment(events=((30, 20),))])
    assert tags.passed(*moves(28)) == []
    assert named(tags.passed(*moves(29))) == {7: [17, 18, 19, 20, 21, 22, 23]}
    assert tags.passed(*moves(30)) == []


def test_lanes_at_one_market_time_name_a_pivot_once(make_segment):
    tags = tagger([make_segment(events=((30, 20), (30, 22), (31, 50)))])
    found = tags.passed(*moves(29, 29, 5, 29))
    assert named(found) == {7: list(range(17, 26))}


def test_a_step_over_several_rows_names_all_pivots_on_its_way(make_segment):
    tags = tagger([make_segment(events=((30, 20), (32, 28)))], radius=0)
    assert named(tags.passed(np.array([25]), np.array([32]))) == {7: [20, 28]}


def test_a_pivot_of_yesterday_tags_yesterdays_rows(make_segment):
    """Segments here are the last two hours of a day, so yesterday's last row is 22 hours back."""
    day = 24 * 60
    first = make_segment(day=0, events=())
    second = make_segment(day=1, events=((4, 118 - day), (5, 1)))
    tags = tagger([first, second], numbers=[40, 41])
    assert named(tags.passed(*moves(120 + 3))) == {40: [115, 116, 117, 118, 119]}
    assert named(tags.passed(*moves(120 + 4))) == {41: [0, 1, 2, 3, 4]}


def test_the_order_of_the_segments_does_not_matter(make_segment):
    day = 24 * 60
    first = make_segment(day=0, events=())
    second = make_segment(day=1, events=((4, 118 - day),))
    tags = tagger([second, first], numbers=[41, 40])
    assert named(tags.passed(*moves(3))) == {40: [115, 116, 117, 118, 119]}


def test_a_transition_has_the_bit_from_the_start_only_once_the_pivot_is_known(make_segment):
    tags = tagger([make_segment(events=((30, 28),))])
    rows = np.array([24, 25, 28, 31, 32])
    assert tags.known(rows, np.full(5, 29)).tolist() == [False] * 5
    assert tags.known(rows, np.full(5, 30)).tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("radius", [0, 1, 5])
@pytest.mark.parametrize("seed", range(4))
def test_the_bit_and_the_tags_agree_with_the_definition(make_segment, radius, seed):
    random = np.random.default_rng(seed)
    own = random.integers(0, 110, 6)
    events = sorted((int(o + random.integers(1, 9)), int(o)) for o in own)
    tags = tagger([make_segment(events=events)], radius)
    for now in range(1, 119):
        near = [r for r in range(120) if any(k <= now and abs(r - o) <= radius for k, o in events)]
        assert np.flatnonzero(tags.known(np.arange(120), np.full(120, now))).tolist() == near
        fresh = [r for r in range(120) if any(k == now and abs(r - o) <= radius for k, o in events)]
        assert named(tags.passed(*moves(now - 1))) == ({7: fresh} if fresh else {})


def test_numbers_must_belong_to_the_segments(make_segment):
    with pytest.raises(ApexError, match="numbers"):
        tagger([make_segment()], numbers=[1, 2])
