"""The rollout on a live market: lanes follow it, each decision once, and keep their accounts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from actors.config import RolloutConfig
from actors.market import RolloutMarket
from actors.potentials import Potentials
from actors.rollout import RolloutResult, RolloutWorker
from apex_trader.errors import ApexError
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.simulator import Step

Bool = NDArray[np.bool_]


class StreamRollout(RolloutWorker):
    """Steps all lanes through the sealed parts of a live market, in lockstep.

    The market is exogenous, so the lanes may run a little behind it. All of them stand at one
    market time and share its encoding; what differs is their exploration, and so their accounts.
    A gap or the end of a day cuts the episodes, which bootstrap, as it does on replayed days; then
    the accounts go on, position and all, where deciding goes on. Only ruin, or the configured
    length of an episode, makes a lane start anew.

    Where the newest sealed part ends nothing is cut: the lanes wait in front of its last decision,
    of which it is not known yet whether another one follows.

    Args:
        market, complete: see ``follow``.
        begin: µs; decisions before it are history.
        others: see ``RolloutWorker``.
    """

    GROWING = True

    def __init__(
        self,
        market: RolloutMarket,
        complete: bool,
        network: DuelingQNetwork,
        config: RolloutConfig,
        trading: TradingConfig,
        reward: RewardConfig,
        *,
        begin: int,
        actor: int = 0,
        actors: int = 1,
        seed: int = 0,
    ) -> None:
        self._begin, self._complete, self._resting = begin, complete, False
        self._ruined: Bool = np.zeros(config.lanes, np.bool_)
        super().__init__(
            market, network, config, trading, reward, actor=actor, actors=actors, seed=seed
        )

    @staticmethod
    def can_begin(market: RolloutMarket, begin: int) -> bool:
        """Whether there is a decision at or after ``begin`` (µs) that another one follows."""
        path = market.path
        return bool((path.startable & (path.arrays.ts >= begin)).any())

    @property
    def standing(self) -> int:
        """Registry number of the segment that the lanes stand in."""
        return int(self.market.refer(self.simulator.rows[:1])[0][0])

    @property
    def ready(self) -> bool:
        """Whether the lanes can take another decision now; moves them to where deciding goes on."""
        if self._resting and not self._move_on():
            return False
        here = int(self.simulator.rows[0])
        return self._complete or self._recorder.sees(self.market.path, here)

    def follow(self, market: RolloutMarket, complete: bool) -> None:
        """Go on on a market that goes on: the same segments, the newest longer or new ones behind.

        Old ones may be gone, up to the one before ``standing``. complete: the newest day is over.
        ApexError when the lanes' segment is not part of it.
        """
        numbers = self.market.numbers.tolist()
        first = int(market.numbers[0])
        if first not in numbers or first > self.standing:
            raise ApexError("the lanes' segment is not part of the market that goes on")
        gone = int(self.market.path.first_row[numbers.index(first)])
        self.simulator.go_on(market.path, gone)
        if gone:
            self._recorder.renumber(gone)
        self.market, self._complete = market, complete
        self.policy.go_on(market.tables, gone)
        self._potentials = Potentials(market.tables, self.reward)

    def set_market(self, market: RolloutMarket) -> RolloutResult:
        """Not for a market that goes on: see ``follow``."""
        raise ApexError("a rollout on a stream follows one market: use follow")

    def _more(self) -> bool:
        return self.ready

    def _start_all(self) -> None:
        path = self.market.path
        rows = np.flatnonzero(path.startable & (path.arrays.ts >= self._begin))
        if len(rows) == 0:
            raise ApexError("the stream has no decision to begin with yet")
        self._age[:] = 0
        lanes = np.arange(self.config.lanes)
        self.simulator.reset(lanes, np.full(len(lanes), rows[0]))

    def _restart(self, step: Step, truncated: Bool) -> None:
        """Ruined lanes and those whose episode was long enough start anew where they stand."""
        self._resting = not self.market.path.startable[step.next_row[0]]
        self._ruined = step.terminated
        cut = truncated & ~step.truncated
        self._age[cut.reshape(self.config.branches, -1).any(0)] = 0
        lanes = np.flatnonzero(step.terminated | cut)
        if self._resting:
            self._age[:] = 0
        elif len(lanes):
            self.simulator.reset(lanes, step.next_row[lanes])

    def _move_on(self) -> bool:
        """Over a gap or a day's end to where deciding goes on; False while that is not known."""
        here, path = int(self.simulator.rows[0]), self.market.path
        if path.startable[here]:  # it was the end of what was sealed, not of the trading
            raise ApexError("the lanes rest where the market goes on")
        later = np.flatnonzero(path.startable[here + 1 :])
        if len(later) == 0:
            return False
        row = here + 1 + int(later[0])
        for tag in self.market.tagger.passed(np.array([here]), np.array([row])):
            self._tags.setdefault(tag.segment, []).append(tag.rows)
        going = np.flatnonzero(~self._ruined)
        self.simulator.carry(going, np.full(len(going), row))
        new = np.flatnonzero(self._ruined | self.simulator.ended)
        if len(new):
            self.simulator.reset(new, np.full(len(new), row))
        self._resting = False
        return True
