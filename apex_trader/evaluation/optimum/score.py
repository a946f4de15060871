"""An agent's profit as a share of the optimum's, and how sure that share is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from apex_trader.errors import ApexError

#: Standard error that a score is wanted to.
WANTED_ERROR = 0.03


@dataclass(frozen=True)
class Score:
    """value: agent's profit over the optimum's on the same days. standard_error: of value; NaN for
    a single day. days: how many there were."""

    value: float
    standard_error: float
    days: int

    def days_for(self, error: float = WANTED_ERROR) -> int:
        """Test days that a standard error of at most ``error`` takes, days being alike."""
        if math.isnan(self.standard_error):
            raise ApexError("one day does not tell how days differ: judge at least two")
        return max(2, math.ceil(self.days * (self.standard_error / error) ** 2))

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.standard_error:.3f} ({self.days} days)"


def score(agent_daily: ArrayLike, optimum_daily: ArrayLike) -> Score:
    """Ratio of the mean log returns a day, of the agent and of the optimum on the same days [d].

    The day is the unit: within it returns depend on each other, days are nearly independent. Agent
    and optimum trade the same prices, so their difference is surer than either: the standard error
    is the paired one of a ratio of means (delta method, Cochran 1977, Sampling Techniques, 6.4).
    ApexError when the days differ in number or the optimum did not gain: nothing to compare with.
    """
    agent, optimum = (np.asarray(daily, np.float64) for daily in (agent_daily, optimum_daily))
    if agent.shape != optimum.shape or agent.ndim != 1 or not len(agent):
        raise ApexError(
            f"agent and optimum need the same days, not {agent.shape} and {optimum.shape} returns"
        )
    earned = float(optimum.sum())
    if not earned > 0.0:
        raise ApexError(
            f"the optimum made {earned:.4g} on these {len(agent)} days: a score needs a profit to "
            "be compared with. Judge more days, or a market with a larger edge"
        )
    value, days = float(agent.sum()) / earned, len(agent)
    rest = agent - value * optimum
    spread = float(np.sqrt(rest @ rest / (days - 1) * days)) if days > 1 else math.nan
    return Score(value, spread / earned, days)
