"""The evaluator's shell on Ray, called as Ray would call it, without a cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from actors.evaluation import Evaluator
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData, tables_with_cnn
from apex_trader.runtime.parts import make_network
from apex_trader.runtime.ray_evaluation import EvaluatorActor
from apex_trader.runtime.rotation import training_days
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.segment import Segment

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Held:
    """A market whose segments need no object store."""

    segments: list[Segment]
    version: str | None = None

    def load(self) -> tuple[list[Segment], list[Any]]:
        """See ``Market.load``."""
        return self.segments, [None] * len(self.segments)


@pytest.fixture(scope="module")
def plain(tiny: Config) -> Config:
    """The tiny run without a CNN."""
    return replace(
        tiny,
        state=replace(tiny.state, without=("cnn_hidden", "cnn_predictions")),
        reward=replace(tiny.reward, cnn_potential=0.0),
    )


def test_it_judges_training_and_validation_days_as_a_serial_run_does(plain: Config, tmp_path: Path):
    data = MarketData(plain, RunFolder(tmp_path / "run"))
    training = training_days(plain, data)
    numbers = [*training, *data.evaluation_numbers()]
    segments = [data.segment(n) for n in numbers]
    weights = {
        name: value * 300.0 if name.startswith("advantage") else value  # that it trades
        for name, value in make_network(plain, data.schema, data.trading).state_dict().items()
    }
    part = EvaluatorActor(plain)
    part.start(Held(segments), len(training), data.trading)  # type: ignore[arg-type]
    tables = tables_with_cnn(segments, data.schema, [None] * len(segments), None)
    network = make_network(plain, data.schema, data.trading)
    own = Evaluator(segments, tables, network, data.trading, plain.reward, plain.rollout.gamma,
                    len(training))  # fmt: skip
    found = part.evaluate(dict(weights), 3)
    assert found == pytest.approx(own.evaluate(weights, 3), nan_ok=True)
    assert len(training) == 1
    assert found["eval/train_gap"] != 0.0
