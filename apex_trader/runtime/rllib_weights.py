"""Weights of RLlib's modules as weights of the networks that are judged; nothing here needs Ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from apex_trader.runtime.rllib_config import RllibConfig
from apex_trader.state.schema import ACCOUNT_SIZE

#: How RLlib's modules name their parts: shared layers, advantage and value head.
_SHARED, _ADVANTAGE, _VALUE = "encoder.", "af.net.mlp.0.", "vf.net.mlp.0."


def judged_weights(state: Mapping[str, Any], config: RllibConfig) -> dict[str, Tensor]:
    """A module's state (arrays by name) as the state of ``judge``'s network for it."""
    weights = {name: torch.as_tensor(value).clone() for name, value in state.items()}
    if config.network == "dueling":
        return {
            name.removeprefix(_SHARED): value
            for name, value in weights.items()
            if name.startswith(_SHARED)
        }
    return _flat_weights(weights, len(config.hidden))


def _flat_weights(weights: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Of RLlib's default module; its first layer takes [market, account] at once."""

    def layer(number: int, kind: str) -> Tensor:
        return weights[f"{_SHARED}net.mlp.{2 * number}.{kind}"]  # an activation after each

    first = layer(0, "weight")
    out = {
        "encoder.linear.weight": first[:, :-ACCOUNT_SIZE].contiguous(),
        "encoder.linear.bias": layer(0, "bias"),
        "account.weight": first[:, -ACCOUNT_SIZE:].contiguous(),
    }
    for kind in ("weight", "bias"):
        out |= {f"layers.{k - 1}.{kind}": layer(k, kind) for k in range(1, layers)}
        out[f"value.{kind}"] = weights[f"{_VALUE}{kind}"]
        out[f"advantage.{kind}"] = weights[f"{_ADVANTAGE}{kind}"]
    return out
