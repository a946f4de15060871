from __future__ import annotations

from collections.abc import Callable

import pytest

from apex_trader.models.config import CNNConfig, PretrainConfig, StackConfig
from apex_trader.models.judge import horizon_name
from apex_trader.models.pretrain import Pretrainer
from apex_trader.state.gather import MarketTables
from apex_trader.state.segment import Segment
from apex_trader.time import DAY, HOUR, MINUTE, SECOND


@pytest.mark.parametrize(
    ("micros", "name"),
    [(30 * SECOND, "30s"), (5 * MINUTE, "5m"), (90 * MINUTE, "90m"), (4 * HOUR, "4h"), (DAY, "1d")],
)
def test_a_horizon_is_named_in_its_largest_unit(micros: int, name: str) -> None:
    assert horizon_name(micros) == name


def test_figures_are_complete_and_on_the_same_rows(
    make_segments: Callable[..., list[Segment]],
    make_tables: Callable[[list[Segment]], MarketTables],
) -> None:
    segments = make_segments(2, seed=6)
    config = PretrainConfig(
        steps=2, evaluate_every=2, batch_size=32, validation_rows=300, baseline_rows=300
    )
    cnn = CNNConfig(StackConfig((4, 4), (8, 8), 8), trunk=16)
    pretrainer = Pretrainer(make_tables(segments), segments, config, 0, cnn)
    pretrainer.fit()
    figures = pretrainer.freeze().figures
    scores = ("accuracy", "balanced_accuracy", "log_loss", "directional_accuracy")
    for horizon, minutes in (("1m", 1), ("5m", 5), ("15m", 15), ("30m", 30)):
        place = f"pretrain/{horizon}/"
        for who in ("", "majority/", "last_sign/", "logistic/"):
            assert all(figures[f"{place}{who}{score}"] > 0 for score in scores)
        assert 200 < figures[f"{place}rows"] <= 300
        # 0.2 of two days, each horizon end to end
        expected = (0.2 * 2880 - minutes) / minutes
        assert figures[f"{place}independent_rows"] == pytest.approx(expected, rel=0.02)
        assert figures[f"{place}magnitude_r2"] < 1
    assert figures["pretrain/pivot/log_loss"] > 0
