"""Where the learner's arena gets its segments from."""

from __future__ import annotations

import time
from collections.abc import Sequence

import ray
from ray.exceptions import RayError, RayTaskError

from apex_trader.errors import ApexError
from apex_trader.runtime.ray_part import NOT_STARTED, Handle, Ref
from learner.arena import Loaded


class GoneError(ApexError):
    """A live day was let go."""


class SegmentLoader:
    """Brings segments from a part that gives them, with the CNN rows of one extractor.

    Args:
        part: has ``market(numbers, extractor)``, a ``Market``. name: of the part, for errors.
        extractor: [reference to the extractor's state_dict] or [] without CNN blocks.
        limit: seconds that the part may take to be restarted.
    """

    def __init__(
        self, part: Handle, name: str, extractor: Sequence[Ref], limit: float = 60.0
    ) -> None:
        self._part, self._name, self._limit = part, name, limit
        self._extractor = list(extractor)

    def swap_extractor(self, extractor: Sequence[Ref]) -> None:
        """Bring the rows of another extractor from now on."""
        self._extractor = list(extractor)

    def load(self, number: int) -> Loaded:
        """A segment. ApexError when the part that gives it does not come back."""
        until = time.monotonic() + self._limit
        while time.monotonic() < until:
            try:
                market = ray.get(self._part.market.remote([number], self._extractor))
                if market != NOT_STARTED:
                    if not market.numbers:
                        raise GoneError(f"the {self._name} has no segment {number} any more")
                    segments, rows = market.load()
                    return Loaded(segments[0], rows[0], market.version)
            except RayTaskError:
                raise
            except RayError:
                pass  # the part is being restarted, and its segments went with it
            time.sleep(1.0)
        raise ApexError(f"the {self._name} did not come back to give segment {number}")
