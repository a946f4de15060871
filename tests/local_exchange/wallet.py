"""The wallet endpoints, /sapi/v1, that ccxt asks for market data when it has API keys."""

from __future__ import annotations

from typing import Any

from tests.local_exchange.answers import Query
from tests.local_exchange.endpoints import Endpoint, Exchange, costs


def coins(exchange: Exchange, query: Query) -> Any:
    """Every asset of the listings, on one network each."""
    assets = sorted({asset for listing in exchange.feed.all() for asset in listing.assets})
    return [
        {
            "coin": asset, "name": asset, "depositAllEnable": True, "withdrawAllEnable": True,
            "free": "0", "locked": "0", "freeze": "0", "withdrawing": "0", "ipoing": "0",
            "ipoable": "0", "storage": "0", "isLegalMoney": asset in ("EUR", "USD"),
            "trading": True,
            "networkList": [
                {"network": asset, "coin": asset, "name": asset, "isDefault": True,
                 "depositEnable": True, "withdrawEnable": True, "withdrawFee": "0.001",
                 "withdrawMin": "0.002", "withdrawMax": "10000",
                 "withdrawIntegerMultiple": "0.00000001", "minConfirm": 1, "unLockConfirm": 0}
            ],
        }
        for asset in assets
    ]  # fmt: skip


def margin_pairs(exchange: Exchange, query: Query) -> Any:
    """No listing is traded on margin."""
    return []


ENDPOINTS = [
    Endpoint("/sapi/v1/capital/config/getall", coins, costs(10), needs_key=True),
    Endpoint("/sapi/v1/margin/allPairs", margin_pairs, costs(1), needs_key=True),
    Endpoint("/sapi/v1/margin/isolated/allPairs", margin_pairs, costs(10), needs_key=True),
]
