import pytest

from apex_trader.experience import Transitions


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
