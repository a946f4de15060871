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
from typing import Any, NamedTuple, TypeAlias

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
#: Unit of the unrealised P&L in σ of an hour: 1 would clip 12% of a day's holding.
_UNREALISED_SCALE = 3.0
_NEVER = -1


#: One account; times are int64 µs, all else float64 but where said.
#: position: −1, 0, 1. unseen: 1 while the entry is a fill that the features must not know yet.
#: entry_ts, trade_ts: of the position and of the last trade (−1: none yet). quantity: signed, base
#: coin. cash: equity less the position's value at the mark. entry_price: fill price of the
#: position, before slippage. realised, fee, slippage, paid: sums in quote currency since the reset
#: (paid: funding). entry: log price the position was entered at, after slippage. trip_cost: log
#: costs of the present round trip so far. deferred: log return of an unseen fill and payment.
#: rate: decayed count of transactions. first_moment, second_moment: of the step returns, decayed.
#: log_equity, peak: sum of the step returns and its highest.
ACCOUNT = np.dtype(
    [(name, np.int64) for name in ("position", "unseen", "entry_ts", "trade_ts")]
    + [(name, np.float64) for name in (
        "quantity", "cash", "equity", "entry_price", "realised", "fee", "slippage", "paid",
        "entry", "trip_cost", "deferred", "rate", "first_moment", "second_moment", "log_equity",
        "peak",
    )]
)  # fmt: skip
#: L accounts: a record array, so that a step touches three cache lines of each.
Ledger: TypeAlias = "np.recarray[Any, Any]"
#: A record of such an array: only numba knows its fields' types.
Record: TypeAlias = Any


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
    its time. funding: rate charged to a long position that is held into next_ts.
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


class Trade(NamedTuple):
    """What an order did: new position and signed quantity (those of before: it did nothing), price
    before slippage and executed price, fee and slippage in quote currency."""

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
def order_quantity(account: Record, wanted: int, price: float, executed: float,
                   rules: Rules) -> float:  # fmt: skip
    """Signed quantity of a new position, sized at the decision's mark price; 0 when too small.

    Rounded down to the lot; below the minimum notional there is no order. Spot cannot spend more
    cash than there is, fee included.
    """
    if wanted == 0:
        return 0.0
    quantity = rules.exposure * account.equity / price
    if rules.spot:
        quantity = min(quantity, account.cash / (executed * (1.0 + rules.fee)))
    if rules.lot > 0.0:
        quantity = math.floor(quantity / rules.lot + 1e-9) * rules.lot
    if quantity <= 0.0 or quantity * price < rules.min_notional:
        return 0.0
    return float(wanted * quantity)


@njit(cache=True, nogil=True)
def _fill_order(account: Record, wanted: int, step: MarketStep, rules: Rules) -> Trade:
    """The trade that follows the wish, if the market fills it; else the position stays."""
    position, quantity = account.position, account.quantity
    price = math.exp(step.fill)
    if wanted == position or math.isnan(step.fill):
        return Trade(position, quantity, price, price, 0.0, 0.0)
    side = 1 if wanted > position else -1
    executed = executed_price(price, side, rules)
    new = order_quantity(account, wanted, math.exp(step.mark), executed, rules)
    traded = abs(new - quantity)
    fee, slippage = rules.fee * traded * executed, traded * abs(executed - price)
    return Trade(wanted if new != 0.0 else 0, new, price, executed, fee, slippage)


@njit(cache=True, nogil=True)
def _book_quote(account: Record, trade: Trade, step: MarketStep,
                rules: Rules) -> tuple[float, float]:  # fmt: skip
    """Books a step in quote currency; (price P&L before costs, funding paid)."""
    price, next_price = math.exp(step.mark), math.exp(step.next_mark)
    quantity = account.quantity
    change = trade.quantity - quantity
    pnl = quantity * (next_price - price)
    payer = quantity if step.fill_ts >= step.next_ts else trade.quantity
    funding = payer * next_price * step.funding if rules.funding else 0.0
    if change != 0.0:
        pnl += change * (next_price - trade.fill)
        account.realised += quantity * (trade.fill - account.entry_price)
        account.entry_price = trade.fill if trade.quantity != 0.0 else 0.0
        account.cash -= change * trade.executed + trade.fee
    account.cash -= funding
    account.quantity = trade.quantity
    account.fee += trade.fee
    account.slippage += trade.slippage
    account.paid += funding
    account.equity = account.cash + trade.quantity * next_price
    return pnl, funding


