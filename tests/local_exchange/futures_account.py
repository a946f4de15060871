"""A USD-M account, /fapi: balances, positions, leverage and income.

https://developers.binance.com/docs/derivatives/usds-margined-futures/account/rest-api
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.local_exchange.answers import Query
from tests.local_exchange.endpoints import Endpoint, Exchange, costs
from tests.local_exchange.feed import Listing
from tests.local_exchange.trading.filters import refused
from tests.local_exchange.trading.margin_account import Margin
from tests.local_exchange.trading.money import rounded, text
from tests.local_exchange.trading.orders import ZERO


def account(exchange: Exchange, query: Query) -> Any:
    assets = [_asset(asset, figures) for asset, figures in _margins(exchange, query).items()]
    totals = {
        name: text(sum((Decimal(asset[field]) for asset in assets), ZERO), 8)
        for name, field in (
            ("totalInitialMargin", "initialMargin"), ("totalMaintMargin", "maintMargin"),
            ("totalWalletBalance", "walletBalance"),
            ("totalUnrealizedProfit", "unrealizedProfit"),
            ("totalMarginBalance", "marginBalance"),
            ("totalPositionInitialMargin", "positionInitialMargin"),
            ("totalOpenOrderInitialMargin", "openOrderInitialMargin"),
            ("totalCrossWalletBalance", "crossWalletBalance"),
            ("totalCrossUnPnl", "crossUnPnl"), ("availableBalance", "availableBalance"),
            ("maxWithdrawAmount", "maxWithdrawAmount"),
        )
    }  # fmt: skip
    positions = [_account_position(exchange, query, listing) for listing in _held(exchange, query)]
    return {
        "feeTier": 0, "canTrade": True, "canDeposit": True, "canWithdraw": True,
        "multiAssetsMargin": False, "updateTime": exchange.now() // 1000, **totals,
        "assets": assets, "positions": positions,
    }  # fmt: skip


def balance(exchange: Exchange, query: Query) -> Any:
    return [
        {"accountAlias": query.caller, "asset": asset, "balance": text(figures.wallet, 8),
         "crossWalletBalance": text(figures.wallet, 8), "crossUnPnl": text(figures.unrealised, 8),
         "availableBalance": text(figures.available, 8),
         "maxWithdrawAmount": text(figures.available, 8), "marginAvailable": True,
         "updateTime": exchange.now() // 1000}
        for asset, figures in _margins(exchange, query).items()
    ]  # fmt: skip


def position_risk(exchange: Exchange, query: Query) -> Any:
    """Positions in the markets that are traded; an asked for one in any case."""
    if "symbol" in query.values:
        return [_risk(exchange, query, exchange.listing("futures", query))]
    return [_risk(exchange, query, listing) for listing in _held(exchange, query)]


def brackets(exchange: Exchange, query: Query) -> Any:
    """One bracket for all values: the venue's steps would add nothing to what is proven here."""
    listings = exchange.feed.of("futures")
    if "symbol" in query.values:
        listings = [exchange.listing("futures", query)]
    ratio = float(exchange.trading.maintenance)
    return [
        {"symbol": listing.symbol, "notionalCoef": 1.0, "brackets": [
            {"bracket": 1, "initialLeverage": exchange.trading.max_leverage,
             "notionalCap": 10**12, "notionalFloor": 0, "maintMarginRatio": ratio, "cum": 0.0}
        ]}
        for listing in listings
    ]  # fmt: skip


