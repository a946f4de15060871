"""One account at the live edge, booked by the simulator's kernels as its decisions come to pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import MismatchError
from apex_trader.trading.account import (
    ACCOUNT,
    Booked,
    MarketStep,
    Record,
    Rules,
    Trade,
    account_features,
    book,
    book_trade,
    new_ledger,
    order_quantity,
)
from apex_trader.trading.config import TradingConfig

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class LiveAccount:
    """An account that is told of each decision's outcome when it is known, never before.

    Between two decisions it is what ``Simulator`` makes of the same fills and payments, to the last
    bit but for one thing: exchanges stamp a funding payment some milliseconds after its hour. The
    simulator books it with the step that ends at the hour, hidden from the features there; here
    it is booked when it is heard, a decision later, to the position that was held into the hour.

    Args:
        trading: rules and costs, those of the market filled in (``TradingConfig.for_market``).
        latency: µs that an order takes; payments stamped within it after a decision are its own.
    """

    def __init__(self, trading: TradingConfig, latency: int) -> None:
        self.trading, self._rules = trading, Rules.of(trading)
        self._late = max(0, latency - 1)
        self._ledger = new_ledger(1, trading)
        #: µs of the decision up to which everything is booked, its mark (log price); −1: none yet.
        self.ts, self.mark = -1, float("nan")
        self._charged_until = -1
        self.ruined = False

    @property
    def record(self) -> Record:
        """The account itself (``account.ACCOUNT``), to be read."""
        return self._ledger[0]

    @property
    def position(self) -> int:
        """−1, 0, 1."""
        return int(self._ledger.position[0])

    @property
    def quantity(self) -> float:
        """Signed, base coin."""
        return float(self._ledger.quantity[0])

    @property
    def equity(self) -> float:
        """Quote currency, at the mark of the last decision booked."""
        return float(self._ledger.equity[0])

    def begin(self, ts: int, mark: float) -> None:
        """Flat at the first decision: ``ts`` µs, ``mark`` ln of the last price known."""
        self.ts, self.mark, self._charged_until = ts, mark, ts + self._late

    def owed(self, until: int) -> tuple[int, int]:
        """(from, to) µs: the payments stamped in it are to be given to ``settle`` at ``until``."""
        return self._charged_until + 1, until

    def settle(
        self,
        ts: int,
        mark: float,
        wanted: int,
        fill: float,
        fill_ts: int,
        payments: tuple[I64, F64],
        trade: Trade | None = None,
    ) -> Booked:
        """Book what came of the last decision, up to the next one at ``ts``.

        ts, mark: of the next decision. wanted: the position that was asked for (the present one:
        no order). fill, fill_ts: ln price before slippage and µs of its order, NaN and 0 where it
        was not filled. payments: (µs, rates) of funding that became known since, see ``owed``.
        trade: what the order did, where the rules need not guess it; ``wanted`` then says nothing.
        """
        times, rates = payments
        late = times <= self.ts + self._late
        if late.any():
            self._pay(float(np.float32(rates[late].sum())))
        step = MarketStep(
            self.ts, ts, self.mark, mark, fill, fill_ts, float(np.float32(rates[~late].sum()))
        )
        if trade is None:
            booked: Booked = book(self.record, wanted, step, self._rules)
        else:
            booked = book_trade(self.record, trade, step, self._rules)
        self.ruined = self.ruined or bool(booked.ruined)
        self.ts, self.mark, self._charged_until = ts, mark, max(ts - 1, self._charged_until)
        return booked

    def traded(self, price: float, quantity: float, fee: float) -> Trade:
        """What an order did that traded ``quantity`` (signed, base coin) at ``price`` for ``fee``.

        What is left of a position that is too small to be ordered counts as none.
        """
        rules, new = self._rules, self.quantity + quantity
        least = max(0.5 * rules.lot, rules.min_notional / price if rules.spot else 0.0)
        position = 0 if abs(new) <= least else 1 if new > 0.0 else -1
        return Trade(position, new, price, price, fee, 0.0)

    def features(self, sigma_hour: float, sigma_decision: float) -> F32:
        """[8] float32 account features at the last decision booked: see ``write_features``."""
        found: F32 = account_features(
            self._ledger, np.array([self.ts]), np.array([self.mark]), np.array([sigma_hour]),
            np.array([sigma_decision]), self.trading,
        )[0]  # fmt: skip
        return found

    def quantity_for(self, wanted: int) -> float:
        """Signed quantity that a position would have, sized at the mark; 0 when too small."""
        price = float(np.exp(self.mark))
        return float(order_quantity(self.record, wanted, price, price, self._rules))

    def to_bytes(self) -> bytes:
        """Everything, to go on from after a restart."""
        head = np.array([self.ts, self._charged_until, self.ruined], np.int64)
        mark = np.array([self.mark])
        return head.tobytes() + mark.tobytes() + self._ledger.tobytes()

    def load_bytes(self, state: bytes) -> None:
        """See ``to_bytes``. MismatchError when it is none of this version."""
        if len(state) != 32 + ACCOUNT.itemsize:
            raise MismatchError(
                f"an account of {len(state)} bytes was written by another version of apex-trader: "
                "begin anew"
            )
        head = np.frombuffer(state[:24], np.int64)
        self.ts, self._charged_until, self.ruined = int(head[0]), int(head[1]), bool(head[2])
        self.mark = float(np.frombuffer(state[24:32], np.float64)[0])
        self._ledger[:] = np.frombuffer(state[32:], ACCOUNT)

    def _pay(self, rate: float) -> None:
        """Book a payment of the hour at which the last decision stood, heard behind it."""
        account, rules = self._ledger[0], self._rules
        if not rules.funding:
            return
        paid = account.quantity * float(np.exp(self.mark)) * rate
        logs = rules.exposure * account.position * rate
        account.cash -= paid
        account.equity -= paid
        account.paid += paid
        account.trip_cost += logs
        account.deferred -= logs
