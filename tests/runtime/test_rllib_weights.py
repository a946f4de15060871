"""The networks that are judged choose what RLlib's own inference chooses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from ray.rllib.algorithms.dqn.torch.default_dqn_torch_rl_module import DefaultDQNTorchRLModule
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.numpy import convert_to_numpy

from apex_trader.runtime.compose import compose_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.parts import judged_network
from apex_trader.runtime.ray_rllib_algorithm import DuelingModule
from apex_trader.runtime.rllib_weights import judged_weights
from apex_trader.state.schema import ACCOUNT_SIZE
from tests.conftest import SMALL

#: What RLlib adds to the configuration of every DQN module.
DQN = {"double_q": True, "dueling": True, "epsilon": 0.1, "num_atoms": 1, "std_init": 0.5,
       "v_max": 1.0, "v_min": -1.0}  # fmt: skip


def peer(network: str, hidden: str = "[16,8]", activation: str = "tanh") -> Config:
    words = [word for word in SMALL if not word.startswith("runtime")]
    return compose_config([
        *words, "agent=rllib_dqn", "rllib={envs: 1, capacity: 500}", f"rllib.network={network}",
        f"rllib.hidden={hidden}", f"rllib.activation={activation}",
    ])  # fmt: skip


def module_of(config: Config) -> Any:
    """RLlib's module, as its learner builds it, with other weights than those it began with."""
    size = config.state.build().market_size + ACCOUNT_SIZE
    if config.rllib.network == "dueling":
        kind, model = DuelingModule, {**DQN, "run": (config, config.trading)}
    else:
        layers = DefaultModelConfig(
            fcnet_hiddens=list(config.rllib.hidden), fcnet_activation=config.rllib.activation
        )
        kind, model = DefaultDQNTorchRLModule, {**vars(layers), **DQN}
    module = RLModuleSpec(
        kind, gymnasium.spaces.Box(-5, 5, (size,), np.float32), gymnasium.spaces.Discrete(3),
        model_config=model,
    ).build()  # fmt: skip
    module.make_target_networks()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight += 0.4 * torch.randn(weight.shape, generator=generator)
    return module


@pytest.mark.parametrize(
    "config",
    [peer("mlp"), peer("mlp", "[12]", "relu"), peer("mlp", "[12,6,4]"), peer("dueling")],
    ids=["two layers", "one layer, relu", "three layers", "our network"],
)
def test_the_same_values_and_actions(config: Config):
    torch.set_num_threads(1)
    module, schema = module_of(config), config.state.build()
    network = judged_network(config, schema, config.trading).eval()
    state = convert_to_numpy(module.get_state())
    network.load_state_dict(judged_weights(state, config.rllib))
    size = schema.market_size + ACCOUNT_SIZE
    observations = 0.2 * torch.randn(256, size, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        wanted = module.compute_q_values({Columns.OBS: observations})["qf_preds"]
        q = network(observations[:, :-ACCOUNT_SIZE], observations[:, -ACCOUNT_SIZE:])
        actions = module.forward_inference({Columns.OBS: observations})[Columns.ACTIONS]
    torch.testing.assert_close(q, wanted, rtol=1e-4, atol=1e-4)
    best = q.sort(1, descending=True).values
    clear = best[:, 0] - best[:, 1] > 1e-3
    assert clear.float().mean() > 0.9
    assert torch.equal(q.argmax(1)[clear], actions[clear])
    assert len(actions.unique()) > 1, "one action always would prove nothing"


def test_the_target_network_is_not_what_is_judged():
    """It differs from the online one here, and loading would fail on its names."""
    config = peer("dueling")
    module = module_of(config)
    weights = judged_weights(convert_to_numpy(module.get_state()), config.rllib)
    assert set(weights) == set(
        judged_network(config, config.state.build(), config.trading).state_dict()
    )
    name = "value.weight"
    assert torch.equal(weights[name], module.encoder.state_dict()[name])
    assert not torch.equal(weights[name], module._target_encoder.state_dict()[name])


def test_our_network_begins_as_it_does_in_our_learner():
    from apex_trader.runtime.parts import make_network

    config = peer("dueling")
    size = config.state.build().market_size + ACCOUNT_SIZE
    module = RLModuleSpec(
        DuelingModule, gymnasium.spaces.Box(-5, 5, (size,), np.float32),
        gymnasium.spaces.Discrete(3), model_config={**DQN, "run": (config, config.trading)},
    ).build()  # fmt: skip
    own = make_network(replace(config, agent="apex"), config.state.build(), config.trading)
    for name, value in own.state_dict().items():
        assert torch.equal(module.encoder.state_dict()[name], value), name
