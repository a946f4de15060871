from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from apex_trader.errors import ConfigError
from apex_trader.models.config import DuelingConfig, EncoderConfig, StackConfig
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.state.schema import ACCOUNT_SIZE, eth_full, eth_minutes

SCHEMA = eth_minutes(rows=16)
SMALL = DuelingConfig(EncoderConfig(StackConfig((4, 4), (8, 8), 16), 16, 8, 32, 24), 16)


def network(seed: int = 0, actions: int = 3) -> DuelingQNetwork:
    return DuelingQNetwork(SCHEMA, actions, SMALL, torch.Generator().manual_seed(seed))


def inputs(count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(count, SCHEMA.market_size, generator=generator),
        torch.randn(count, ACCOUNT_SIZE, generator=generator),
    )


@pytest.mark.parametrize("actions", [2, 3])
def test_the_mean_over_actions_is_the_value(actions: int) -> None:
    net = network(actions=actions)
    state, account = inputs()
    q = net(state, account)
    hidden = net.hidden(torch.cat((net.encode(state), account), 1))
    value = net.value(torch.nn.functional.gelu(hidden)[:, : SMALL.hidden])
    assert q.shape == (6, actions)
    torch.testing.assert_close(q.mean(1, keepdim=True), value, rtol=1e-5, atol=1e-6)


def test_lanes_at_one_time_share_its_encoding() -> None:
    net = network()
    state, account = inputs()
    repeated = state[:1].expand(6, -1)
    shared = net.q(net.encode(state[:1]).expand(6, -1), account)
    torch.testing.assert_close(shared, net(repeated, account), rtol=1e-5, atol=1e-6)
    assert shared.std(0).gt(0).all(), "the account must matter"


def test_an_untrained_network_values_nothing_yet() -> None:
    q = network()(*inputs(64))
    assert q.abs().max() < 0.2


def test_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(11)
    first = network(seed=3).state_dict()
    torch.manual_seed(12)
    second = network(seed=3).state_dict()
    other = network(seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["hidden.weight"], other["hidden.weight"])


def test_bfloat16_autocast_gives_float32_values_close_to_float32_ones() -> None:
    net = network()
    state, account = inputs(64)
    exact = net(state, account).detach()
    with torch.autocast("cpu", torch.bfloat16):
        rough = net(state, account).detach()
    assert rough.dtype == torch.float32
    spread = float(exact.std())
    assert float((rough - exact).abs().mean()) < 0.05 * spread


def test_one_action_is_no_choice() -> None:
    with pytest.raises(ConfigError, match="at least 2 actions"):
        network(actions=1)


def test_the_default_network_keeps_its_budget() -> None:
    schema = eth_full()
    net = DuelingQNetwork(schema, 3, DuelingConfig())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(8, schema.market_size), torch.zeros(8, ACCOUNT_SIZE))
    assert 1.5e6 < sum(p.numel() for p in net.parameters()) < 1.7e6
    assert counter.get_total_flops() / 8 < 5e6


def test_what_is_known_is_added_by_the_position_held() -> None:
    known = np.arange(9, dtype=np.float32).reshape(3, 3)
    plain = network()
    made = DuelingQNetwork(SCHEMA, 3, SMALL, torch.Generator().manual_seed(0), known)
    state, account = inputs(3)
    account[:, 0] = torch.tensor([-1.0, 0.0, 1.0])
    torch.testing.assert_close(made(state, account) - plain(state, account), torch.tensor(known))
    assert "known" not in made.state_dict(), "it follows the costs, not the checkpoint"
