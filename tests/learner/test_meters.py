"""Metrics summed on the device are those of all updates since the last reading."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.meters import Meters

CPU = torch.device("cpu")


def meters() -> Meters:
    return Meters({"loss": "n", "td": "hits"}, ("n", "hits"), ("top",), ("low",), CPU)


def values(loss: float, td: float, hits: float) -> dict[str, torch.Tensor]:
    numbers = {"loss": loss, "td": td, "n": 1.0, "hits": hits, "top": loss, "low": loss}
    return {name: torch.tensor(value) for name, value in numbers.items()}


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20))
def test_means_and_extremes_are_those_of_all_that_was_added(losses: list[float]) -> None:
    subject = meters()
    for loss in losses:
        subject.add(values(loss, 2 * loss, 2.0))
    found = subject.read()
    assert found["loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-3)
    assert found["td"] == pytest.approx(sum(losses) / len(losses), abs=1e-3)
    assert (found["top"], found["low"]) == (max(losses), min(losses))
    assert found["n"] == len(losses)


def test_reading_begins_anew() -> None:
    subject = meters()
    subject.add(values(5.0, 1.0, 1.0))
    subject.read()
    subject.add(values(-3.0, 1.0, 1.0))
    found = subject.read()
    assert (found["loss"], found["top"], found["low"]) == (-3.0, -3.0, -3.0)


def test_a_stratum_that_was_not_sampled_has_no_mean() -> None:
    subject = meters()
    subject.add(values(1.0, 0.0, 0.0))
    assert "td" not in subject.read()


def test_what_is_not_finite_shows() -> None:
    subject = meters()
    subject.add(values(math.nan, 1.0, 1.0))
    subject.add(values(1.0, 1.0, 1.0))
    found = subject.read()
    assert math.isnan(found["loss"])
    assert math.isnan(found["top"])
