"""What tests in simulated time share."""

import asyncio

import pytest
from ccxt.async_support.base.throttler import Throttler


@pytest.fixture(autouse=True)
def _unpaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """ccxt spreads requests over real time, which would be minutes of simulated time."""

    async def at_once(throttler: Throttler, cost: object = None) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(Throttler, "__call__", at_once)
