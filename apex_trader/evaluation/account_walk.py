"""One account over a whole path in compiled code: a year of minutes in a second.

``AccountWalk`` does what ``backtest.run_continuous`` does decision by decision, for policies that a
kernel can follow: plans by row and position, and dueling networks whose market encoding was made
beforehand. It stops where the encoding ends and goes on when there is more, so that a long path's
encodings never lie in memory at once.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.evaluation.journal import ENTRY, Journal
from apex_trader.state.schema import ACCOUNT_SIZE
from apex_trader.trading.account import MarketStep, Rules, book, new_ledger, write_features
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath
from apex_trader.trading.rewards import TERMS, Weights
from apex_trader.trading.simulator import LANE, advance_lane

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

_HALF_ROOT = math.sqrt(0.5)


class Choice(NamedTuple):
    """How the kernel chooses on the rows first … first + m − 1.

    best [m, 3]: actions of a plan, empty for a network. codes [m, H]: the market's part of the
    hidden layer of the advantages; account [H, 8], out [A, H]: the rest of that stream;
    bias [3, A]: what is added, by position held + 1.
    V is the same for every action, so that it decides nothing.
    """

    first: int
    best: U8
    codes: F32
    account: F32
    out: F32
    bias: F32

    @classmethod
    def of_plan(cls, best: U8) -> Choice:
        """Of a plan [n, 3] for the whole path."""
        none = np.zeros((0, 0), np.float32)
        return cls(0, np.ascontiguousarray(best), none, none, none, none)


class _Market(NamedTuple):
    """What the kernel reads of the path; starts [e], first rows of its episodes; first [e], of the
    segments that those lie in."""

    rows: NDArray[Any]
    events: NDArray[Any]
    starts: I64
    first: I64


class AccountWalk:
    """One account from the first episode to the last, as far as ``go`` was told how to choose.

    starts [e]: first rows of the episodes, ascending. terms: whether its journal holds the reward
    terms. ApexError when there are no episodes.
    """

    def __init__(
        self,
        path: MarketPath,
        starts: I64,
        trading: TradingConfig,
        reward: RewardConfig,
        terms: bool = True,
    ) -> None:
        if not len(starts):
            raise ApexError("the path has no decision to make: choose another period")
        number, _ = path.locate(starts)
        self._market = _Market(
            path.arrays.view(np.ndarray), path.events.view(np.ndarray), starts,
            path.first_row[number],
        )  # fmt: skip
        self._wanted = Actions.of(trading).wanted
        self._rules, self._weights = Rules.of(trading), Weights.of(reward)
        self._ledger = new_ledger(1, trading).view(np.ndarray)
        self._lane = np.zeros(1, LANE)
        first, start = int(self._market.first[0]), int(starts[0])
        for name, value in (("row", start), ("start", start), ("first", first)):
            self._lane[name] = value
        rewarded = bool(self._weights.pivot_levels.any()) and len(path.events) > 0
        self._held = np.zeros(path.longest_segment if rewarded else 0, np.int8)
        size = int(path.startable.sum()) + len(starts)
        self._entries = np.zeros(size, ENTRY)
        # a single row is written over and over where nobody reads it
        self._terms = np.zeros((size if terms else 1, len(TERMS)))
        self._keeps_terms = terms
        #: Number of the episode, entries so far, and the row where no action could be chosen.
        self._state = np.array([0, 0, -1], np.int64)

    def go(self, choice: Choice, stop: int) -> None:
        """Go on up to row ``stop``, for which ``choice`` need not know what to do.

        ApexError when a value is not finite: the weights diverged, or CNN rows are missing.
        """
        _walk(self._market, choice, stop, self._lane, self._held, self._ledger, self._wanted,
              self._rules, self._weights, self._entries, self._terms, self._state)  # fmt: skip
        if self._state[2] >= 0:
            raise ApexError(
                f"the agent has no finite Q-values at decision row {self._state[2]}: either "
                "training diverged (lower learner.learning_rate), or the CNN rows of that segment "
                "were never written"
            )

    def journal(self) -> Journal:
        """All entries so far."""
        count = int(self._state[1])
        terms = self._terms[:count] if self._keeps_terms else None
        return Journal(self._entries[:count], terms)


@njit(cache=True, nogil=True)
def _best_action(choice: Choice, row: int, position: int, features: F32) -> int:
    """The action to take; −1 where a value is not finite."""
    at = row - choice.first
    if len(choice.best):
        return int(choice.best[at, position + 1])
    actions, width = choice.out.shape
    values = choice.bias[position + 1].astype(np.float64)
    for unit in range(width):
        hidden = float(choice.codes[at, unit])
        for k in range(ACCOUNT_SIZE):
            hidden += choice.account[unit, k] * features[k]
        hidden *= 0.5 * (1.0 + math.erf(hidden * _HALF_ROOT))
        for action in range(actions):
            values[action] += choice.out[action, unit] * hidden
    best = 0
    for action in range(actions):
        if not math.isfinite(values[action]):
            return -1
        if values[action] > values[best]:
            best = action
    return best


@njit(cache=True, nogil=True)
def _write(entry: Any, account: Any, row: int, next_row: int, episode: int, booked: Any) -> None:
    entry.row, entry.next_row, entry.episode = row, next_row, episode
    entry.ruined = 1 if booked.ruined else 0
    entry.position, entry.equity = account.position, account.equity
    entry.pnl, entry.fee, entry.slippage = booked.pnl, booked.fee, booked.slippage
    entry.funding, entry.quantity = booked.funding, account.quantity
    entry.entry_price, entry.realised = account.entry_price, account.realised


@njit(cache=True, nogil=True)
def _jump(market: _Market, lane: Any, held: NDArray[np.int8], account: Any, episode: int,
          rules: Rules, entry: Any) -> None:  # fmt: skip
    """Carries the account to the start of an episode, as ``Simulator.carry`` does."""
    before, after = lane.row, market.starts[episode]
    now, later = market.rows[before], market.rows[after]
    funding = 0.0
    for row in range(before, after):
        funding += market.rows[row].funding
    step = MarketStep(now.ts, later.ts, now.mark, later.mark, np.nan, 0, funding)
    booked = book(account, account.position, step, rules)
    entry.jump = 1
    _write(entry, account, before, after, episode, booked)
    lane.row, lane.start, lane.first = after, after, market.first[episode]
    lane.ended = 1 if booked.ruined else 0
    if len(held) > 0:
        held[after - lane.first] = account.position


@njit(cache=True, nogil=True)
def _walk(market: _Market, choice: Choice, stop: int, lanes: NDArray[Any],
          held: NDArray[np.int8], ledger: NDArray[Any], wanted: NDArray[np.int8], rules: Rules,
          weights: Weights, entries: NDArray[Any], terms: F64, state: I64) -> None:  # fmt: skip
    lane, account = lanes[0], ledger[0]
    features = np.zeros(ACCOUNT_SIZE, np.float32)
    while True:
        n = state[1]
        if lane.ended == 1:
            if (n > 0 and entries[n - 1].ruined == 1) or state[0] + 1 == len(market.starts):
                return
            state[0] += 1
            _jump(market, lane, held, account, state[0], rules, entries[n])
            state[1] += 1
            continue
        row = lane.row
        if row >= stop:
            return
        at = market.rows[row]
        write_features(features, account, at.ts, at.mark, at.sigma_hour, at.sigma_decision, rules)
        action = _best_action(choice, row, account.position, features)
        if action < 0:
            state[2] = row
            return
        wish = wanted[account.position + 1, action]
        booked = advance_lane(market.rows, market.events, lane, held, account, wish, rules, weights,
                              terms[n if len(terms) > 1 else 0])  # fmt: skip
        entry = entries[n]
        entry.action, entry.transactions = action, booked.transactions
        _write(entry, account, row, lane.row, state[0], booked)
        state[1] += 1
