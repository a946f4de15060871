"""An agent whose orders must be sure enough to add risk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.confidence.confidence import Confidence
from apex_trader.evaluation.confidence.features import OrderFeatures, adds_risk
from apex_trader.evaluation.confidence.orders import ValuedPolicy

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class GatedPolicy:
    """A policy that takes the agent's decisions, less the entries that it is not sure of.

    An order that opens a position, or flips to the other side, is refused when its confidence is
    below the gate, and the account is flat then: from flat nothing is ordered, and of a flip the
    closing half remains. Closing always passes, and so does keeping; |position| is never larger
    than what the agent asked for.

    Its actions are those of ``target`` {short, flat, long}, whatever the agent's own are, since
    ``sell_buy`` cannot say "enter not": run it with ``orders.by_target(trading)``.

    Args:
        agent: chooses by its values.
        confidence: of this very agent.
        features: as the confidence was calibrated with.
        sigma: [n] σ of a decision by global row of the path.
        gate: 0…1; 0 changes nothing.
    """

    def __init__(
        self,
        agent: ValuedPolicy,
        confidence: Confidence,
        features: OrderFeatures,
        sigma: F64,
        gate: float,
    ) -> None:
        self.name = f"{agent.name}, gated"
        self.gate = gate
        self._agent, self._confidence, self._features = agent, confidence, features
        self._sigma = sigma
        #: Orders that would add risk so far, and those of them that passed.
        self.asked = 0
        self.passed = 0

    def act(self, rows: I64, accounts: NDArray[np.float32], positions: I64) -> NDArray[np.uint8]:
        """See ``policies.Policy.act``; actions of the set ``target``."""
        q, chosen, targets = self._wish(rows, accounts, positions)
        entries = np.flatnonzero(adds_risk(positions, targets))
        if len(entries):
            sure = self._sure(q[entries], chosen[entries], positions[entries], rows[entries])
            refused = entries[~(sure >= self.gate)]
            self.asked += len(entries)
            self.passed += len(entries) - len(refused)
            targets[refused] = 0
        return (targets + 1).astype(np.uint8)

    def decide(self, rows: I64, accounts: NDArray[np.float32], positions: I64) -> tuple[I64, F64]:
        """(position that the agent asks for [k], its confidence [k]), before the gate.

        NaN for a decision to keep the position, which is no order, and for a closing order where
        confidence knows none.
        """
        q, chosen, targets = self._wish(rows, accounts, positions)
        confidence = self._sure(q, chosen, positions, rows)
        confidence[targets == positions] = np.nan
        return targets, confidence

    def _wish(
        self, rows: I64, accounts: NDArray[np.float32], positions: I64
    ) -> tuple[NDArray[np.float32], I64, I64]:
        """(values [k, A], chosen actions [k], positions that they ask for [k])."""
        q = self._agent.values(rows, accounts)
        chosen = q.argmax(1)
        return q, chosen, self._features.targets(positions, chosen)

    def _sure(self, q: NDArray[np.float32], chosen: I64, positions: I64, rows: I64) -> F64:
        """[k] confidence of the decisions."""
        features = self._features.of(q, positions, chosen, self._sigma[rows])
        adds = adds_risk(positions, self._features.targets(positions, chosen))
        return self._confidence.of(features, adds)
