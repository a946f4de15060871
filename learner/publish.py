"""Weights for the actors: one flat array with a version, and how far behind the actors are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from apex_trader.errors import ApexError, MismatchError

#: Name and shape of each tensor, in order.
Layout = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class PublishedWeights:
    """A network's weights at one moment.

    version: 1, 2, … in order of publication. updates: the learner's updates until then.
    flat [n] float32: all tensors, one after another, as ``layout`` says. One contiguous array
    crosses Ray's object store without a copy.
    """

    version: int
    updates: int
    flat: NDArray[np.float32]
    layout: Layout

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors by name, float32, as views of a private copy."""
        flat = torch.from_numpy(self.flat.copy())
        sizes = [int(np.prod(shape)) for _, shape in self.layout]
        parts = torch.split(flat, sizes)
        return {
            name: part.view(shape) for (name, shape), part in zip(self.layout, parts, strict=True)
        }

    def apply(self, network: nn.Module) -> None:
        """Load into ``network``. MismatchError when its tensors are others."""
        own = _layout(network)
        if own != self.layout:
            differing = sorted(set(own) ^ set(self.layout))[:3]
            raise MismatchError(
                f"weights version {self.version} are of another network, e.g. {differing}: "
                "start actors and learner with the same models configuration"
            )
        network.load_state_dict(self.state_dict())


class WeightPublisher:
    """Publishes a network's weights with a growing version, and reports the actors' policy lag.

    The lag of an actor is measured whenever it delivers experience: how many updates the learner
    has done since the version that the actor acted with was published.
    """

    #: Versions whose moment of publication is remembered; an older one counts as the oldest.
    MEMORY = 4096

    def __init__(self, network: nn.Module) -> None:
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point():
                raise ApexError(f"{name} is {tensor.dtype}: only floating-point weights publish")
        self._network = network
        self._layout = _layout(network)
        self._version = 0
        self._published: OrderedDict[int, int] = OrderedDict({0: 0})
        self._lags: list[tuple[int, int]] = []

    @property
    def version(self) -> int:
        """Version published last; 0 before the first."""
        return self._version

    def publish(self, updates: int) -> PublishedWeights:
        """A new version of the weights as they are; waits for the device."""
        with torch.no_grad():
            tensors = [t.float().reshape(-1) for t in self._network.state_dict().values()]
            flat = torch.cat(tensors).cpu().numpy()
        flat.flags.writeable = False
        self._version += 1
        self._published[self._version] = updates
        while len(self._published) > self.MEMORY:
            self._published.popitem(last=False)
        return PublishedWeights(self._version, updates, flat, self._layout)

    def observe(self, version: int, updates: int) -> None:
        """An actor delivered experience that it made with ``version``; 0 is an untrained policy.

        Raises ApexError for a version that was never published.
        """
        if not 0 <= version <= self._version:
            raise ApexError(
                f"an actor reports weights version {version}, the newest is {self._version}: "
                "restart the actor"
            )
        oldest = next(iter(self._published.values()))
        lag = updates - self._published.get(version, oldest)
        self._lags.append((lag, self._version - version))

    def metrics(self) -> dict[str, float]:
        """Policy lag since the last call, in updates and in versions; empty without experience."""
        if not self._lags:
            return {}
        updates, versions = np.array(self._lags, np.float64).T
        self._lags.clear()
        return {
            "learner/policy_lag_min": float(updates.min()),
            "learner/policy_lag_mean": float(updates.mean()),
            "learner/policy_lag_max": float(updates.max()),
            "learner/policy_lag_versions": float(versions.mean()),
            "learner/weights_version": float(self._version),
        }

    def state_dict(self) -> dict[str, Any]:
        """Version and what each was published at, so that versions go on growing on resume."""
        return {"version": self._version, "published": dict(self._published)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state_dict``."""
        self._version = int(state["version"])
        self._published = OrderedDict(sorted(state["published"].items()))
        self._lags.clear()


def _layout(network: nn.Module) -> Layout:
    return tuple((name, tuple(t.shape)) for name, t in network.state_dict().items())
