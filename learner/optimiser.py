"""The optimiser: AdamW (Loshchilov & Hutter 2019), fused, with a skip that asks no host."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from apex_trader.models.dueling import DuelingQNetwork
from learner.config import LearnerConfig


def adamw(
    network: DuelingQNetwork, config: LearnerConfig, device: torch.device
) -> torch.optim.AdamW:
    """Fused AdamW. Matrices decay; biases and normalisation gains, which set scales, do not. The
    encoder has a rate of its own."""
    encoder = {id(p) for p in network.encoder.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            kind = id(parameter) in encoder, parameter.dim() >= 2
            groups.setdefault(kind, []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": config.learning_rate * (config.encoder_rate if encodes else 1.0),
                "weight_decay": config.weight_decay if matrices else 0.0,
            }
            for (encodes, matrices), parameters in groups.items()
        ],
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        fused=True,
        capturable=device.type == "cuda",
    )


def skip_where(optimiser: torch.optim.AdamW, skipped: Tensor) -> None:
    """Let the next step leave weights and moments as they are if ``skipped`` [] float is 1.

    This is the way that torch's gradient scaler tells a fused optimiser of an overflow.
    """
    optimiser.found_inf = skipped  # type: ignore[attr-defined]
