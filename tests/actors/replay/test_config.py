import pytest

from actors.replay.config import ReplayConfig
from apex_trader.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("capacity", {"capacity": 0}),
        ("max_insert", {"capacity": 3, "shards": 4, "min_size": 1}),
        ("alpha", {"alpha": 1.5}),
        ("beta_end", {"beta_end": 0.3}),
        ("share_positive", {"share_positive": 0.8, "share_extrema": 0.3}),
        ("share_movement", {"share_movement": -0.1}),
        ("samples_per_insert", {"samples_per_insert": 0.0}),
        ("samples_per_insert", {"samples_per_insert": float("inf")}),
        ("min_size", {"capacity": 40_000, "min_size": 50_000}),
        ("error_buffer", {"error_buffer": 100.0}),
        ("priority_epsilon", {"priority_epsilon": 0.0}),
    ],
)
def test_an_impossible_value_is_named(field, values):
    with pytest.raises(ConfigError) as caught:
        ReplayConfig(**values)
    assert caught.value.field in {f"replay.{field}", "replay.shards"}


def test_shares_sum_to_one():
    assert sum(ReplayConfig().shares) == pytest.approx(1.0)
    assert ReplayConfig().shares[0] == pytest.approx(0.55)


def test_beta_rises_to_its_end_and_stays():
    config = ReplayConfig(beta=0.4, beta_updates=100)
    assert [config.beta_at(u) for u in (0, 50, 100, 900)] == pytest.approx([0.4, 0.7, 1.0, 1.0])