def set_leverage(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("futures", query)
    query.text("leverage")
    wanted = query.integer("leverage") or 0
    exchange.engine.set_leverage(query.caller, listing, wanted)
    return {"symbol": listing.symbol, "leverage": wanted, "maxNotionalValue": "1000000000000"}


def set_margin_type(exchange: Exchange, query: Query) -> Any:
    """Cross margin is all that there is."""
    exchange.listing("futures", query)
    if query.text("marginType") == "CROSSED":
        raise refused(-4046, "No need to change margin type.")
    raise refused(-1020, "This operation is not supported.")


def position_mode(exchange: Exchange, query: Query) -> Any:
    return {"dualSidePosition": False}


def set_position_mode(exchange: Exchange, query: Query) -> Any:
    """One-way mode is all that there is."""
    if query.text("dualSidePosition").lower() == "false":
        raise refused(-4059, "No need to change position side.")
    raise refused(-1020, "This operation is not supported.")


def multi_assets(exchange: Exchange, query: Query) -> Any:
    return {"multiAssetsMargin": False}


def symbol_config(exchange: Exchange, query: Query) -> Any:
    listings = exchange.feed.of("futures")
    if "symbol" in query.values:
        listings = [exchange.listing("futures", query)]
    owner = exchange.engine.futures[query.caller]
    return [
        {"symbol": listing.symbol, "marginType": "CROSSED", "isAutoAddMargin": False,
         "leverage": owner.leverage(listing.info.market), "maxNotionalValue": "1000000000000"}
        for listing in listings
    ]  # fmt: skip


def commission_rate(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("futures", query)
    terms = exchange.trading
    return {
        "symbol": listing.symbol, "makerCommissionRate": str(terms.maker["futures"]),
        "takerCommissionRate": str(terms.taker["futures"]),
    }  # fmt: skip


def income(exchange: Exchange, query: Query) -> Any:
    """Changes of the wallet, oldest first, the latest ones where no start is given."""
    limit = query.limit(100, 1000, capped=True)
    start, end = query.time("startTime"), query.time("endTime", last=True)
    kind, symbol = query.values.get("incomeType"), query.values.get("symbol")
    found = [
        entry for entry in exchange.engine.futures[query.caller].ledger.entries
        if kind in (None, entry.kind)
        and (symbol is None or entry.market.partition(":")[2] == symbol)
        and (start is None or entry.time // 1000 * 1000 >= start)
        and (end is None or entry.time <= end)
    ]  # fmt: skip
    return [
        {"symbol": entry.market.partition(":")[2], "incomeType": entry.kind,
         "income": text(entry.amount, 8), "asset": entry.asset, "time": entry.time // 1000,
         "info": entry.kind, "tranId": entry.id, "tradeId": str(entry.fill or "")}
        for entry in (found[:limit] if start is not None else found[-limit:])
    ]  # fmt: skip


def _margins(exchange: Exchange, query: Query) -> dict[str, Margin]:
    owner = exchange.engine.futures[query.caller]
    traded = {listing.assets[1] for listing in exchange.feed.of("futures")}
    return {
        asset: exchange.engine.margin(query.caller, asset)
        for asset in sorted({*owner.ledger.assets, *traded})
    }


def _asset(asset: str, figures: Margin) -> dict[str, Any]:
    return {
        "asset": asset, "walletBalance": text(figures.wallet, 8),
        "unrealizedProfit": text(figures.unrealised, 8),
        "marginBalance": text(figures.balance, 8), "maintMargin": rounded(figures.maintenance, 8),
        "initialMargin": rounded(figures.initial, 8),
        "positionInitialMargin": rounded(figures.positions, 8),
        "openOrderInitialMargin": rounded(figures.orders, 8),
        "crossWalletBalance": text(figures.wallet, 8), "crossUnPnl": text(figures.unrealised, 8),
        "availableBalance": rounded(figures.available, 8),
        "maxWithdrawAmount": rounded(figures.available, 8), "updateTime": 1,
    }  # fmt: skip


def _held(exchange: Exchange, query: Query) -> list[Listing]:
    """Markets in which the caller has a position or an open order."""
    owner = exchange.engine.futures[query.caller]
    traded = {order.market for order in exchange.engine.open_orders(query.caller, "futures")}
    traded |= {market for market, position in owner.positions.items() if position.amount}
    return [listing for listing in exchange.feed.of("futures") if listing.info.market in traded]


def _figures(exchange: Exchange, query: Query, listing: Listing) -> dict[str, Any]:
    engine, market = exchange.engine, listing.info.market
    owner = engine.futures[query.caller]
    position, mark = owner.position(market), engine.marks().get(market, ZERO)
    value = position.amount * mark
    initial = abs(value) / owner.leverage(market)
    return {
        "symbol": listing.symbol, "positionSide": "BOTH",
        "positionAmt": text(position.amount, listing.amount_places),
        "notional": text(value, 8), "initialMargin": rounded(initial, 8),
        "maintMargin": rounded(abs(value) * exchange.trading.maintenance, 8),
        "updateTime": owner.updated.get(market, 0) // 1000,
    }  # fmt: skip


def _account_position(exchange: Exchange, query: Query, listing: Listing) -> dict[str, Any]:
    engine, market = exchange.engine, listing.info.market
    position = engine.futures[query.caller].position(market)
    return {
        **_figures(exchange, query, listing), "isolatedMargin": "0", "isolatedWallet": "0",
        "unrealizedProfit": text(position.unrealised(engine.marks().get(market, ZERO)), 8),
    }  # fmt: skip


def _risk(exchange: Exchange, query: Query, listing: Listing) -> dict[str, Any]:
    engine, market = exchange.engine, listing.info.market
    owner = engine.futures[query.caller]
    position, mark = owner.position(market), engine.marks().get(market, ZERO)
    figures = engine.margin(query.caller, listing.assets[1])
    return {
        **_figures(exchange, query, listing), "entryPrice": rounded(position.entry, 8),
        "breakEvenPrice": rounded(position.entry, 8), "markPrice": text(mark, 8),
        "unRealizedProfit": text(position.unrealised(mark), 8),
        "liquidationPrice": rounded(_liquidation_price(exchange, query, listing, figures), 8),
        "isolatedMargin": "0", "isolatedWallet": "0", "marginAsset": listing.assets[1],
        "positionInitialMargin": rounded(
            abs(position.amount * mark) / owner.leverage(market), 8),
        "openOrderInitialMargin": "0", "adl": 0, "bidNotional": "0", "askNotional": "0",
        "leverage": str(owner.leverage(market)), "marginType": "cross",
    }  # fmt: skip


def _liquidation_price(
    exchange: Exchange, query: Query, listing: Listing, figures: Margin
) -> Decimal:
    """The mark at which the margin is gone, other positions as they are; 0 where there is none."""
    market = listing.info.market
    amount = exchange.engine.futures[query.caller].position(market).amount
    if not amount:
        return ZERO
    mark = exchange.engine.marks()[market]
    # balance + amount·(p − mark) = maintenance + rate·|amount|·(p − mark)
    slope = amount - exchange.trading.maintenance * abs(amount)
    return max(ZERO, mark - (figures.balance - figures.maintenance) / slope)


ENDPOINTS = [
    *(Endpoint(f"/fapi/{v}/account", account, costs(5), signed=True) for v in ("v2", "v3")),
    *(Endpoint(f"/fapi/{v}/balance", balance, costs(5), signed=True) for v in ("v2", "v3")),
    *(Endpoint(f"/fapi/{v}/positionRisk", position_risk, costs(5), signed=True)
      for v in ("v2", "v3")),
    Endpoint("/fapi/v1/leverageBracket", brackets, costs(1), signed=True),
    Endpoint("/fapi/v1/leverage", set_leverage, costs(1), signed=True, method="POST"),
    Endpoint("/fapi/v1/marginType", set_margin_type, costs(1), signed=True, method="POST"),
    Endpoint("/fapi/v1/positionSide/dual", position_mode, costs(30), signed=True),
    Endpoint("/fapi/v1/positionSide/dual", set_position_mode, costs(1), signed=True,
             method="POST"),
    Endpoint("/fapi/v1/multiAssetsMargin", multi_assets, costs(30), signed=True),
    Endpoint("/fapi/v1/symbolConfig", symbol_config, costs(5), signed=True),
    Endpoint("/fapi/v1/commissionRate", commission_rate, costs(20), signed=True),
    Endpoint("/fapi/v1/income", income, costs(30), signed=True),
]  # fmt: skip
