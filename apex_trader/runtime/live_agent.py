"""A trained agent that decides on the newest row of live tables, and whether it is sure enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from actors.evaluation import GreedyAgent
from apex_trader.errors import ApexError
from apex_trader.evaluation.confidence.confidence import Confidence
from apex_trader.evaluation.confidence.features import OrderFeatures, adds_risk
from apex_trader.models.flat import QNetwork
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.schema import CLIP

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Wish:
    """What the agent wants at a decision.

    q [A]: values. action: the greedy one. target: the position that it asks for, −1, 0, 1.
    confidence: 0…1 that this beats keeping the position, NaN where nothing is ordered or none is
    known. gated: the position that is left of it when it is not sure enough. clipped: share of the
    state's features at the edge of their range.
    """

    q: F32
    action: int
    target: int
    confidence: float
    gated: int
    clipped: float

    @property
    def refused(self) -> bool:
        """It was not sure enough for what it wants."""
        return self.gated != self.target


class LiveAgent(GreedyAgent):
    """Asks a network for one row of tables at a time, and gates it as ``GatedPolicy`` does.

    Args:
        network: with the agent's weights.
        extractor: of its CNN columns; None where the state has none.
        features: of its orders. confidence: calibrated for this very agent; None: no gate.
        gate: least confidence of an order that adds risk.
    """

    def __init__(
        self,
        network: QNetwork,
        extractor: FrozenExtractor | None,
        features: OrderFeatures,
        confidence: Confidence | None,
        gate: float,
    ) -> None:
        super().__init__(network)
        self.extractor, self.gate = extractor, gate
        self._features, self._confidence = features, confidence
        self._state = torch.empty(0)

    def see(self, tables: MarketTables, row: int) -> None:
        """Write the CNN rows of a decision into the tables, where it has some."""
        if self.extractor is not None:
            tables.write_cnn(row, self.extractor.rows(tables, row, 1), self.extractor.version)

    @torch.inference_mode()
    def codes(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """See ``GreedyAgent.codes``: of the one state that was gathered last."""
        return self.network.encode(self._state)

    def ask(
        self, tables: MarketTables, row: int, account: F32, position: int, sigma: float
    ) -> Wish:
        """What it wants at a decision row whose CNN rows are there.

        account [8]: features; position: −1, 0, 1; sigma: σ of a decision (log units). ApexError
        when a value is not finite.
        """
        self._state = gather(tables, torch.tensor([row]))
        if not bool(torch.isfinite(self._state).all()):
            raise ApexError(f"the state of decision row {row} is not finite")
        q = self.values(np.array([row]), account[None])
        positions, chosen = np.array([position]), q.argmax(1)
        targets = self._features.targets(positions, chosen)
        sure = float("nan")
        risky = adds_risk(positions, targets)
        if self._confidence is not None and targets[0] != position:
            columns = self._features.of(q, positions, chosen, np.array([sigma]))
            sure = float(self._confidence.of(columns, risky)[0])
        gated = int(targets[0])
        if self._confidence is not None and risky[0] and not sure >= self.gate:
            gated = 0
        clipped = float((self._state.abs() >= CLIP).float().mean())
        return Wish(q[0], int(chosen[0]), int(targets[0]), sure, gated, clipped)
