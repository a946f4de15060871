"""Trying again: how often, how long, and who else has to wait. No real time passes."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.exchange.retry import Again, Retry, UnreachableError, retry_after


@dataclass
class Time:
    """A clock that moves when somebody sleeps."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def read(self) -> float:
        return self.now


def retrying(time: Time, **changes: float) -> Retry:
    """For a host that has answered before."""
    config = ExchangeConfig(retries=int(changes.pop("retries", 5)), **changes)
    retry = Retry(config, np.random.default_rng(0), sleep=time.sleep, clock=time.read)
    asyncio.run(retry.call("https://host", Failing()))
    return retry


class Failing:
    """Fails with each of these, then answers."""

    def __init__(self, *failures: Again) -> None:
        self.failures, self.calls = list(failures), 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


def test_a_failed_request_is_repeated_until_it_succeeds() -> None:
    time, request = Time(), Failing(Again("down"), Again("down"))
    retry = retrying(time)
    assert asyncio.run(retry.call("https://host", request)) == "answer"
    assert (request.calls, retry.repeated) == (3, 2)


def test_giving_up_names_the_address_and_the_reason() -> None:
    request = Failing(*[Again("no route")] * 10)
    with pytest.raises(UnreachableError, match=r"https://host .*no route; asked 4 times"):
        asyncio.run(retrying(Time(), retries=3).call("https://host", request))
    assert request.calls == 4


def test_a_host_that_never_answered_is_given_up_sooner() -> None:
    request = Failing(*[Again("no such host")] * 10)
    retry = Retry(ExchangeConfig(retries=8, backoff=0.0), np.random.default_rng(0))
    with pytest.raises(UnreachableError, match="asked 4 times"):
        asyncio.run(retry.call("https://host", request))


@given(base=st.floats(0.01, 5), limit=st.floats(0.01, 60), tries=st.integers(1, 12))
def test_pauses_stay_below_the_doubling_limit(base: float, limit: float, tries: int) -> None:
    time = Time()
    retry = retrying(time, backoff=base, backoff_limit=limit, retries=tries)
    asyncio.run(retry.call("host", Failing(*[Again("down")] * tries)))
    assert len(time.slept) == tries
    assert all(0 <= s <= min(limit, base * 2**k) for k, s in enumerate(time.slept))


def test_pauses_are_spread_over_the_whole_range() -> None:
    time = Time()
    retry = retrying(time, backoff=1.0, backoff_limit=1.0, retries=200)
    asyncio.run(retry.call("host", Failing(*[Again("down")] * 200)))
    assert np.histogram(time.slept, 4, (0, 1))[0].min() > 30


def test_a_silence_that_was_asked_for_holds_back_every_request() -> None:
    time = Time()
    retry = retrying(time, backoff=0.001)
    asyncio.run(retry.call("host", Failing(Again("429", wait=30.0))))
    assert time.now >= 30.0
    # Another request that begins meanwhile waits as well.
    retry = retrying(other := Time(), backoff=0.001)

    async def both() -> None:
        first = asyncio.create_task(retry.call("host", Failing(Again("429", wait=30.0))))
        await asyncio.sleep(0)
        await retry.call("host", Failing())
        assert other.now >= 30.0
        await first

    asyncio.run(both())


def test_a_ban_is_not_waited_for() -> None:
    time = Time()
    with pytest.raises(UnreachableError, match="for 86,400 s"):
        asyncio.run(retrying(time).call("host", Failing(Again("418", wait=86_400.0))))
    assert time.slept == []


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after("3", 0.0) == 3.0
    assert retry_after(None, 0.0) is None
    assert retry_after("soon", 0.0) is None
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 20.0) == 40.0
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 90.0) == 0.0


def test_an_answer_that_can_be_none_is_asked_for_again_a_few_times_only() -> None:
    request, time = Failing(*[Again("null in place of a list", odd=True)] * 10), Time()
    with pytest.raises(UnreachableError, match=r"https://host .*that can be used .*asked 4 times"):
        asyncio.run(retrying(time, retries=8).call("https://host", request))
    # Half a second, doubled twice: nobody waits for minutes.
    assert sum(time.slept) <= 3.5
