"""The flat network is the MLP on joined features, its first layer in two parts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from apex_trader.errors import ConfigError
from apex_trader.models.flat import FlatQNetwork
from apex_trader.state.schema import ACCOUNT_SIZE, Schema, eth_minutes


@pytest.fixture(scope="module")
def schema() -> Schema:
    return eth_minutes(16)


def joined_mlp(network: FlatQNetwork, activation: nn.Module) -> nn.Module:
    """The same function as one textbook MLP with dueling heads, from the network's weights."""
    size = network.encoder.linear.in_features
    first = nn.Linear(size + ACCOUNT_SIZE, network.encoder.width)
    with torch.no_grad():
        first.weight.copy_(torch.cat((network.encoder.linear.weight, network.account.weight), 1))
        first.bias.copy_(network.encoder.linear.bias)
    rest = [module for layer in network.layers for module in (layer, activation)]
    return nn.Sequential(first, activation, *rest)


@pytest.mark.parametrize(("activation", "module"), [("tanh", nn.Tanh()), ("relu", nn.ReLU())])
@pytest.mark.parametrize("hidden", [(12,), (12, 7), (12, 7, 5)])
def test_it_is_the_mlp_on_market_and_account_joined(schema, hidden, activation, module):
    torch.manual_seed(0)
    network = FlatQNetwork(schema, 3, hidden, activation)
    state, account = torch.randn(9, schema.market_size), torch.randn(9, ACCOUNT_SIZE)
    features = joined_mlp(network, module)(torch.cat((state, account), 1))
    advantage = network.advantage(features)
    wanted = network.value(features) + advantage - advantage.mean(1, keepdim=True)
    torch.testing.assert_close(network(state, account), wanted, rtol=1e-4, atol=1e-5)


def test_accounts_at_one_market_time_share_its_part(schema):
    network = FlatQNetwork(schema, 3, (12, 7), "tanh")
    state, accounts = torch.randn(1, schema.market_size), torch.randn(4, ACCOUNT_SIZE)
    z = network.encode(state)
    assert z.shape == (1, network.encoder.width)
    apart = torch.cat([network(state, account[None]) for account in accounts])
    torch.testing.assert_close(network.q(z.expand(4, -1), accounts), apart)


def test_what_cannot_choose_or_has_no_layer_is_refused(schema):
    with pytest.raises(ConfigError, match="at least 2"):
        FlatQNetwork(schema, 1, (12,), "tanh")
    with pytest.raises(ConfigError, match="hidden layer"):
        FlatQNetwork(schema, 3, (), "tanh")
