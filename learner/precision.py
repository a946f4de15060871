"""Which arithmetic the network runs in. Gathering, anchoring and TD errors are always float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from apex_trader.errors import ConfigError


def resolve_precision(precision: str, device: torch.device) -> str:
    """The precision used on ``device``: "float32" or "bf16".

    "auto" is bf16 on a GPU that computes in it, float32 elsewhere. Raises ConfigError when bf16
    is asked of a GPU without it.
    """
    capable = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "auto":
        return "bf16" if device.type == "cuda" and capable else "float32"
    if precision == "bf16" and not capable:
        raise ConfigError(
            "learner.precision", precision, f"float32 or auto: {device} does not compute in bf16"
        )
    return precision


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Context in which the network is evaluated: bf16 autocast, or nothing for float32.

    The cache of cast weights is off: it is unsafe inside a CUDA graph, and each weight is used
    once a forward pass anyway.
    """
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)


def resolve_mode(mode: str, device: torch.device) -> bool:
    """Whether an "auto", "on" or "off" speed-up is used on ``device``; "auto" is for GPUs."""
    return mode == "on" or (mode == "auto" and device.type == "cuda")
