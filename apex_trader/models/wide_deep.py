"""The optimiser of a wide-and-deep extractor, and how its rates follow the budget."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from apex_trader.models.config import PretrainConfig
from apex_trader.models.extractor import CNNExtractor
from apex_trader.models.falling import falling


class WideDeepOptimiser:
    """AdamW for the deep path, plain gradient descent for the linear one.

    Gradient descent from zero moves along what the inputs have in common before it fits what
    tells single rows apart, which regularises a linear model with more inputs than independent
    labels; Adam's steps, equal in every input, would not. Its rate is given in units of the
    largest that is stable, so that one value serves every schema and market.

    Args:
        network: what is fitted.
        inputs: [m, input_size] windows of some rows; their spread sets the linear path's rate.
        config: rates, decay, clipping.
    """

    def __init__(self, network: CNNExtractor, inputs: Tensor, config: PretrainConfig) -> None:
        self.config = config
        linear = network.linear.weight
        self._deep = [p for p in network.parameters() if p is not linear]
        # shrinking biases and gains regularises nothing
        self.adamw = torch.optim.AdamW(
            [
                {
                    "params": [p for p in self._deep if p.ndim > 1],
                    "weight_decay": config.weight_decay,
                },
                {"params": [p for p in self._deep if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
        )
        self.stable_rate = stable_rate(inputs * network.input_scale)
        self.descent = torch.optim.SGD([linear], lr=config.linear_rate * self.stable_rate)

    @property
    def rate(self) -> float:
        """The deep path's learning rate of the latest step."""
        return float(self.adamw.param_groups[0]["lr"])

    def step(self, loss: Tensor, step: int, progress: float) -> None:
        """One step down the loss; ``progress``: share of the budget that is spent."""
        share = _schedule(step, self.config.warmup, progress)
        for group in self.adamw.param_groups:
            group["lr"] = share * self.config.learning_rate
        for group in self.descent.param_groups:
            group["lr"] = share * self.config.linear_rate * self.stable_rate
        self.adamw.zero_grad(set_to_none=True)
        self.descent.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._deep, self.config.grad_clip)
        self.adamw.step()
        self.descent.step()

    def state_dict(self) -> dict[str, Any]:
        """What later steps go on from: a copy, on the CPU."""
        adamw = self.adamw.state_dict()
        moments = {
            weight: {name: value.detach().cpu().clone() for name, value in values.items()}
            for weight, values in adamw["state"].items()
        }
        return {"adamw": {**adamw, "state": moments}, "stable_rate": self.stable_rate}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a ``state_dict``."""
        # torch takes the tensors themselves, and its steps change them in place
        self.adamw.load_state_dict(copy.deepcopy(state["adamw"]))
        self.stable_rate = float(state["stable_rate"])


def stable_rate(inputs: Tensor) -> float:
    """The largest stable rate of gradient descent on a softmax regression with these inputs.

    2 / L with L = λ / 2, half of the largest eigenvalue of the inputs' second moment, which bounds
    the curvature (Böhning 1992).
    """
    gram = (inputs @ inputs.T).double() / len(inputs)
    return 4.0 / max(float(torch.linalg.eigvalsh(gram)[-1]), 1e-12)


def _schedule(step: int, warmup: int, progress: float) -> float:
    """Share of the learning rate: a linear warm-up, then ``falling``."""
    return min(1.0, (step + 1) / (warmup + 1)) * falling(progress)
