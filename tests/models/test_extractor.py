from __future__ import annotations

import pytest
import torch

from apex_trader.errors import ConfigError
from apex_trader.models.config import CNNConfig
from apex_trader.models.extractor import (
    LINEAR_SIZE,
    ROW_SIZE,
    CNNExtractor,
    ExtractorOutput,
)
from apex_trader.state.schema import PREDICTION_COLUMNS, eth_full, eth_minutes


@pytest.mark.parametrize("schema", [eth_full(), eth_minutes()], ids=lambda s: s.name)
def test_the_default_has_more_than_a_million_parameters(schema: object) -> None:
    network = CNNExtractor(schema, CNNConfig())  # type: ignore[arg-type]
    assert sum(p.numel() for p in network.parameters()) > 1_000_000


def test_rows_are_finite_and_inside_the_guard_whatever_comes_in() -> None:
    network = CNNExtractor(eth_full(rows=32), CNNConfig()).eval()
    for windows in (torch.zeros(3, network.input_size), 5 * torch.ones(3, network.input_size)):
        rows = network(windows).rows()
        assert rows.shape == (3, ROW_SIZE) == (3, 528)
        assert rows.isfinite().all()
        assert rows.abs().max() <= 5


def test_predictions_stand_in_the_schemas_order() -> None:
    logits = torch.tensor([[[0.0, 0.0, 2.0], [2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]])
    output = ExtractorOutput(
        torch.zeros(1, 512), logits, torch.tensor([[1.0, 2.0, 3.0, 9.0]]),
        torch.tensor([[-0.1, -0.2, -0.3, -9.0]]), torch.zeros(1),
    )  # fmt: skip
    table = output.predictions().view(4, 4)
    columns = dict(zip(PREDICTION_COLUMNS, table.T, strict=True))
    p = logits.softmax(2)[0]
    torch.testing.assert_close(columns["direction"], p[:, 2] - p[:, 0])
    torch.testing.assert_close(columns["confidence"], p.max(1).values)
    assert columns["magnitude"].tolist() == [1.0, 2.0, 3.0, 5.0]
    torch.testing.assert_close(columns["volatility"], torch.tensor([-0.1, -0.2, -0.3, -5.0]))


def test_an_untrained_network_expects_an_ordinary_move_in_no_direction() -> None:
    network = CNNExtractor(eth_minutes(rows=16), CNNConfig()).eval()
    output = network(torch.randn(64, network.input_size))
    columns = output.predictions().view(64, 4, 4)
    assert columns[:, :, 0].abs().max() < 0.1
    assert (columns[:, :, 2] - 1.0).abs().max() < 0.2


def test_magnitudes_are_positive() -> None:
    network = CNNExtractor(eth_minutes(rows=16), CNNConfig()).eval()
    with torch.no_grad():
        network.scale.bias.fill_(-50.0)
    assert network(torch.randn(8, network.input_size)).magnitude.min() >= 0


def random_linear_path(network: CNNExtractor, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        network.linear.weight.normal_(generator=generator)


def test_predictions_are_linear_in_the_hidden_layer_that_the_agent_sees() -> None:
    network = CNNExtractor(eth_minutes(rows=16), CNNConfig()).eval()
    random_linear_path(network)
    with torch.no_grad():
        output = network(torch.randn(64, network.input_size))
    deep, linear = output.hidden[:, :-LINEAR_SIZE], output.hidden[:, -LINEAR_SIZE:]
    logits = network.direction(deep) + linear
    torch.testing.assert_close(output.logits.flatten(1), logits)
    assert linear.std() > 0.1


def test_a_clock_that_is_not_believed_changes_nothing_in_the_deep_path() -> None:
    network = CNNExtractor(eth_full(rows=16), CNNConfig()).eval()
    network.believe({"1s": 1.0, "1m": 0.5, "1h": 0.25, "1d": 1e-9})
    windows = torch.randn(8, network.input_size)
    changed: dict[str, float] = {}
    start = 0
    for block in network.blocks:
        other = windows.clone()
        other[:, start : start + block.size].normal_()
        start += block.size
        with torch.no_grad():
            difference = (network(other).hidden - network(windows).hidden).abs().max()
        changed[block.clock] = max(changed.get(block.clock, 0.0), float(difference))
    assert changed["1d"] < 1e-5
    assert min(changed[clock] for clock in ("1s", "1m", "1h")) > 1e-2


def test_more_trust_leaves_what_the_linear_path_says() -> None:
    network = CNNExtractor(eth_minutes(rows=16), CNNConfig()).eval()
    random_linear_path(network)
    windows = torch.randn(8, network.input_size)
    with torch.no_grad():
        before = network(windows).hidden[:, -LINEAR_SIZE:]
        network.believe({"1m": 0.9, "1h": 0.2, "1d": 0.01})
        after = network(windows).hidden[:, -LINEAR_SIZE:]
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)


def test_the_linear_path_learns_of_each_clock_in_proportion_to_its_trust() -> None:
    network = CNNExtractor(eth_minutes(rows=16), CNNConfig()).eval()
    network.believe({"1m": 1.0, "1h": 0.25, "1d": 0.01})
    windows = torch.ones(4, network.input_size)
    network(windows).logits[:, :, 2].sum().backward()
    assert network.linear.weight.grad is not None
    # after one step down the gradient, what each input adds to the logit
    said = (network.linear.weight.grad * network.input_scale)[2]
    start, by_clock = 0, {}
    for block in network.blocks:
        by_clock.setdefault(block.clock, float(said[start]))
        start += block.size
    assert by_clock["1h"] == pytest.approx(0.25 * by_clock["1m"], rel=1e-5)
    assert by_clock["1d"] == pytest.approx(0.01 * by_clock["1m"], rel=1e-5)


def test_loaded_weights_bring_their_trust_along() -> None:
    schema = eth_minutes(rows=16)
    network = CNNExtractor(schema, CNNConfig()).eval()
    random_linear_path(network)
    network.believe({"1m": 0.9, "1h": 0.2, "1d": 0.01})
    copy = CNNExtractor(schema, CNNConfig()).eval()
    copy.load_state_dict(network.state_dict())
    windows = torch.randn(8, network.input_size)
    with torch.no_grad():
        torch.testing.assert_close(copy(windows).rows(), network(windows).rows())


def test_while_fitting_a_clock_is_seen_in_as_many_rows_as_it_is_trusted() -> None:
    network = CNNExtractor(eth_minutes(rows=16), CNNConfig(clock_dropout=0.0, dropout=0.0))
    network.believe({"1m": 1.0, "1h": 1e-9, "1d": 1e-9})
    windows = torch.randn(16, network.input_size)
    blind = windows.clone()
    start = 0
    for block in network.blocks:
        if block.clock != "1m":
            blind[:, start : start + block.size] = 7.0
        start += block.size
    with torch.no_grad():
        torch.testing.assert_close(network(windows).hidden[:, :-LINEAR_SIZE],
                                   network(blind).hidden[:, :-LINEAR_SIZE])  # fmt: skip


def test_a_schema_without_windows_is_refused() -> None:
    schema = eth_minutes(rows=16)
    bare = schema.without(*(b.name for b in schema.blocks if b.window > 1))
    with pytest.raises(ConfigError, match="keeps some windows"):
        CNNExtractor(bare, CNNConfig())
