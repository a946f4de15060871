"""One live decision: what the agent wants, what it may do of it, and the order that follows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apex_trader.execution.limits import RiskLimits, Situation
from apex_trader.execution.orders import Order
from apex_trader.market.fills import FillConfig
from apex_trader.runtime.live_agent import LiveAgent, Wish
from apex_trader.state.gather import MarketTables
from apex_trader.time import SECOND
from apex_trader.trading.live_account import LiveAccount

#: Reasons for which nothing is sent; the first words of what a journal says.
LATE, UNSURE, STOPPED = "too late", "not sure enough", "stopped"


class Moment(NamedTuple):
    """A decision row and what was known around it.

    row: of the tables. ts: µs of the decision. now: the exchange's time, µs. known: µs up to which
    the market is known. skew: s, see ``limits.Situation``. sigma: σ of a decision, log units.
    shown [8]: account features.
    """

    row: int
    ts: int
    now: int
    known: int
    skew: float
    sigma: float
    shown: NDArray[np.float32]


class Ending(NamedTuple):
    """Why a run is to end, "" while it goes on, and whether its position is closed first."""

    reason: str = ""
    flatten: bool = True


class Decision(NamedTuple):
    """The agent's wish, the position that is ordered, why it is another one, and the order."""

    wish: Wish
    target: int
    reason: str
    order: Order | None


def decide(
    agent: LiveAgent,
    tables: MarketTables,
    account: LiveAccount,
    limits: RiskLimits,
    at: Moment,
    fills: FillConfig,
    ending: Ending,
) -> Decision:
    """What is done at a row whose CNN rows are there.

    The same inputs give the same decision, live and when a journal is replayed. fills: latency and
    wait of an order.
    """
    wish = agent.ask(tables, at.row, at.shown, account.position, at.sigma)
    target, reason = _allowed(agent, account, limits, at, wish, ending)
    order = order_for(account, target, at.ts, at.now, fills)
    if order is not None and order.arrives >= order.deadline:
        late = (at.now - at.ts) / SECOND
        return Decision(
            wish, account.position, f"{LATE}: decided {late:.1f} s after its time", None
        )
    return Decision(wish, target, reason, order)


def order_for(
    account: LiveAccount, target: int, ts: int, now: int, fills: FillConfig
) -> Order | None:
    """The order for a position, decided at ``ts``, sent at ``now`` (µs); None for the present."""
    if target == account.position:
        return None
    earliest = ts + fills.latency
    return Order(
        f"apex-{ts // SECOND}", ts, max(earliest, now), earliest + fills.max_fill_wait,
        account.position, target, account.quantity_for(target) - account.quantity,
    )  # fmt: skip


def _allowed(
    agent: LiveAgent, account: LiveAccount, limits: RiskLimits, at: Moment, wish: Wish,
    ending: Ending,
) -> tuple[int, str]:  # fmt: skip
    """The position that may be taken, and why it is not the one that is wanted."""
    position = account.position
    if ending.reason:
        return (0 if ending.flatten else position), f"{STOPPED}: {ending.reason}"
    price = float(np.exp(account.mark))
    wanted = account.quantity_for(wish.gated) if wish.gated != position else account.quantity
    situation = Situation(
        at.ts, at.now, at.known, at.skew, wish.clipped, account.equity, position,
        account.quantity * price, wanted * price,
    )  # fmt: skip
    ruling = limits.rule(wish.gated, situation)
    if ruling.reason:
        return ruling.target, ruling.reason
    if wish.refused:
        return ruling.target, (
            f"{UNSURE}: confidence {wish.confidence:.2f}, {agent.gate:g} is asked for"
        )
    return ruling.target, ""
