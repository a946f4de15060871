import pytest

from actors.config import RolloutConfig
from apex_trader.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("lanes", {"lanes": 0}),
        ("branches", {"lanes": 10, "branches": 4}),
        ("n_step", {"n_step": 0}),
        ("gamma", {"gamma": 1.01}),
        ("epsilon_base", {"epsilon_base": float("nan")}),
        ("movement_sigmas", {"movement_sigmas": -1.0}),
    ],
)
def test_an_impossible_value_is_named(field, values):
    with pytest.raises(ConfigError) as caught:
        RolloutConfig(**values)
    assert caught.value.field == f"rollout.{field}"
