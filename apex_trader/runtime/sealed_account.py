"""One account of one set of weights along a market that is sealed part by part."""

from __future__ import annotations

import math

import numpy as np

from actors.evaluation import GreedyPolicy
from actors.market import RolloutMarket
from apex_trader.errors import ApexError
from apex_trader.evaluation.confidence.confidence import Confidence
from apex_trader.evaluation.confidence.features import OrderFeatures
from apex_trader.evaluation.confidence.gate import GatedPolicy
from apex_trader.evaluation.confidence.orders import by_target
from apex_trader.evaluation.policies import Policy
from apex_trader.models.flat import QNetwork
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.simulator import Simulator


class SealedAccount:
    """Trades a market as far as it is sealed, with the simulator's fills and costs, as a trader's
    own account would: gated where it is, its position carried over gaps and nights.

    Args:
        network: with the weights. confidence: of these very weights; None: no gate. features: of
            their orders. gate: see ``GatedPolicy``.
        trading, reward: of the account.
        begin: µs; it is flat before, and decides nothing.
    """

    def __init__(
        self,
        network: QNetwork,
        confidence: Confidence | None,
        features: OrderFeatures,
        gate: float,
        trading: TradingConfig,
        reward: RewardConfig,
        begin: int,
    ) -> None:
        self._network, self._confidence, self._features = network, confidence, features
        self._gate, self._reward, self._begin = gate, reward, begin
        self._trading = trading if confidence is None else by_target(trading)
        self._simulator: Simulator | None = None
        self._market: RolloutMarket | None = None
        self._policy: Policy | None = None
        self._resting = self._ruined = False
        #: Rows (µs) of the decisions that it took, first and last.
        self.span: tuple[int, int] | None = None

    def follow(self, market: RolloutMarket) -> None:
        """Go on on a market that goes on: the same days, the newest longer or new ones behind; old
        ones may be gone, up to the one in which it stands. ApexError when that is not there."""
        if self._market is not None and self._simulator is not None:
            numbers, first = self._market.numbers.tolist(), int(market.numbers[0])
            if first not in numbers:
                raise ApexError("the account's day is not part of the market that goes on")
            gone = int(self._market.path.first_row[numbers.index(first)])
            self._simulator.go_on(market.path, gone)
        self._market, self._policy = market, self._policy_on(market)

    def walk(self, until: int, complete: bool) -> tuple[int, float]:
        """(decisions, net log return) up to ``until`` (µs), as far as they are known.

        What the newest sealed row leads to is not known before the next part, unless the day is
        ``complete``. An open position counts at the last mark.
        """
        if not self._start():
            return 0, 0.0
        assert self._simulator is not None
        before, decisions = float(self._simulator.equity[0]), 0
        while self._can_decide(until, complete):
            self._decide()
            decisions += 1
        after = float(self._simulator.equity[0])
        return decisions, math.log(max(after, np.finfo(np.float64).tiny) / before)

    # --- inside ----------------------------------------------------------------------------

    def _policy_on(self, market: RolloutMarket) -> Policy:
        greedy = GreedyPolicy(self._network, market.tables)
        if self._confidence is None:
            return greedy
        sigma = np.asarray(market.path.arrays["sigma_decision"])
        return GatedPolicy(greedy, self._confidence, self._features, sigma, self._gate)

    def _start(self) -> bool:
        """Stand flat at the first decision; False while there is none."""
        if self._simulator is None:
            assert self._market is not None
            path = self._market.path
            rows = np.flatnonzero(path.startable & (path.arrays.ts >= self._begin))
            if not len(rows):
                return False
            self._simulator = Simulator(path, self._trading, self._reward, 1, growing=True)
            self._simulator.reset(np.zeros(1, np.int64), rows[:1])
        return True

    def _can_decide(self, until: int, complete: bool) -> bool:
        assert self._simulator is not None
        if self._ruined or (self._resting and not self._move_on(until)):
            return False
        path, row = self._simulator.path, int(self._simulator.rows[0])
        known = complete or int(path.arrays.next_row[row]) < len(path) - 1
        return known and int(path.arrays.ts[row]) < until

    def _move_on(self, until: int) -> bool:
        """Over a gap or a night, position and all; False while nothing follows before ``until``."""
        assert self._simulator is not None
        path, here = self._simulator.path, int(self._simulator.rows[0])
        later = np.flatnonzero(path.startable[here + 1 :])
        if not len(later) or path.arrays.ts[row := here + 1 + int(later[0])] >= until:
            return False
        self._simulator.carry(np.zeros(1, np.int64), np.array([row]))
        self._ruined, self._resting = bool(self._simulator.ended[0]), False
        return not self._ruined

    def _decide(self) -> None:
        assert self._simulator is not None
        assert self._policy is not None
        simulator, path = self._simulator, self._simulator.path
        actions = self._policy.act(simulator.rows, simulator.features(), simulator.position)
        step = simulator.step(actions)
        ts = int(path.arrays.ts[step.row[0]])
        self.span = (self.span[0] if self.span else ts, ts)
        self._ruined = bool(step.terminated[0])
        self._resting = not path.startable[step.next_row[0]]
