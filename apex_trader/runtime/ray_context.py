"""What the driver's side of every part of a run on Ray works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.progress import Progress
from apex_trader.runtime.ray_calls import Calls
from apex_trader.runtime.ray_part import Handle
from apex_trader.runtime.ray_restarts import Restarts
from apex_trader.runtime.rhythm import Rhythm
from apex_trader.runtime.rotation import ActiveDays
from apex_trader.runtime.session import Session

#: What a rollout takes of ``cluster.actor_resource``: a host that has it holds any number.
SLIVER = 0.001


@dataclass
class RunContext:
    """One run.

    updates: the learner's, as it last told. ending: loops of the parts are not to begin another
    slice. rhythm: of what is due.
    """

    config: Config
    data: MarketData
    session: Session
    progress: Progress
    active: ActiveDays
    calls: Calls
    restarts: Restarts
    rhythm: Rhythm = field(init=False)
    updates: int = 0
    ending: bool = False

    @property
    def current(self) -> list[int]:
        """Numbers of the days that experience is of, the oldest first."""
        return list(self.data.registry.live) if self.live else self.active.current

    @property
    def resident(self) -> int:
        """How many days experience is of at a time, at most."""
        return self.config.train.resident_days if self.live else len(self.active.current)

    @property
    def live(self) -> bool:
        """Whether experience comes from a live market."""
        return self.config.rollout.source == "stream"

    @property
    def rotates(self) -> bool:
        """Whether other days become active now and then."""
        return not self.live and self.active.rotates

    def make(
        self, kind: type, *arguments: Any, cpus: float, gpus: float = 0.0, resource: str = "",
        here: bool = False,
    ) -> Handle:  # fmt: skip
        """A part as a Ray actor, which Ray restarts where it dies.

        resource: of which it takes a little, see ``cluster.actor_resource``. here: it runs on the
        driver's host and no other, since it reads files that only that host may have.
        """
        options: dict[str, Any] = {"resources": {resource: SLIVER}} if resource else {}
        if here:
            node = ray.get_runtime_context().get_node_id()
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
        restarts = self.config.cluster.restarts
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=restarts, **options)(kind)
        return remote.remote(*arguments)
