"""What the optimum of every planted market offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.evaluation.optimum.chain import Costs
from apex_trader.evaluation.optimum.execution import Execution
from apex_trader.evaluation.optimum.expectation import Expected
from apex_trader.evaluation.optimum.pace import Pace
from apex_trader.evaluation.optimum.prints import Prints
from apex_trader.evaluation.optimum.volatility import Volatility
from apex_trader.market.fills import FillConfig
from apex_trader.market.synthetic.planted import per_second
from apex_trader.market.synthetic.world import SYMBOLS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Hidden:
    """The state that no trader sees, by market: what ``market.synthetic.hidden`` returns."""

    columns: Mapping[str, Mapping[str, NDArray[Any]]]

    def at(self, market: str, column: str, ts: I64) -> F64:
        """[n] a column as it stands at times ``ts``. ApexError for a time it does not hold."""
        own = self.columns[market]
        rows = np.minimum(np.searchsorted(own["ts"], ts), len(own["ts"]) - 1)
        if np.any(own["ts"][rows] != ts):
            raise ApexError(
                f"the hidden state of {market} does not hold every decision: it is of another "
                "market, or of other days"
            )
        return own[column][rows].astype(np.float64)


class PlantedOptimum(ABC):
    """Values of all wishes at decisions of one planted market, for a clairvoyant and a trader.

    parameters: of the generator, resolved. Everything is for the log account, whose return is the
    sum of position · log return less costs.
    """

    def __init__(
        self, parameters: Mapping[str, Any], costs: Costs, fills: FillConfig, interval: int
    ) -> None:
        """interval: µs between decisions. ConfigError when fills and interval do not fit."""
        self.parameters, self.costs = parameters, costs
        self.volatility = Volatility.of(parameters)
        self.pace = None
        if parameters["clock"] == "1s":
            values, share = self.volatility.spread()
            self.pace = Pace.of(parameters, self.relative(values), share)
        self.execution = Execution.of(self.pace, fills, interval)

    def relative(self, volatility: F64) -> F64:
        """ETH's total volatility over its long-run level, by that of its walk: the tape's pace."""
        return volatility / per_second(self.parameters["volatility"])

    @property
    def primary(self) -> str:
        """Name of the traded market."""
        return f"{self.parameters['exchange']}:{SYMBOLS[0]}"

    @property
    def reference(self) -> str:
        """Name of the market beside it."""
        return f"{self.parameters['exchange']}:{SYMBOLS[1]}"

    @abstractmethod
    def oracle(self, hidden: Hidden, ts: I64) -> F64:
        """[n, 3, 3] value of each position wanted (last), by position held, to a clairvoyant."""

    @abstractmethod
    def filtered(self, prints: tuple[Prints, Prints], ts: I64) -> F64:
        """[n, 3, 3] the same to a trader who has seen the prints before each time.

        prints: of the traded market and of the one beside it. ts [n] µs ascending.
        """

    @abstractmethod
    def expected(self, rng: np.random.Generator) -> Expected:
        """What both earn a day in the mean, by the model alone: no market is looked at.

        rng: used where the mean has to be drawn.
        """
