"""The account, twice: in quote currency, to be judged by, and in log returns, to learn from.

The quote account (equity, quantity, realised, costs) trades whole lots and is what agents are
judged on. The log account (unrealised, mean, deviation, drawdown) takes the position as ±1: its
step return, ``core = exposure · (position · log return − costs)``, only changes sign with the
position when the market is turned upside down, so features and stored rewards mirror exactly.

No look-ahead: features at row j use fills with fill_ts < ts[j]. A fill at ts[j] itself (the open of
the bar that starts there) shows its position, while its price, which nobody has seen yet, waits in
``deferred`` and enters the statistics one step later.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.errors import MismatchError
from apex_trader.state.schema import ACCOUNT_SIZE, CLIP
from apex_trader.time import DAY, HOUR, SECOND
from apex_trader.trading.config import TradingConfig

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Names of the account features, in order (see docs/features.md).
ACCOUNT_COLUMNS = (
    "position", "unrealised", "held", "trade_rate", "mean_return", "deviation", "drawdown",
    "since_trade",
)  # fmt: skip
#: Mirror of each: the position changes its sign, all else is even.
ACCOUNT_MIRROR: F32 = np.array([-1, 1, 1, 1, 1, 1, 1, 1], np.float32)
_DAY_SCALE = 1.0 / math.log1p(DAY / SECOND)
_NEVER = -1


class Ledger(NamedTuple):
    """State of L accounts; every array is [L] float64, times are int64 µs.

    position: −1, 0, 1 (int64). quantity: signed, base coin. cash: quote currency that would be
    there if the position had cost nothing to hold; equity = cash + quantity · mark.
    entry_price: fill price of the position, before slippage. realised, fee, slippage, paid: sums
    in quote currency since the reset (paid: funding). entry: log price the position was entered
    at, after slippage. trip_cost: log costs of the present round trip so far. entry_ts, trade_ts:
    of the position and of the last trade (−1: none yet). deferred: log return of a fill that the
    features must not know yet. unseen: 1 while the entry is such a fill. rate: decayed count of
    transactions. mean, square: decayed moments of the step returns. log_equity, peak: sums of the
    step returns and their highest.
    """

    position: I64
    quantity: F64
    cash: F64
    equity: F64
    entry_price: F64
    realised: F64
    fee: F64
    slippage: F64
    paid: F64
    entry: F64
    trip_cost: F64
    entry_ts: I64
    trade_ts: I64
    deferred: F64
    unseen: I64
    rate: F64
    mean: F64
    square: F64
    log_equity: F64
    peak: F64


class Rules(NamedTuple):
    """A ``TradingConfig`` as the kernels read it; decays are per µs, slippage is in logs."""

    fee: float
    slippage: float
    exposure: float
    lot: float
    tick: float
    min_notional: float
    spot: bool
    funding: bool
    initial_equity: float
    ruin_equity: float
    rate_decay: float
    return_decay: float
    rate_unit: float

    @classmethod
    def of(cls, config: TradingConfig) -> Rules:
        """The rules of a configuration; a market rule that is still None is off."""
        return cls(
            fee=config.fee,
            slippage=config.slippage_bps * 1e-4,
            exposure=config.exposure,
            lot=config.lot_size or 0.0,
            tick=config.tick_size or 0.0,
            min_notional=config.min_notional or 0.0,
            spot=config.instrument == "spot",
            funding=config.funding and config.instrument == "perpetual",
            initial_equity=config.initial_equity,
            ruin_equity=config.ruin_fraction * config.initial_equity,
            rate_decay=math.log(2.0) / config.rate_half_life,
            return_decay=math.log(2.0) / config.return_half_life,
            rate_unit=math.log(2.0) * HOUR / config.rate_half_life / config.trade_allowance,
        )


class MarketStep(NamedTuple):
    """What the market does between two decisions of one account.

    ts, next_ts: µs of the decisions. mark, next_mark: ln of the last price known at each.
    fill: ln price of an order decided at ts, before slippage, NaN when it is not filled; fill_ts
    its time. funding: rate charged to a long position that is held at ts.
    """

    ts: int
    next_ts: int
    mark: float
    next_mark: float
    fill: float
    fill_ts: int
    funding: float


class Booked(NamedTuple):
    """What one step did to one account.

    core: log return of the step, all of it. shown: the part that features may know at next_ts.
    transactions: 0, 1, or 2 (a flip). held: µs that a position closed here had been held, −1 when
    none was closed. trip: net log return of that round trip. pnl, fee, slippage, funding: quote
    currency; pnl is before costs. ruined: the account was liquidated.
    """

    core: float
    shown: float
    transactions: int
    held: int
    trip: float
    pnl: float
    fee: float
    slippage: float
    funding: float
    ruined: bool


class _Trade(NamedTuple):
    """An order that was filled: new position and quantity, fill and executed price, costs."""

    position: int
    quantity: float
    fill: float
    executed: float
    fee: float
    slippage: float


@njit(cache=True, nogil=True)
def executed_price(price: float, side: int, rules: Rules) -> float:
    """Price that a market order of a side (±1) trades at: slipped, on the tick that is worse."""
    if rules.slippage == 0.0:
        return price
    slipped = price * math.exp(side * rules.slippage)
    if rules.tick == 0.0:
        return slipped
    ticks = slipped / rules.tick
    whole = math.ceil(ticks - 1e-6) if side > 0 else math.floor(ticks + 1e-6)
    return whole * rules.tick


@njit(cache=True, nogil=True)
def order_quantity(ledger: Ledger, k: int, wanted: int, price: float, executed: float,
                   rules: Rules) -> float:  # fmt: skip
    """Signed quantity of a new position, sized at the decision's mark price; 0 when too small.

    Rounded down to the lot; below the minimum notional there is no order. Spot cannot spend more
    cash than there is, fee included.
    """
    if wanted == 0:
        return 0.0
    quantity = rules.exposure * ledger.equity[k] / price
    if rules.spot:
        quantity = min(quantity, ledger.cash[k] / (executed * (1.0 + rules.fee)))
    if rules.lot > 0.0:
        quantity = math.floor(quantity / rules.lot + 1e-9) * rules.lot
    if quantity <= 0.0 or quantity * price < rules.min_notional:
        return 0.0
    return float(wanted * quantity)


@njit(cache=True, nogil=True)
def _fill_order(ledger: Ledger, k: int, wanted: int, step: MarketStep, rules: Rules) -> _Trade:
    """The trade that follows the wish, if the market fills it; else the position stays."""
    position, quantity = ledger.position[k], ledger.quantity[k]
    price = math.exp(step.fill)
    if wanted == position or math.isnan(step.fill):
        return _Trade(position, quantity, price, price, 0.0, 0.0)
    side = 1 if wanted > position else -1
    executed = executed_price(price, side, rules)
    new = order_quantity(ledger, k, wanted, math.exp(step.mark), executed, rules)
    traded = abs(new - quantity)
    fee, slippage = rules.fee * traded * executed, traded * abs(executed - price)
    return _Trade(wanted if new != 0.0 else 0, new, price, executed, fee, slippage)


@njit(cache=True, nogil=True)
def _book_quote(ledger: Ledger, k: int, trade: _Trade, step: MarketStep,
                rules: Rules) -> tuple[float, float]:  # fmt: skip
    """Books a step in quote currency; (price P&L before costs, funding paid)."""
    price, next_price = math.exp(step.mark), math.exp(step.next_mark)
    quantity = ledger.quantity[k]
    change = trade.quantity - quantity
    pnl = quantity * (next_price - price)
    funding = quantity * price * step.funding if rules.funding else 0.0
    if change != 0.0:
        pnl += change * (next_price - trade.fill)
        ledger.realised[k] += quantity * (trade.fill - ledger.entry_price[k])
        ledger.entry_price[k] = trade.fill if trade.quantity != 0.0 else 0.0
        ledger.cash[k] -= change * trade.executed + trade.fee
    ledger.cash[k] -= funding
    ledger.quantity[k] = trade.quantity
    ledger.fee[k] += trade.fee
    ledger.slippage[k] += trade.slippage
    ledger.paid[k] += funding
    ledger.equity[k] = ledger.cash[k] + trade.quantity * next_price
    return pnl, funding


@njit(cache=True, nogil=True)
def _close_trip(ledger: Ledger, k: int, log_price: float, leg: float, exposure: float) -> float:
    """Net log return of the round trip that ends at an executed log price."""
    gross = exposure * ledger.position[k] * (log_price - ledger.entry[k])
    return float(gross - ledger.trip_cost[k] - leg)


@njit(cache=True, nogil=True)
def _book_log(ledger: Ledger, k: int, position: int, step: MarketStep,
              rules: Rules) -> tuple[float, float, int, int, float]:  # fmt: skip
    """Books a step in log returns; (core, shown, transactions, held, trip) of ``Booked``."""
    before = ledger.position[k]
    change = position - before
    transactions = abs(change)
    # Fees are linear, not ln(1 - fee), so that they are additive over transactions.
    funding = rules.exposure * before * step.funding if rules.funding else 0.0
    core = rules.exposure * before * (step.next_mark - step.mark) - funding
    ledger.trip_cost[k] += funding
    shown = core + ledger.deferred[k]
    ledger.deferred[k], ledger.unseen[k] = 0.0, 0
    held, trip = -1, 0.0
    if change != 0:
        leg = rules.exposure * rules.fee
        slip = rules.slippage if change > 0 else -rules.slippage
        cost = transactions * (leg + rules.exposure * rules.slippage)
        moved = rules.exposure * change * (step.next_mark - step.fill)
        core += moved - cost
        late = step.fill_ts >= step.next_ts
        shown -= cost
        if late:
            ledger.deferred[k], ledger.unseen[k] = moved, 1
        else:
            shown += moved
        if before != 0:
            held = step.fill_ts - ledger.entry_ts[k]
            trip = _close_trip(ledger, k, step.fill + slip, leg, rules.exposure)
        ledger.entry[k], ledger.trip_cost[k] = step.fill + slip, leg
        ledger.entry_ts[k] = step.fill_ts
        ledger.trade_ts[k] = step.fill_ts
        ledger.position[k] = position
    return core, shown, transactions, held, trip


@njit(cache=True, nogil=True)
def _liquidate(ledger: Ledger, k: int, step: MarketStep, rules: Rules) -> tuple[float, float]:
    """Closes a ruined account's position at the mark; its (fee, slippage) in quote currency."""
    price = math.exp(step.next_mark)
    quantity = ledger.quantity[k]
    executed = executed_price(price, -1 if quantity > 0.0 else 1, rules)
    fee, slippage = rules.fee * abs(quantity) * executed, abs(quantity) * abs(executed - price)
    ledger.realised[k] += quantity * (price - ledger.entry_price[k])
    ledger.cash[k] += quantity * executed - fee
    ledger.equity[k] = ledger.cash[k]
    ledger.fee[k] += fee
    ledger.slippage[k] += slippage
    ledger.quantity[k], ledger.entry_price[k], ledger.position[k] = 0.0, 0.0, 0
    ledger.trade_ts[k] = step.next_ts
    return fee, slippage