@njit(cache=True, nogil=True)
def _close_trip(account: Record, log_price: float, leg: float, exposure: float) -> float:
    """Net log return of the round trip that ends at an executed log price."""
    gross = exposure * account.position * (log_price - account.entry)
    return float(gross - account.trip_cost - leg)


@njit(cache=True, nogil=True)
def _enter(account: Record, position: int, step: MarketStep, rules: Rules) -> tuple[int, float]:
    """Ends the round trip that there is, begins the next; (held, trip) of ``Booked``."""
    leg = rules.exposure * rules.fee
    slip = rules.slippage if position > account.position else -rules.slippage
    held, trip = -1, 0.0
    if account.position != 0:
        held = step.fill_ts - account.entry_ts
        trip = _close_trip(account, step.fill + slip, leg, rules.exposure)
    account.entry, account.trip_cost = step.fill + slip, leg
    account.entry_ts = account.trade_ts = step.fill_ts
    account.position = position
    return held, trip


@njit(cache=True, nogil=True)
def _book_log(account: Record, position: int, step: MarketStep,
              rules: Rules) -> tuple[float, float, int, int, float]:  # fmt: skip
    """Books a step in log returns; (core, shown, transactions, held, trip) of ``Booked``."""
    before = account.position
    transactions = abs(position - before)
    late = step.fill_ts >= step.next_ts
    payer = before if late else position
    funding = rules.exposure * payer * step.funding if rules.funding else 0.0
    # Fees are linear, not ln(1 - fee), so that they are additive over transactions.
    cost = transactions * rules.exposure * (rules.fee + rules.slippage)
    carried = rules.exposure * before * (step.next_mark - step.mark)
    moved, held, trip = 0.0, -1, 0.0
    if late:
        account.trip_cost += funding
    if transactions > 0:
        moved = rules.exposure * (position - before) * (step.next_mark - step.fill)
        held, trip = _enter(account, position, step, rules)
    if not late:
        account.trip_cost += funding
    # What happens at next_ts itself, a late fill or a payment, is not yet known there.
    unknown = (moved if late else 0.0) - funding
    core = carried + moved - cost - funding
    shown = core - unknown + account.deferred
    account.deferred, account.unseen = unknown, 1 if late and transactions > 0 else 0
    return core, shown, transactions, held, trip


@njit(cache=True, nogil=True)
def _liquidate(account: Record, step: MarketStep, rules: Rules) -> tuple[float, float]:
    """Closes a ruined account's position at the mark; its (fee, slippage) in quote currency."""
    price = math.exp(step.next_mark)
    quantity = account.quantity
    executed = executed_price(price, -1 if quantity > 0.0 else 1, rules)
    fee, slippage = rules.fee * abs(quantity) * executed, abs(quantity) * abs(executed - price)
    account.realised += quantity * (price - account.entry_price)
    account.cash += quantity * executed - fee
    account.equity = account.cash
    account.fee += fee
    account.slippage += slippage
    account.quantity, account.entry_price, account.position = 0.0, 0.0, 0
    account.trade_ts = step.next_ts
    return fee, slippage


@njit(cache=True, nogil=True)
def _remember(account: Record, shown: float, transactions: int, elapsed: int,
              rules: Rules) -> None:  # fmt: skip
    """Decayed statistics of the log account, after a step."""
    keep = math.exp(-rules.return_decay * elapsed)
    account.first_moment = keep * account.first_moment + (1.0 - keep) * shown
    account.second_moment = keep * account.second_moment + (1.0 - keep) * shown * shown
    account.rate = math.exp(-rules.rate_decay * elapsed) * account.rate + transactions
    account.log_equity += shown
    account.peak = max(account.peak, account.log_equity)


@njit(cache=True, nogil=True)
def book(account: Record, wanted: int, step: MarketStep, rules: Rules) -> Booked:
    """Books one step of an account, which decides at step.ts to hold ``wanted``."""
    booked: Booked = book_trade(account, _fill_order(account, wanted, step, rules), step, rules)
    return booked


