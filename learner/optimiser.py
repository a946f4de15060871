"""The optimiser: AdamW (Loshchilov & Hutter 2019), fused, with a skip that asks no host."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.models.falling import falling
from learner.config import LearnerConfig


def adamw(
    network: DuelingQNetwork, config: LearnerConfig, device: torch.device
) -> torch.optim.AdamW:
    """Fused AdamW. Matrices decay; biases and normalisation gains, which set scales, do not. The
    encoder has a rate of its own; ``set_rates`` makes them fall."""
    encoder = {id(p) for p in network.encoder.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            kind = id(parameter) in encoder, parameter.dim() >= 2
            groups.setdefault(kind, []).append(parameter)
    made: list[dict[str, Any]] = []
    for (encodes, matrices), parameters in groups.items():
        rate = config.learning_rate * (config.encoder_rate if encodes else 1.0)
        # a CUDA graph reads the rate where it lies: a number would stay what it was at capture
        lr = torch.tensor(rate, device=device) if device.type == "cuda" else rate
        decay = config.weight_decay if matrices else 0.0
        made.append({"params": parameters, "lr": lr, "full_rate": rate, "weight_decay": decay})
    return torch.optim.AdamW(
        made,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        fused=True,
        capturable=device.type == "cuda",
    )


def set_rates(optimiser: torch.optim.AdamW, decay_updates: int, updates: int) -> None:
    """The rates of the next step, after ``updates`` of them (see ``decay_updates``)."""
    if not decay_updates:
        return
    left = falling(updates / decay_updates)
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(left * group["full_rate"])
        else:
            group["lr"] = left * group["full_rate"]


def skip_where(optimiser: torch.optim.AdamW, skipped: Tensor) -> None:
    """Let the next step leave weights and moments as they are if ``skipped`` [] float is 1.

    This is the way that torch's gradient scaler tells a fused optimiser of an overflow.
    """
    optimiser.found_inf = skipped  # type: ignore[attr-defined]