@njit(cache=True, nogil=True)
def _remember(ledger: Ledger, k: int, shown: float, transactions: int, elapsed: int,
              rules: Rules) -> None:  # fmt: skip
    """Decayed statistics of the log account, after a step."""
    keep = math.exp(-rules.return_decay * elapsed)
    ledger.mean[k] = keep * ledger.mean[k] + (1.0 - keep) * shown
    ledger.square[k] = keep * ledger.square[k] + (1.0 - keep) * shown * shown
    ledger.rate[k] = math.exp(-rules.rate_decay * elapsed) * ledger.rate[k] + transactions
    ledger.log_equity[k] += shown
    ledger.peak[k] = max(ledger.peak[k], ledger.log_equity[k])


@njit(cache=True, nogil=True)
def book(ledger: Ledger, k: int, wanted: int, step: MarketStep, rules: Rules) -> Booked:
    """Books one step of account ``k``, which decides at step.ts to hold ``wanted``."""
    trade = _fill_order(ledger, k, wanted, step, rules)
    pnl, funding = _book_quote(ledger, k, trade, step, rules)
    core, shown, transactions, held, trip = _book_log(ledger, k, trade.position, step, rules)
    fee, slippage = trade.fee, trade.slippage
    ruined = ledger.equity[k] <= rules.ruin_equity
    if ruined and ledger.quantity[k] != 0.0:
        extra = rules.exposure * (rules.fee + rules.slippage)
        held = step.next_ts - ledger.entry_ts[k]
        trip = _close_trip(ledger, k, step.next_mark, extra, rules.exposure)
        core, shown, transactions = core - extra, shown - extra, transactions + 1
        last_fee, last_slippage = _liquidate(ledger, k, step, rules)
        fee, slippage = fee + last_fee, slippage + last_slippage
    _remember(ledger, k, shown, transactions, step.next_ts - step.ts, rules)
    return Booked(core, shown, transactions, held, trip, pnl, fee, slippage, funding, ruined)


