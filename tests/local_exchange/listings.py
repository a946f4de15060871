"""Listings as exchangeInfo describes them, with their trading rules (filters)."""

from __future__ import annotations

from typing import Any

from tests.local_exchange.feed import Listing
from tests.local_exchange.text import decimal_text, places_of
from tests.local_exchange.trading.filters import Filters
from tests.local_exchange.trading.money import text
from tests.local_exchange.trading.orders import ZERO

#: Delivery date (ms) by which a perpetual is known.
NEVER_DELIVERED = 4_133_404_800_000
ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET"]
CONTRACT_ORDER_TYPES = ["LIMIT", "MARKET"]


def spot_symbol(listing: Listing) -> dict[str, Any]:
    """One symbol of GET /api/v3/exchangeInfo."""
    base, quote = listing.assets
    rules = Filters.of(listing)
    tick, lot = text(rules.tick, 8), text(rules.lot, 8)
    return {
        "symbol": listing.symbol, "status": "TRADING",
        "baseAsset": base, "baseAssetPrecision": 8, "quoteAsset": quote, "quotePrecision": 8,
        "quoteAssetPrecision": 8, "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
        "orderTypes": ORDER_TYPES, "icebergAllowed": False, "ocoAllowed": False,
        "quoteOrderQtyMarketAllowed": True, "allowTrailingStop": False,
        "isSpotTradingAllowed": True, "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": text(rules.most_price, 8),
             "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot,
             "maxQty": text(rules.most_amount, 8), "stepSize": lot},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000",
             "maxQty": text(rules.most_at_market, 8), "stepSize": "0.00000000"},
            {"filterType": "NOTIONAL", "minNotional": text(rules.least_value, 8),
             "applyMinToMarket": True, "maxNotional": text(rules.most_value or ZERO, 8),
             "applyMaxToMarket": False, "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": rules.most_orders},
        ],
        "permissions": [], "permissionSets": [["SPOT"]],
    }  # fmt: skip


def futures_symbol(listing: Listing) -> dict[str, Any]:
    """One symbol of GET /fapi/v1/exchangeInfo: a perpetual."""
    base, quote = listing.assets
    info, rules = listing.info, Filters.of(listing)
    price, amount = places_of(info.tick_size), places_of(info.lot_size)
    tick, lot = decimal_text(info.tick_size, price), decimal_text(info.lot_size, amount)
    band = rules.band or ZERO
    return {
        "symbol": listing.symbol, "pair": listing.symbol, "contractType": "PERPETUAL",
        "deliveryDate": NEVER_DELIVERED, "onboardDate": 1_569_398_400_000, "status": "TRADING",
        "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000",
        "baseAsset": base, "quoteAsset": quote, "marginAsset": quote,
        "pricePrecision": price, "quantityPrecision": amount,
        "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": "COIN",
        "liquidationFee": "0.012500", "marketTakeBound": "0.05",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": text(rules.most_price, 0),
             "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, 
             "maxQty": text(rules.most_amount, 0), "stepSize": lot},
            {"filterType": "MARKET_LOT_SIZE", "minQty": lot,
             "maxQty": text(rules.most_at_market, 0), "stepSize": lot},
            {"filterType": "MAX_NUM_ORDERS", "limit": rules.most_orders},
            {"filterType": "MIN_NOTIONAL",
             "notional": decimal_text(info.min_notional, places_of(info.min_notional))},
            {"filterType": "PERCENT_PRICE", "multiplierUp": text(1 + band, 4),
             "multiplierDown": text(1 - band, 4), "multiplierDecimal": "4"},
        ],
        "orderTypes": CONTRACT_ORDER_TYPES, "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }  # fmt: skip
