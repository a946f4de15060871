"""Listings as exchangeInfo describes them, with their trading rules (filters)."""

from __future__ import annotations

from typing import Any

from tests.local_exchange.feed import Listing
from tests.local_exchange.text import decimal_text, places_of

#: Delivery date (ms) by which a perpetual is known.
NEVER_DELIVERED = 4_133_404_800_000
ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]
CONTRACT_ORDER_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT",
                        "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]  # fmt: skip


def spot_symbol(listing: Listing) -> dict[str, Any]:
    """One symbol of GET /api/v3/exchangeInfo."""
    base, quote = listing.assets
    info = listing.info
    tick, lot = decimal_text(info.tick_size, 8), decimal_text(info.lot_size, 8)
    return {
        "symbol": listing.symbol, "status": "TRADING",
        "baseAsset": base, "baseAssetPrecision": 8, "quoteAsset": quote, "quotePrecision": 8,
        "quoteAssetPrecision": 8, "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
        "orderTypes": ORDER_TYPES, "icebergAllowed": True, "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True, "allowTrailingStop": True,
        "isSpotTradingAllowed": True, "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000",
             "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000.00000000", "stepSize": lot},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "900.00000000",
             "stepSize": "0.00000000"},
            {"filterType": "NOTIONAL", "minNotional": decimal_text(info.min_notional, 8),
             "applyMinToMarket": True, "maxNotional": "9000000.00000000",
             "applyMaxToMarket": False, "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ],
        "permissions": [], "permissionSets": [["SPOT"]],
    }  # fmt: skip


def futures_symbol(listing: Listing) -> dict[str, Any]:
    """One symbol of GET /fapi/v1/exchangeInfo: a perpetual."""
    base, quote = listing.assets
    info = listing.info
    price, amount = places_of(info.tick_size), places_of(info.lot_size)
    tick, lot = decimal_text(info.tick_size, price), decimal_text(info.lot_size, amount)
    return {
        "symbol": listing.symbol, "pair": listing.symbol, "contractType": "PERPETUAL",
        "deliveryDate": NEVER_DELIVERED, "onboardDate": 1_569_398_400_000, "status": "TRADING",
        "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000",
        "baseAsset": base, "quoteAsset": quote, "marginAsset": quote,
        "pricePrecision": price, "quantityPrecision": amount,
        "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": "COIN",
        "liquidationFee": "0.012500", "marketTakeBound": "0.05",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "306177",
             "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "10000", "stepSize": lot},
            {"filterType": "MARKET_LOT_SIZE", "minQty": lot, "maxQty": "2000", "stepSize": lot},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL",
             "notional": decimal_text(info.min_notional, places_of(info.min_notional))},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500",
             "multiplierDown": "0.9500", "multiplierDecimal": "4"},
        ],
        "orderTypes": CONTRACT_ORDER_TYPES, "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }  # fmt: skip