@njit(cache=True, nogil=True)
def trade_rate(ledger: Ledger, k: int, rules: Rules) -> float:
    """Decayed trade rate over its allowance, at most CLIP: what the state shows of it."""
    return float(min(ledger.rate[k] * rules.rate_unit, CLIP))


@njit(cache=True, nogil=True)
def _over(value: float, unit: float) -> float:
    """value / unit within ±CLIP; 0 when the unit is."""
    if unit <= 0.0:
        return 0.0
    return max(-CLIP, min(CLIP, value / unit))


@njit(cache=True, nogil=True)
def write_features(out: F32, ledger: Ledger, k: int, ts: int, mark: float, sigma_hour: float,
                   sigma_decision: float, rules: Rules) -> None:  # fmt: skip
    """Writes the 8 features of account ``k`` at a decision to out[k] (docs/trading.md)."""
    position = ledger.position[k]
    move = mark - ledger.entry[k] if position != 0 and ledger.unseen[k] == 0 else 0.0
    held = ts - ledger.entry_ts[k] if position != 0 else 0
    since = ts - ledger.trade_ts[k] if ledger.trade_ts[k] != _NEVER else DAY
    mean = ledger.mean[k]
    deviation = math.sqrt(max(0.0, ledger.square[k] - mean * mean))
    out[k, 0] = position
    out[k, 1] = _over(rules.exposure * position * move, sigma_hour)
    out[k, 2] = _over(math.log1p(held / SECOND) * _DAY_SCALE, 1.0)
    out[k, 3] = trade_rate(ledger, k, rules)
    out[k, 4] = _over(mean, deviation)
    out[k, 5] = _over(deviation, sigma_decision)
    out[k, 6] = _over(ledger.peak[k] - ledger.log_equity[k], sigma_hour)
    out[k, 7] = _over(math.log1p(since / SECOND) * _DAY_SCALE, 1.0)


