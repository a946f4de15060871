"""What every part on Ray has in common, on the actor's side."""

from __future__ import annotations

import os
from typing import Any

import torch

from apex_trader.runtime.config import Config

#: Answer of a part that was restarted and waits for the driver's ``start``.
NOT_STARTED = "not started"

Ref = Any  # ray.ObjectRef, which is not typed
Handle = Any  # an actor's handle


class Part:
    """A thin shell around a component: Ray runs it in a process of its own.

    Shells have small constructor arguments and a ``start``, so that Ray can restart them anywhere
    at any time: until the driver has started one again it answers ``NOT_STARTED``.
    """

    def __init__(self, config: Config) -> None:
        torch.set_num_threads(config.train.threads)
        self._config = config

    def process(self) -> int:
        """Process id: another one after a restart."""
        return os.getpid()
