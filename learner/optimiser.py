"""The optimiser: AdamW (Loshchilov & Hutter 2019), fused, with a skip that asks no host."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learner.config import LearnerConfig


def adamw(network: nn.Module, config: LearnerConfig, device: torch.device) -> torch.optim.AdamW:
    """Fused AdamW. Matrices decay; biases and normalisation gains, which set scales, do not."""
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
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
