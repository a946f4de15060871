"""The dueling Q-network over the shared market encoding (Wang et al. 2016, section 3)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from apex_trader.errors import ConfigError
from apex_trader.models.config import DuelingConfig
from apex_trader.models.encoder import MarketEncoder
from apex_trader.models.initialise import initialise, shrink
from apex_trader.state.schema import ACCOUNT_SIZE, Schema

#: The heads begin near zero: an untrained network must not prefer an action by chance.
_HEAD_GAIN = 0.01


class DuelingQNetwork(nn.Module):
    """Q(market, account, ·) = known + V + A − mean A, [B, actions] float32.

    The account joins after the encoder: lanes that stand at one market time share its encoding,
    and only two small layers run once a lane. Under autocast the streams are joined in float32,
    since the difference of two actions is small against V.

    What an order costs is known, and is not left to be learned out of rewards whose noise is many
    times as large: it stands in ``known``, and the network learns what it adds to that. An
    untrained network so keeps what it holds, instead of trading to and fro by chance.

    Weights begin orthogonal (gain √2; heads a hundredth of it, so that what is added is near 0 at
    first), biases zero.

    Args:
        schema: the state's schema.
        actions: size of the action set, at least 2.
        config: widths.
        generator: source of the initial weights, torch's global one when None.
        known: [3, actions] known part of each action's value, by position held + 1; None for 0.
    """

    known: Tensor

    def __init__(
        self,
        schema: Schema,
        actions: int,
        config: DuelingConfig,
        generator: torch.Generator | None = None,
        known: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        if actions < 2:
            raise ConfigError("trading.actions", actions, "an action set of at least 2 actions")
        self.actions = actions
        table = np.zeros((3, actions), np.float32) if known is None else known
        self.register_buffer("known", torch.from_numpy(table.copy()), persistent=False)
        self.encoder = MarketEncoder(schema, config.encoder, generator)
        self.hidden = nn.Linear(self.encoder.width + ACCOUNT_SIZE, 2 * config.hidden)
        self.value = nn.Linear(config.hidden, 1)
        self.advantage = nn.Linear(config.hidden, actions)
        for layer in (self.hidden, self.value, self.advantage):
            initialise(layer, generator)
        shrink(self.value, _HEAD_GAIN)
        shrink(self.advantage, _HEAD_GAIN)

    def encode(self, state: Tensor) -> Tensor:
        """Market part [B, market_size] float32 → z [B, width]."""
        z: Tensor = self.encoder(state)
        return z

    def q(self, z: Tensor, account: Tensor) -> Tensor:
        """z [B, width], account [B, 8] → Q [B, actions] float32.

        Several lanes at one market time: repeat the rows of z, not the encoding of the state.
        """
        joined = torch.cat((z, account.to(z.dtype)), 1)
        value_hidden, advantage_hidden = functional.gelu(self.hidden(joined)).chunk(2, 1)
        value = self.value(value_hidden).float()
        advantage = self.advantage(advantage_hidden).float()
        held = (account[:, 0].round().long() + 1).clamp(0, 2)
        q: Tensor = self.known[held] + value + advantage - advantage.mean(1, keepdim=True)
        return q

    def forward(self, state: Tensor, account: Tensor) -> Tensor:
        """Market part [B, market_size] and account [B, 8] → Q [B, actions] float32."""
        return self.q(self.encode(state), account)
