from __future__ import annotations

from typing import Any

import pytest

from apex_trader.errors import ConfigError
from apex_trader.models.config import (
    CNNConfig,
    DuelingConfig,
    EncoderConfig,
    PretrainConfig,
    StackConfig,
)


@pytest.mark.parametrize(
    ("cls", "values", "field"),
    [
        (StackConfig, {"strides": (10, 5), "channels": (32,)}, "models.stack.channels"),
        (StackConfig, {"strides": (0, 5)}, "models.stack.strides"),
        (StackConfig, {"features": 0}, "models.stack.features"),
        (EncoderConfig, {"width": 0}, "models.encoder.width"),
        (DuelingConfig, {"hidden": -1}, "models.dueling.hidden"),
        (CNNConfig, {"dropout": 1.0}, "models.cnn.dropout"),
        (PretrainConfig, {"steps": 0}, "pretrain.steps"),
        (PretrainConfig, {"batch_size": 2.5}, "pretrain.batch_size"),
        (PretrainConfig, {"mirror_share": 1.1}, "pretrain.mirror_share"),
        (PretrainConfig, {"learning_rate": float("nan")}, "pretrain.learning_rate"),
        (PretrainConfig, {"seconds": -1.0}, "pretrain.seconds"),
        (PretrainConfig, {"validation_share": 0.0}, "pretrain.validation_share"),
        (CNNConfig, {"clock_dropout": -0.1}, "models.cnn.clock_dropout"),
        (PretrainConfig, {"average": 1.0}, "pretrain.average"),
        (PretrainConfig, {"half_weight_labels": -1.0}, "pretrain.half_weight_labels"),
        (PretrainConfig, {"patience": -1}, "pretrain.patience"),
    ],
)
def test_an_impossible_value_is_named(cls: type, values: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as error:
        cls(**values)
    assert error.value.field == field


def test_lists_from_a_file_equal_tuples() -> None:
    assert StackConfig([4, 4], [8, 8], 16) == StackConfig((4, 4), (8, 8), 16)  # type: ignore[arg-type]
