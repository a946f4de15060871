"""Where a run stands: counters that a checkpoint keeps, and what is due at which update."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Counters of a run. seconds: of earlier sittings and this one, in training.

    decisions: of all lanes; inserted: transitions, in so many deliveries; best: highest
    validation figure so far; marks: event → update count at which it last
    happened.
    """

    decisions: int = 0
    inserted: int = 0
    deliveries: int = 0
    seconds: float = 0.0
    best: float = float("-inf")
    marks: dict[str, int] = field(default_factory=dict)

    def due(self, event: str, updates: int, every: int) -> bool:
        """Whether a multiple of ``every`` was reached since the event; notes it if so.

        Never with every=0. Multiples, not distances: updates come in leaps, and an event that is
        late once would put off all that follow.
        """
        if every <= 0 or updates // every <= self.marks.get(event, 0) // every:
            return False
        self.marks[event] = updates
        return True

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "marks": dict(self.marks)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``state_dict``."""
        for name, value in state.items():
            setattr(self, name, dict(value) if name == "marks" else value)