@njit(cache=True, nogil=True)
def book_trade(account: Record, trade: Trade, step: MarketStep, rules: Rules) -> Booked:
    """Books one step whose trade is known, ``step.fill`` being ln of its price before slippage."""
    pnl, funding = _book_quote(account, trade, step, rules)
    core, shown, transactions, held, trip = _book_log(account, trade.position, step, rules)
    fee, slippage = trade.fee, trade.slippage
    ruined = account.equity <= rules.ruin_equity
    if ruined and account.quantity != 0.0:
        extra = rules.exposure * (rules.fee + rules.slippage)
        held = step.next_ts - account.entry_ts
        trip = _close_trip(account, step.next_mark, extra, rules.exposure)
        core, shown, transactions = core - extra, shown - extra, transactions + 1
        last_fee, last_slippage = _liquidate(account, step, rules)
        fee, slippage = fee + last_fee, slippage + last_slippage
    _remember(account, shown, transactions, step.next_ts - step.ts, rules)
    return Booked(core, shown, transactions, held, trip, pnl, fee, slippage, funding, ruined)


@njit(cache=True, nogil=True)
def trade_rate(account: Record, rules: Rules) -> float:
    """Decayed trade rate over its allowance, at most CLIP: what the state shows of it."""
    return float(min(account.rate * rules.rate_unit, CLIP))


@njit(cache=True, nogil=True)
def _over(value: float, unit: float) -> float:
    """value / unit within ±CLIP; 0 when the unit is."""
    if unit <= 0.0:
        return 0.0
    return max(-CLIP, min(CLIP, value / unit))


@njit(cache=True, nogil=True)
def write_features(out: F32, account: Record, ts: int, mark: float, sigma_hour: float,
                   sigma_decision: float, rules: Rules) -> None:  # fmt: skip
    """Writes the 8 features of an account at a decision to ``out`` [8] (docs/trading.md)."""
    position = account.position
    move = mark - account.entry if position != 0 and account.unseen == 0 else 0.0
    held = ts - account.entry_ts if position != 0 else 0
    since = ts - account.trade_ts if account.trade_ts != _NEVER else DAY
    mean = account.first_moment
    deviation = math.sqrt(max(0.0, account.second_moment - mean * mean))
    fallen = (account.peak - account.log_equity) / sigma_hour if sigma_hour > 0.0 else 0.0
    out[0] = position
    out[1] = _over(rules.exposure * position * move, _UNREALISED_SCALE * sigma_hour)
    out[2] = _over(math.log1p(held / SECOND) * _DAY_SCALE, 1.0)
    out[3] = trade_rate(account, rules)
    out[4] = _over(mean, deviation)
    out[5] = _over(deviation, sigma_decision)
    out[6] = _over(math.log1p(fallen), 1.0)
    out[7] = _over(math.log1p(since / SECOND) * _DAY_SCALE, 1.0)


@njit(cache=True, nogil=True)
def _features(ledger: Ledger, ts: I64, mark: F64, sigma_hour: F64, sigma_decision: F64,
              rules: Rules) -> F32:  # fmt: skip
    out = np.empty((len(ts), ACCOUNT_SIZE), np.float32)
    for k in range(len(ts)):
        write_features(out[k], ledger[k], ts[k], mark[k], sigma_hour[k], sigma_decision[k], rules)
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
    ledger = np.zeros(lanes, ACCOUNT).view(np.recarray)
    reset_ledger(ledger, np.arange(lanes), config)
    return ledger


def reset_ledger(ledger: Ledger, lanes: I64, config: TradingConfig) -> None:
    """Makes the accounts ``lanes`` flat again, with their initial equity and no past."""
    fresh = np.zeros((), ACCOUNT)
    fresh["entry_ts"] = fresh["trade_ts"] = _NEVER
    fresh["cash"] = fresh["equity"] = config.initial_equity
    ledger[lanes] = fresh


def ledger_state(ledger: Ledger) -> dict[str, Any]:
    """A copy of the ledger by column, for a checkpoint."""
    return {name: ledger[name].copy() for name in ACCOUNT.names or ()}


def restore_ledger(ledger: Ledger, state: dict[str, Any]) -> None:
    """Takes a ledger back. MismatchError when it has other accounts or columns."""
    if set(state) != set(ACCOUNT.names or ()) or len(state["cash"]) != len(ledger):
        raise MismatchError(
            f"a ledger of {len(ledger)} accounts cannot take a state of "
            f"{len(state.get('cash', ()))}: resume with the number of lanes it was saved with"
        )
    for name, column in state.items():
        ledger[name] = column
