"""The vectorised simulator: thousands of accounts, each at its own place of the market path.

Our orders do not move the market, so a step is bookkeeping: one kernel call books all lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.errors import ApexError, MismatchError
from apex_trader.state.schema import ACCOUNT_SIZE
from apex_trader.trading.account import (
    Booked,
    Ledger,
    MarketStep,
    Record,
    Rules,
    account_features,
    book,
    ledger_state,
    new_ledger,
    reset_ledger,
    restore_ledger,
    trade_rate,
    write_features,
)
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath, Records
from apex_trader.trading.rewards import (
    CORE,
    DURATION,
    FREQUENCY,
    PIVOT,
    RISK,
    TERMS,
    Weights,
    differential_sharpe,
    duration_shape,
    frequency_term,
    pivot_bonus,
)

Bool = NDArray[np.bool_]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Names of the columns of ``Step.costs``.
COSTS = ("fee", "slippage", "funding")


#: Where a lane stands. row: global. start: row of its reset. first: first row of its segment.
#: ended: 1 when it must be reset before it can step.
LANE = np.dtype([(name, np.int64) for name in ("row", "start", "first", "ended")])


@dataclass(frozen=True)
class Step:
    """What one step did; L lanes, T = len(TERMS).

    row, next_row [L] int64: global rows before and after. action [L] uint8. account, next_account
    [L, 8] float32: features before and after. reward [L]: the stored reward, the sum of terms
    [L, T] (weighted and scaled). terminated [L]: ruined. truncated [L]: the episode ends at
    next_row without ruin (day's end, gap): bootstrap. transactions [L] int64: 0, 1, 2 (a flip).
    profit [L]: closed a round trip with a net profit. pnl [L]: quote currency, before costs [L, 3]
    (fee, slippage, funding). equity [L]: after the step. active [L]: False for a lane that had
    already ended and was left alone.
    """

    row: I64
    next_row: I64
    action: NDArray[np.uint8]
    account: F32
    next_account: F32
    reward: F64
    terms: F64
    terminated: Bool
    truncated: Bool
    transactions: I64
    profit: Bool
    pnl: F64
    costs: F64
    equity: F64
    active: Bool

    @property
    def traded(self) -> Bool:
        """[L]: an order was filled."""
        return self.transactions > 0

    @property
    def ended(self) -> Bool:
        """[L]: terminated or truncated."""
        return self.terminated | self.truncated


class _Out(NamedTuple):
    """The arrays that the kernel fills; as in ``Step``."""

    next_row: I64
    account: F32
    terms: F64
    terminated: Bool
    truncated: Bool
    transactions: I64
    profit: Bool
    pnl: F64
    costs: F64


#: Actions [m] at global rows [m] with account features [m, 8].
Choice = Callable[[I64, F32], NDArray[Any]]


class Outcomes(NamedTuple):
    """What every action would lead to, repeated or followed by a policy, over some decisions; A
    actions.

    next_row [L] int64: global row in which all of them end; steps [L] int64: decisions to there,
    fewer where the episode ends. account [L, A, 8] float32: features there. reward [L, A]:
    Σ γ^k r_k. discount [L, A]: γ^steps, 0 after ruin. profit [L, A]: closed a round trip with a net
    profit.
    """

    next_row: I64
    steps: I64
    account: F32
    reward: F64
    discount: F64
    profit: Bool


class _Columns(NamedTuple):
    """The simulator's record arrays as plain ones, and columns of them that every step reads.

    Views of the same memory. A record array looks each attribute up in Python: a step of one lane
    spent more time on that than on everything else.
    """

    rows: NDArray[Any]
    events: NDArray[Any]
    lanes: NDArray[Any]
    ledger: NDArray[Any]
    row: I64
    ended: I64
    position: I64
    equity: F64

    @classmethod
    def of(cls, path: MarketPath, ledger: Ledger, lanes: Records) -> _Columns:
        """Views of the arrays."""
        at, book = lanes.view(np.ndarray), ledger.view(np.ndarray)
        return cls(
            path.arrays.view(np.ndarray), path.events.view(np.ndarray), at, book,
            at["row"], at["ended"], book["position"], book["equity"],
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _market_step(now: Record, later: Record) -> MarketStep:
    return MarketStep(
        now.ts, later.ts, now.mark, later.mark, now.fill_price, now.fill_ts, now.funding
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _pivots(events: Records, now: Record, lane: Record, held: NDArray[np.int8],
            levels: F64) -> float:  # fmt: skip
    """Bonus for the pivots that become known at a row; held: the lane's positions of the day."""
    total = 0.0
    for place in range(now.event_first, now.event_end):
        event = events[place]
        if event.row >= lane.start:
            position = held[event.row - lane.first]
            total += pivot_bonus(position, event.kind, event.level, levels)
    return total


@njit(cache=True, nogil=True)
def _write_terms(terms: F64, booked: Booked, mean: float, square: float, rate: float,
                 choppiness: float, floor: float, weights: Weights) -> None:  # fmt: skip
    """The account's terms; mean and square are those that the state before the step showed."""
    terms[CORE] = weights.core * booked.core
    if weights.frequency != 0.0:
        shape = frequency_term(rate, choppiness, weights.choppy_factor)
        terms[FREQUENCY] = weights.frequency * shape
    if weights.risk != 0.0:
        terms[RISK] = weights.risk * differential_sharpe(booked.core, mean, square, floor)
    if weights.duration != 0.0 and booked.held >= 0:
        seconds = booked.held / 1e6
        shape = duration_shape(seconds, weights.duration_edges, weights.duration_factors)
        terms[DURATION] = weights.duration * shape


@njit(cache=True, nogil=True)
def advance_lane(rows: Records, events: Records, lane: Record, held: NDArray[np.int8],
                 account: Record, wish: int, rules: Rules, weights: Weights,
                 terms: F64) -> Booked:  # fmt: skip
    """One decision of one lane, for kernels: ``wish`` is the position asked for, terms [T] are zero
    before, held the positions of the lane's day by row (empty while the pivot bonus is off)."""
    now = rows[lane.row]
    later = rows[now.next_row]
    mean, square = account.first_moment, account.second_moment
    booked: Booked = book(account, wish, _market_step(now, later), rules)
    _write_terms(terms, booked, mean, square, trade_rate(account, rules),
                 now.choppiness, rules.exposure * now.sigma_decision, weights)  # fmt: skip
    lane.row = now.next_row
    if len(held) > 0:
        held[lane.row - lane.first] = account.position
        terms[PIVOT] = _pivots(events, later, lane, held, weights.pivot_levels)
    lane.ended = 1 if booked.ruined or later.next_row < 0 else 0
    return booked


@njit(cache=True, nogil=True)
def _show(out: F32, account: Record, at: Record, rules: Rules) -> None:
    """Writes the account's features [8] at a row."""
    write_features(out, account, at.ts, at.mark, at.sigma_hour, at.sigma_decision, rules)


@njit(cache=True, nogil=True)
def _step(rows: Records, events: Records, lanes: Records, held: NDArray[np.int8], ledger: Ledger,
          actions: NDArray[np.uint8], wanted: NDArray[np.int8], rules: Rules, weights: Weights,
          out: _Out) -> None:  # fmt: skip
    for k in range(len(lanes)):
        lane, account = lanes[k], ledger[k]
        if lane.ended == 1:
            continue
        wish = wanted[account.position + 1, actions[k]]
        booked = advance_lane(rows, events, lane, held[k], account, wish, rules, weights,
                              out.terms[k])  # fmt: skip
        out.next_row[k] = lane.row
        out.terminated[k] = booked.ruined
        out.truncated[k] = lane.ended == 1 and not booked.ruined
        out.transactions[k] = booked.transactions
        out.profit[k] = booked.held >= 0 and booked.trip > 0.0
        out.pnl[k] = booked.pnl
        out.costs[k, 0], out.costs[k, 1] = booked.fee, booked.slippage
        out.costs[k, 2] = booked.funding
        _show(out.account[k], account, rows[lane.row], rules)


@njit(cache=True, nogil=True)
def _carry(rows: Records, ledger: Ledger, lanes: I64, before: I64, after: I64, rules: Rules,
           pnl: F64, ruined: Bool) -> None:  # fmt: skip
    for n in range(len(lanes)):
        account, now, later = ledger[lanes[n]], rows[before[n]], rows[after[n]]
        funding = now.funding
        for row in range(before[n] + 1, after[n]):
            funding += rows[row].funding
        step = MarketStep(now.ts, later.ts, now.mark, later.mark, np.nan, 0, funding)
        booked = book(account, account.position, step, rules)
        pnl[n] = booked.pnl - booked.fee - booked.slippage - booked.funding
        ruined[n] = booked.ruined


class Simulator:
    """Steps L lanes over a market path. Every lane is ended until it is reset.

    Memory: 224 bytes a lane, and one for each row of a day while the pivot bonus is on.
    """

    def __init__(
        self,
        path: MarketPath,
        config: TradingConfig | None = None,
        reward_config: RewardConfig | None = None,
        lanes: int = 1,
        growing: bool = False,
    ) -> None:
        """growing: the path will go on, see ``go_on``."""
        if lanes < 1:
            raise ApexError(f"a simulator needs at least one lane, not {lanes}")
        self.path = path
        self.config = config or TradingConfig()
        self.reward_config = reward_config or RewardConfig()
        self.actions = Actions.of(self.config)
        self._rules = Rules.of(self.config)
        self._weights = Weights.of(self.reward_config)
        self._ledger = new_ledger(lanes, self.config)
        self._lanes = np.zeros(lanes, LANE).view(np.recarray)
        self._lanes.ended = 1
        rewarded = bool(self._weights.pivot_levels.any()) and (growing or len(path.events) > 0)
        # Position of each lane at each row of its day since the reset, for the pivot bonus.
        self._held = np.zeros((lanes, path.longest_segment if rewarded else 0), np.int8)
        self._account = np.zeros((lanes, ACCOUNT_SIZE), np.float32)
        self._columns = _Columns.of(path, self._ledger, self._lanes)

    @property
    def lanes(self) -> int:
        """Number of lanes."""
        return len(self._account)

    @property
    def rows(self) -> I64:
        """[L] global row of each lane, a copy."""
        return self._columns.row.copy()

    @property
    def ended(self) -> Bool:
        """[L]: the lane must be reset before it can step."""
        ended: Bool = self._columns.ended != 0
        return ended

    @property
    def position(self) -> I64:
        """[L] −1, 0, 1, a copy."""
        return self._columns.position.copy()

    @property
    def equity(self) -> F64:
        """[L] quote currency at the mark of each lane's row, a copy."""
        return self._columns.equity.copy()

    @property
    def ledger(self) -> Ledger:
        """The accounts themselves, to be read."""
        return self._ledger

    def features(self) -> F32:
        """[L, 8] account features at each lane's row, a copy."""
        return self._account.copy()

    def reset(self, lanes: I64, rows: I64) -> None:
        """Starts new episodes: ``lanes`` [k] stand at global ``rows`` [k], flat.

        ApexError for a row that has no next one.
        """
        lanes, rows = np.asarray(lanes, np.int64), self._checked(rows)
        reset_ledger(self._ledger, lanes, self.config)
        self._place(lanes, rows)

    def step(self, actions: NDArray[Any], idle: bool = False) -> Step:
        """One decision of every lane; ``actions`` [L] are indices of ``self.actions``.

        Ended lanes are an error unless ``idle``, which leaves them alone (Step.active tells).
        """
        columns = self._columns
        active = columns.ended == 0
        if not active.all() and not (idle and active.any()):
            ended = np.flatnonzero(~active)
            raise ApexError(f"lanes {ended[:5].tolist()}… have ended: reset them before the step")
        actions = self._valid(actions)
        row, account = columns.row.copy(), self._account
        out = self._outputs()
        _step(columns.rows, columns.events, columns.lanes, self._held, columns.ledger, actions,
              self.actions.wanted, self._rules, self._weights, out)  # fmt: skip
        self._account = out.account.copy()
        return Step(
            row, out.next_row, actions, account, out.account, out.terms.sum(1), out.terms,
            out.terminated, out.truncated, out.transactions, out.profit, out.pnl, out.costs,
            columns.equity.copy(), active,
        )  # fmt: skip

    def outcomes(self, steps: int, gamma: float, then: Choice | None = None) -> Outcomes:
        """What each action would lead to from where the lanes stand, which stay there.

        Our orders do not move the market, so these are facts, not estimates. steps: decisions, at
        least 1; gamma: discount of one. then: what is done after the first of them; None repeats
        it: a target is kept. The market's rows must go that far, or to the end of the episode.
        ApexError when a lane has ended.
        """
        if steps < 1 or (self._columns.ended != 0).any():
            raise ApexError("outcomes need at least one step, and lanes that have not ended")
        shape, imagined = (self.lanes, self.actions.size), self._branched(self.actions.size)
        chosen: NDArray[Any] = np.tile(np.arange(self.actions.size), self.lanes)
        reward, discount = np.zeros(imagined.lanes), np.ones(imagined.lanes)
        profit, taken = np.zeros(imagined.lanes, np.bool_), np.zeros(imagined.lanes, np.int64)
        for k in range(steps):
            if imagined.ended.all():
                break
            if k and then is not None:
                chosen = then(imagined.rows, imagined.features())
            step = imagined.step(chosen, idle=True)
            reward += np.where(step.active, discount * step.reward, 0.0)
            discount *= np.where(step.active, gamma * ~step.terminated, 1.0)
            profit |= step.active & step.profit
            taken += step.active
        longest = np.arange(self.lanes), taken.reshape(shape).argmax(1)
        return Outcomes(
            imagined.rows.reshape(shape)[longest], taken.reshape(shape)[longest],
            imagined.features().reshape(*shape, ACCOUNT_SIZE), reward.reshape(shape),
            discount.reshape(shape), profit.reshape(shape),
        )  # fmt: skip

    def _branched(self, times: int) -> Simulator:
        """A simulator in which each lane stands ``times`` times, one beside the other."""
        made = Simulator(self.path, self.config, self.reward_config, self.lanes * times)
        made._ledger[:] = np.repeat(self._ledger, times)
        made._lanes[:] = np.repeat(self._lanes, times)
        made._account = np.repeat(self._account, times, axis=0)
        made._held = np.repeat(self._held, times, axis=0)
        return made

    def carry(self, lanes: I64, rows: I64) -> F64:
        """Takes accounts over a gap or into the next day, position and all: a backtest's account.

        lanes [k] continue at later global rows [k] of a path in time order. Returns the P&L of the
        jump [k] in quote currency, less the funding of the row that is left (a day's last row pays
        at midnight) and of all rows that are passed over: a gap does not stop the payments.
        There is no reward. A lane that is ruined by it has ended.
        """
        lanes, rows = np.asarray(lanes, np.int64), self._checked(rows)
        before = self._lanes.row[lanes]
        if np.any(self.path.arrays.ts[rows] < self.path.arrays.ts[before]):
            raise ApexError("an account can only be carried forward in time")
        pnl, ruined = np.zeros(len(lanes)), np.zeros(len(lanes), np.bool_)
        _carry(self.path.arrays, self._ledger, lanes, before, rows, self._rules, pnl, ruined)
        self._place(lanes, rows)
        self._lanes.ended[lanes[ruined]] = 1
        return pnl

    def go_on(self, path: MarketPath, gone: int = 0) -> None:
        """Continues on a path that holds the same rows less the first ``gone``, and more behind.

        Lanes stay where they are, with their accounts; an end of the market that they had come to
        may have moved. ApexError when the path is another one.
        """
        rows = self._lanes.row - gone
        inside = bool(np.all((rows >= 0) & (rows < len(path))))
        if not inside or np.any(path.arrays.ts[rows] != self.path.arrays.ts[self._lanes.row]):
            raise ApexError("accounts go on along one market, and the path holds other rows")
        for name in ("row", "start", "first"):
            self._lanes[name] -= gone
        if self._held.shape[1]:
            held = np.zeros((self.lanes, path.longest_segment), np.int8)
            width = min(held.shape[1], self._held.shape[1])
            held[:, :width] = self._held[:, :width]
            self._held = held
        self.path = path
        self._columns = _Columns.of(path, self._ledger, self._lanes)

    def state_dict(self) -> dict[str, Any]:
        """Accounts and places of all lanes, for an exact resume on the same path."""
        lanes = {name: self._lanes[name].copy() for name in LANE.names or ()}
        return {"ledger": ledger_state(self._ledger), "lanes": lanes, "held": self._held.copy(),
                "account": self._account.copy(), "keys": list(self.path.keys)}  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``state_dict``. MismatchError when the path or the number of lanes is another."""
        if tuple(state["keys"]) != self.path.keys:
            raise MismatchError("the simulator's state was saved on other segments")
        if self._held.shape != state["held"].shape and len(state["held"]) == self.lanes:
            raise MismatchError(
                "the simulator's state was saved with another pivot_bonus: on or off"
            )
        restore_ledger(self._ledger, state["ledger"])
        for name, column in state["lanes"].items():
            self._lanes[name] = column
        self._held[...] = state["held"]
        self._account = state["account"].copy()

    def _place(self, lanes: I64, rows: I64) -> None:
        number, local = self.path.locate(rows)
        self._lanes.row[lanes] = rows
        self._lanes.start[lanes] = rows
        self._lanes.first[lanes] = self.path.first_row[number]
        self._lanes.ended[lanes] = 0
        if self._held.shape[1]:
            self._held[lanes, local] = self._ledger.position[lanes]
        arrays = self.path.arrays
        self._account[lanes] = account_features(
            self._ledger[lanes].view(np.recarray), arrays.ts[rows], arrays.mark[rows],
            arrays.sigma_hour[rows], arrays.sigma_decision[rows], self.config,
        )  # fmt: skip

    def _checked(self, rows: I64) -> I64:
        rows = np.asarray(rows, np.int64)
        if np.any((rows < 0) | (rows >= len(self.path))) or not self.path.startable[rows].all():
            raise ApexError(
                "an episode cannot start at a row without a next one: draw from path.startable"
            )
        return rows

    def _valid(self, actions: NDArray[Any]) -> NDArray[np.uint8]:
        actions = np.asarray(actions)
        shaped = actions.shape == (self.lanes,)
        if not shaped or actions.min() < 0 or actions.max() >= self.actions.size:
            raise ApexError(
                f"actions must be {self.lanes} indices below {self.actions.size}: "
                + ", ".join(self.actions.names)
            )
        return actions.astype(np.uint8)

    def _outputs(self) -> _Out:
        count = self.lanes
        return _Out(
            next_row=self._columns.row.copy(),
            account=self._account.copy(),
            terms=np.zeros((count, len(TERMS))),
            terminated=np.zeros(count, np.bool_),
            truncated=np.zeros(count, np.bool_),
            transactions=np.zeros(count, np.int64),
            profit=np.zeros(count, np.bool_),
            pnl=np.zeros(count),
            costs=np.zeros((count, len(COSTS))),
        )


def movement_flags(
    path: MarketPath, row: I64, next_row: I64, steps: NDArray[Any], threshold: float = 3.0
) -> Bool:
    """[m]: the market moved much: |log return| > threshold · σ of a decision · √steps.

    row, next_row [m]: global rows at the ends of n-step transitions; steps [m]: decisions between
    them. σ is the one known at ``row``.
    """
    move = np.abs(path.arrays.mark[next_row] - path.arrays.mark[row])
    return move > threshold * path.arrays.sigma_decision[row] * np.sqrt(steps)  # type: ignore[no-any-return]
