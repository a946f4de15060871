from __future__ import annotations

import pytest
import torch

from apex_trader.errors import ConfigError
from apex_trader.models.config import CNNConfig
from apex_trader.models.extractor import ROW_SIZE, CNNExtractor, ExtractorOutput
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


def test_a_schema_without_windows_is_refused() -> None:
    schema = eth_minutes(rows=16)
    bare = schema.without(*(b.name for b in schema.blocks if b.window > 1))
    with pytest.raises(ConfigError, match="keeps some windows"):
        CNNExtractor(bare, CNNConfig())
