"""How old the experience is that the learner trains on."""

from __future__ import annotations

import numpy as np

from apex_trader.experience import Sample

#: Low bits of a generation that count insertions; the rest is the shard's incarnation.
SEQUENCE_BITS = 40
_SEQUENCE = np.uint64((1 << SEQUENCE_BITS) - 1)


class SampleAges:
    """How many insertions old sampled transitions are, against the newest seen of their shard.

    newest: by shard, the largest generation seen so far. A shard that was lost begins to count anew
    in a higher incarnation: then its newest is of that one.
    """

    def __init__(self) -> None:
        self.newest: dict[int, int] = {}
        self._total, self._count, self._max = 0.0, 0, 0.0

    def add(self, sample: Sample) -> None:
        """Count a sample's transitions."""
        newest = max(self.newest.get(sample.shard, 0), int(sample.generation.max()))
        self.newest[sample.shard] = newest
        sequence = (sample.generation & _SEQUENCE).astype(np.int64)
        # A late sample of an earlier incarnation may be numbered above all of this one.
        age = np.maximum((newest & int(_SEQUENCE)) - sequence, 0)
        self._total += float(age.sum())
        self._count += len(age)
        self._max = max(self._max, float(age.max()))

    def read(self) -> dict[str, float]:
        """Mean and largest age since the last reading."""
        if not self._count:
            return {}
        out = {
            "learner/sample_age_mean": self._total / self._count,
            "learner/sample_age_max": self._max,
        }
        self._total, self._count, self._max = 0.0, 0, 0.0
        return out