@njit(cache=True, nogil=True)
def _features(ledger: Ledger, ts: I64, mark: F64, sigma_hour: F64, sigma_decision: F64,
              rules: Rules) -> F32:  # fmt: skip
    out = np.empty((len(ts), ACCOUNT_SIZE), np.float32)
    for k in range(len(ts)):
        write_features(out, ledger, k, ts[k], mark[k], sigma_hour[k], sigma_decision[k], rules)
    return out


def account_features(ledger: Ledger, ts: I64, mark: F64, sigma_hour: F64, sigma_decision: F64,
                     config: TradingConfig) -> F32:  # fmt: skip
    """[L, 8] float32 features of every account at its decision time ``ts`` [L].

    mark [L]: ln of the last price known at ts. sigma_hour, sigma_decision [L]: σ of 1 h returns
    and of returns over one decision interval.
    """
    return _features(ledger, ts, mark, sigma_hour, sigma_decision, Rules.of(config))  # type: ignore[no-any-return]


def new_ledger(lanes: int, config: TradingConfig) -> Ledger:
    """Ledger of ``lanes`` flat accounts with their initial equity."""
    whole = ("position", "entry_ts", "trade_ts", "unseen")
    columns: Any = (
        np.zeros(lanes, np.int64 if name in whole else np.float64) for name in Ledger._fields
    )
    ledger = Ledger(*columns)
    reset_ledger(ledger, np.arange(lanes), config)
    return ledger


def reset_ledger(ledger: Ledger, lanes: I64, config: TradingConfig) -> None:
    """Makes the accounts ``lanes`` flat again, with their initial equity and no past."""
    for name, column in zip(Ledger._fields, ledger, strict=True):
        column[lanes] = _NEVER if name in ("entry_ts", "trade_ts") else 0
    ledger.cash[lanes] = config.initial_equity
    ledger.equity[lanes] = config.initial_equity


def ledger_state(ledger: Ledger) -> dict[str, Any]:
    """A copy of the ledger, for a checkpoint."""
    return {name: column.copy() for name, column in ledger._asdict().items()}


def restore_ledger(ledger: Ledger, state: dict[str, Any]) -> None:
    """Takes a ledger back. MismatchError when it has other accounts or columns."""
    if set(state) != set(Ledger._fields) or state["cash"].shape != ledger.cash.shape:
        raise MismatchError(
            f"a ledger of {len(ledger.cash)} accounts cannot take a state of "
            f"{len(state.get('cash', ()))}: resume with the number of lanes it was saved with"
        )
    for name, column in ledger._asdict().items():
        column[:] = state[name]
