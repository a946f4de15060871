import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.n_step import NStep, NStepColumns, StepColumns
from apex_trader.errors import ApexError, MismatchError


def random_steps(random, count, lanes, end=0.15):
    """Steps of lanes whose rows go on until an end and then jump."""
    row = random.integers(0, 1000, lanes)
    steps = []
    for _ in range(count):
        terminated = random.random(lanes) < end / 2
        truncated = ~terminated & (random.random(lanes) < end)
        steps.append(
            StepColumns(
                row=row, next_row=row + 1,
                account=random.normal(size=(lanes, 8)).astype(np.float32),
                next_account=random.normal(size=(lanes, 8)).astype(np.float32),
                action=random.integers(0, 3, lanes).astype(np.uint8),
                reward=random.normal(size=lanes), value=random.normal(size=lanes),
                profit=random.random(lanes) < 0.3, terminated=terminated, truncated=truncated,
            )
        )  # fmt: skip
        jump = random.integers(0, 1000, lanes)
        row = np.where(terminated | truncated, jump, row + 1)
    return steps


def slow_reference(steps, lane, n, gamma):
    """Transitions of one lane, straight from the definition."""
    out, episode = [], []
    for step in steps:
        episode.append(step)
        if step.terminated[lane] or step.truncated[lane]:
            out += [_transition(episode[i:], lane, n, gamma) for i in range(len(episode))]
            episode = []
    last = len(episode) - n
    return out + [_transition(episode[i:], lane, n, gamma) for i in range(last + 1)]


def _transition(rest, lane, n, gamma):
    window = rest[:n]
    m = len(window)
    reward = sum(gamma**k * s.reward[lane] for k, s in enumerate(window))
    over = window[-1].terminated[lane]
    return (
        int(window[0].row[lane]), int(window[-1].next_row[lane]), window[0].account[lane].tobytes(),
        window[-1].next_account[lane].tobytes(), int(window[0].action[lane]), round(reward, 9),
        0.0 if over else round(gamma**m, 9), m, float(window[0].value[lane]),
        any(bool(s.profit[lane]) for s in window),
    )  # fmt: skip


def as_tuples(columns, lane):
    own = np.flatnonzero(columns.lane == lane)
    return [
        (int(columns.row[i]), int(columns.next_row[i]), columns.account[i].tobytes(),
         columns.next_account[i].tobytes(), int(columns.action[i]), round(columns.reward[i], 9),
         round(columns.discount[i], 9), int(columns.steps[i]), float(columns.value[i]),
         bool(columns.profit[i]))
        for i in own
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 40), st.floats(0, 1),
       st.integers(0, 2**31))  # fmt: skip
def test_transitions_are_those_of_the_definition(n, lanes, count, gamma, seed):
    steps = random_steps(np.random.default_rng(seed), count, lanes)
    accumulator = NStep(lanes, n, gamma)
    emitted = [accumulator.push(step) for step in steps]
    if not emitted:
        return
    columns = NStepColumns.concatenate(emitted)
    for lane in range(lanes):
        assert sorted(as_tuples(columns, lane)) == sorted(slow_reference(steps, lane, n, gamma))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**31))
def test_every_step_begins_exactly_one_transition(n, seed):
    steps = random_steps(np.random.default_rng(seed), 30, 4)
    accumulator = NStep(4, n, 0.9)
    count = sum(len(accumulator.push(step)) for step in steps)
    count += len(accumulator.flush(steps[-1].next_row, steps[-1].next_account))
    assert count == 120
    assert len(accumulator.flush(steps[-1].next_row, steps[-1].next_account)) == 0


def test_a_flush_is_a_truncation():
    steps = random_steps(np.random.default_rng(0), 2, 1, end=0.0)
    accumulator = NStep(1, 3, 0.5)
    assert [len(accumulator.push(step)) for step in steps] == [0, 0]
    cut = accumulator.flush(np.array([77]), steps[1].next_account)
    assert cut.discount.tolist() == [0.25, 0.5]
    assert cut.next_row.tolist() == [77, 77]


def test_it_continues_from_its_state():
    steps = random_steps(np.random.default_rng(1), 20, 3)
    one, other = NStep(3, 4, 0.9), NStep(3, 4, 0.9)
    for step in steps[:11]:
        one.push(step)
    other.load_state_dict(one.state_dict())
    for step in steps[11:]:
        a, b = one.push(step), other.push(step)
        assert all(np.array_equal(getattr(a, f), getattr(b, f)) for f in vars(a))


def test_a_state_of_another_shape_is_refused():
    with pytest.raises(MismatchError, match=r"rollout\.n_step"):
        NStep(3, 4, 0.9).load_state_dict(NStep(3, 3, 0.9).state_dict())
    with pytest.raises(ApexError):
        NStep(3, 0, 0.9)
