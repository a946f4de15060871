"""The acting policy: Q-values of many lanes from one encoding of each market time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apex_trader.errors import ApexError
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.state.gather import MarketTables, gather

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

#: Most states gathered and encoded at a time: 256 states of 15,798 features are 16 MB.
_CHUNK = 256


def greedy(q: F32) -> NDArray[np.uint8]:
    """The best action [B] by Q [B, A]; the first of equal ones."""
    best: NDArray[np.uint8] = q.argmax(1).astype(np.uint8)
    return best


class BatchedPolicy:
    """Q-values on the CPU in float32, of the market as it is (never mirrored).

    Lanes that stand at the same market time share its state and its encoding, which are nearly
    all of the work: only the head, which knows the account, runs once a lane.

    Args:
        network: its weights are replaced by ``set_weights``.
        tables: of the market, on the CPU, with CNN rows where the schema has them.
        kept: encodings to keep, where the same market times are asked for again.
    """

    def __init__(self, network: DuelingQNetwork, tables: MarketTables, kept: int = 0) -> None:
        self.network = network.eval().requires_grad_(False)
        self._tables, self._kept = tables, kept
        self._codes: OrderedDict[int, Tensor] = OrderedDict()
        self.version = 0
        #: Market states encoded, and Q-values asked for, so far.
        self.encoded = 0
        self.asked = 0

    @property
    def tables(self) -> MarketTables:
        """The market's tables."""
        return self._tables

    @tables.setter
    def tables(self, tables: MarketTables) -> None:
        self._tables = tables
        self.forget()

    def go_on(self, tables: MarketTables, gone: int) -> None:
        """The tables of a market that goes on, whose first ``gone`` rows went away."""
        kept = self._codes.copy() if tables.cnn_version == self._tables.cnn_version else {}
        self.tables = tables
        self._codes.update({row - gone: code for row, code in kept.items() if row >= gone})

    def state_dict(self) -> dict[str, Any]:
        """Version, weights, and what was kept: made anew it could differ in the last bit."""
        return {
            "version": self.version,
            "weights": {n: t.clone() for n, t in self.network.state_dict().items()},
            "rows": list(self._codes),
            "codes": [code.clone() for code in self._codes.values()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``state_dict``."""
        self.set_weights(int(state["version"]), state["weights"])
        self._codes.update(zip(state["rows"], state["codes"], strict=True))

    def forget(self) -> None:
        """Drop what was kept: weights, tables or their CNN rows have changed."""
        self._codes.clear()

    def set_weights(self, version: int, weights: Mapping[str, Tensor]) -> None:
        """Take over the learner's weights of a version."""
        self.network.load_state_dict(weights)
        self.version = version
        self.forget()

    @torch.inference_mode()
    def q(self, rows: I64, account: F32) -> F32:
        """Q [B, A] of lanes at global rows [B] with account features [B, 8].

        ApexError when a value is not finite: the weights diverged, or CNN rows are missing.
        """
        distinct, place = np.unique(rows, return_inverse=True)
        codes = self._known(distinct) if self._kept else self._encode(distinct)
        z = codes.index_select(0, torch.from_numpy(place))
        q: F32 = self.network.q(z, torch.from_numpy(np.ascontiguousarray(account))).numpy()
        self.asked += len(rows)
        if not np.isfinite(q).all():
            row = int(rows[~np.isfinite(q).all(1)][0])
            raise ApexError(
                f"the policy (weights version {self.version}) has no finite Q-values at decision "
                f"row {row}: either training diverged (lower learner.learning_rate), or the CNN "
                "rows of that segment were never written"
            )
        return q

    def _known(self, rows: I64) -> Tensor:
        """Encodings [B, width] of distinct rows; those that were kept are not made again."""
        unknown = np.array([r for r in rows.tolist() if r not in self._codes], np.int64)
        if len(unknown):
            made = self._encode(unknown)
            self._codes.update(zip(unknown.tolist(), made.unbind(), strict=True))
        for row in rows.tolist():
            self._codes.move_to_end(row)
        codes = torch.stack([self._codes[row] for row in rows.tolist()])
        while len(self._codes) > self._kept:
            self._codes.popitem(last=False)
        return codes

    def _encode(self, rows: I64) -> Tensor:
        self.encoded += len(rows)
        parts = (torch.from_numpy(rows[i : i + _CHUNK]) for i in range(0, len(rows), _CHUNK))
        return torch.cat([self.network.encode(gather(self._tables, part)) for part in parts])
