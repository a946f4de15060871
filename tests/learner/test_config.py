"""The learner's configuration refuses what it cannot do, by name."""

from __future__ import annotations

import pytest

from apex_trader.errors import ConfigError
from learner.config import LearnerConfig

NAN = float("nan")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 2.5), ("batch_size", True), ("adam_beta1", NAN),
        ("learning_rate", 0.0), ("learning_rate", float("inf")),
        ("weight_decay", -0.1), ("gradient_clip", 0), ("huber_delta", NAN), ("target_rate", 0.0),
        ("target_rate", 1.5), ("target_period", 0), ("target_update", "hard"),
        ("mirror_share", 1.1), ("mirror_share", "half"), ("precision", "fp16"),
        ("compile", "yes"), ("cuda_graph", None), ("metrics_every", 0), ("arena_bytes", 0),
        ("adam_beta2", 1.0), ("adam_epsilon", 0.0), ("publish_every", -1), ("encoder_rate", 0.0),
        ("decay_updates", -1),
    ],
)  # fmt: skip
def test_an_impossible_value_names_its_field_and_what_is_allowed(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"learner\.{field}=.* cannot be used: .+"):
        LearnerConfig(**{field: value})  # type: ignore[arg-type]


def test_a_decay_over_the_budget_follows_it_and_any_other_does_not() -> None:
    assert LearnerConfig(decay_updates=None).for_budget(70).decay_updates == 70
    for own in (0, 8):
        assert LearnerConfig(decay_updates=own).for_budget(70) == LearnerConfig(decay_updates=own)


def test_the_defaults_are_the_documented_ones() -> None:
    config = LearnerConfig()
    assert config.batch_size == 512
    assert (config.learning_rate, config.weight_decay, config.gradient_clip) == (3e-4, 0.1, 10.0)
    assert (config.target_update, config.target_rate, config.mirror_share) == ("soft", 0.005, 0.5)
