"""Evaluate first, then train: new weights are judged on every part before anybody learns from it.

(Dawid 1984, "Present position and potential developments: the prequential approach".)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from actors.market import RolloutMarket
from apex_trader.errors import ApexError
from apex_trader.evaluation.paired import compare
from apex_trader.runtime.learned import Verdict
from apex_trader.runtime.sealed_account import SealedAccount
from apex_trader.time import format_time


@dataclass(frozen=True)
class Contestant:
    """A frozen set of weights. account: flat from a time (µs) on; None where it may not trade, for
    ``unfit``."""

    name: str
    updates: int
    account: Callable[[int], SealedAccount] | None
    unfit: str = ""


class Prequential:
    """Compares candidates with the weights in use, part by part, one candidate at a time.

    Candidate and weights in use both begin flat where the candidate's first part begins, so that
    both pay for the positions that they take.

    Args:
        used: the weights in use. parts, margin: see ``TradeConfig``. every: µs of a part.
        candidate: a snapshot of the learner's weights, None while they are those of before.
    """

    def __init__(
        self,
        used: Contestant,
        candidate: Callable[[], Contestant | None],
        parts: int,
        margin: float,
        every: int,
    ) -> None:
        self.used, self._next = used, candidate
        self._parts, self._margin, self._every = parts, margin, every
        self._candidate: Contestant | None = None
        self._accounts: list[SealedAccount] = []
        self._since = self._at = -1
        self._unfit = 0
        self._results: list[tuple[int, float, float]] = []

    def judge(
        self, market: RolloutMarket, sealed: int, complete: bool, learned: int
    ) -> list[Verdict]:
        """Take what was sealed, before it is learned from; the verdicts that it brings, in order.

        market: up to ``sealed`` (µs), where its day is over if it is ``complete``. learned: µs;
        decisions before it may have been learned from. ApexError when these reach beyond what was
        judged.
        """
        if self._at < 0:
            self._at = -(-learned // self._every) * self._every
        if learned > self._at:
            raise ApexError(
                f"decisions up to {format_time(learned)} may have been learned from, only those "
                f"up to {format_time(self._at)} were judged before"
            )
        for account in self._accounts:
            account.follow(market)
        found = []
        while self._at + self._every <= sealed:
            if self._candidate is None and not self._enter(market):
                self._at += self._every
                continue
            self._at += self._every
            verdict = self._part(complete)
            if verdict is not None:
                found.append(verdict)
        return found

    def _enter(self, market: RolloutMarket) -> bool:
        """A new candidate, judged from here on; False while there is none."""
        self._candidate = self._next()
        if self._candidate is None:
            return False
        self._since, self._results, self._accounts, self._unfit = self._at, [], [], 0
        if self._candidate.account is not None:
            pair = (self._candidate, self.used)
            self._accounts = [who.account(self._at) for who in pair if who.account is not None]
        for account in self._accounts:
            account.follow(market)
        return True

    def _part(self, complete: bool) -> Verdict | None:
        """Judge the part that ends here; a verdict when there were enough."""
        if self._accounts:
            (taken, mine), (_, theirs) = [a.walk(self._at, complete) for a in self._accounts]
            if taken:
                self._results.append((taken, mine, theirs))
        else:
            self._unfit += 1  # another one is as unfit, as a rule: it is not asked for at once
        if max(len(self._results), self._unfit) < self._parts:
            return None
        verdict = self._verdict()
        if verdict.adopted:
            assert self._candidate is not None
            self.used = self._candidate
        self._candidate, self._accounts = None, []
        return verdict

    def _verdict(self) -> Verdict:
        candidate = self._candidate
        assert candidate is not None
        taken = sum(count for count, _, _ in self._results)
        about = (
            format_time(self._at), candidate.name, candidate.updates, self.used.name,
            len(self._results), taken, format_time(self._since),
        )  # fmt: skip
        if not self._results:
            return Verdict(*about, None, None, None, False, candidate.unfit)
        mine, theirs = [[part[k] for part in self._results] for k in (1, 2)]
        found = compare(mine, theirs, self._margin)
        t = found.t if math.isfinite(found.t) else None
        return Verdict(*about, found.returns, found.others, t, found.better, found.reason)
