"""A plain MLP on the flat state with dueling heads: what other systems take without a network of
their own (``DefaultModelConfig`` of RLlib's DQN)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from apex_trader.errors import ConfigError
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.state.schema import ACCOUNT_SIZE, Schema

Activation = Literal["tanh", "relu"]


class MarketPart(nn.Module):
    """The market's share of the first layer, bias included: [B, market_size] → [B, width].

    Before the activation, so that lanes at one market time share it as they share an encoding.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.linear = nn.Linear(size, width)

    def forward(self, state: Tensor) -> Tensor:
        """See the class."""
        z: Tensor = self.linear(state)
        return z


class FlatQNetwork(nn.Module):
    """Q(state) = V + A − mean A of an MLP on market and account features, [B, actions] float32.

    The first layer is linear in both, so it is held in two parts: ``encode`` is the market's,
    which no account changes, and ``q`` does the rest. Together they are the MLP on the joined
    features, to rounding.

    Args:
        schema: the state's schema.
        actions: size of the action set, at least 2.
        hidden: width of each hidden layer, at least one.
        activation: of the hidden layers.
    """

    def __init__(
        self, schema: Schema, actions: int, hidden: Sequence[int], activation: Activation
    ) -> None:
        super().__init__()
        if actions < 2:
            raise ConfigError("trading.actions", actions, "an action set of at least 2 actions")
        if not hidden:
            raise ConfigError("hidden", tuple(hidden), "one hidden layer or more")
        self.actions = actions
        self.encoder = MarketPart(schema.market_size, hidden[0])
        self.account = nn.Linear(ACCOUNT_SIZE, hidden[0], bias=False)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(hidden))
        self.value = nn.Linear(hidden[-1], 1)
        self.advantage = nn.Linear(hidden[-1], actions)
        self._activate = torch.tanh if activation == "tanh" else torch.relu

    def encode(self, state: Tensor) -> Tensor:
        """Market part [B, market_size] float32 → z [B, width]."""
        z: Tensor = self.encoder(state)
        return z

    def q(self, z: Tensor, account: Tensor) -> Tensor:
        """z [B, width], account [B, 8] → Q [B, actions] float32."""
        hidden = self._activate(z + self.account(account))
        for layer in self.layers:
            hidden = self._activate(layer(hidden))
        advantage = self.advantage(hidden)
        q: Tensor = self.value(hidden) + advantage - advantage.mean(1, keepdim=True)
        return q

    def forward(self, state: Tensor, account: Tensor) -> Tensor:
        """Market part [B, market_size] and account [B, 8] → Q [B, actions] float32."""
        return self.q(self.encode(state), account)


#: What can be judged: a market part that lanes share, and a rest that each account has its own of.
QNetwork = DuelingQNetwork | FlatQNetwork
