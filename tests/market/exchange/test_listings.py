"""A market is found by every way to write its name."""

import pytest

from apex_trader.errors import ApexError
from apex_trader.market.exchange.listings import Listing, listing_named

SPOT = Listing("ETH-USDT", "ETH/USDT", "spot", None, None, None)
SWAP = Listing("ETH-USDT-SWAP", "ETH/USDT:USDT", "perpetual", None, None, None)
LISTINGS = {listing.symbol: listing for listing in (SWAP, SPOT)}


@pytest.mark.parametrize("name", ["ETH-USDT", "ETHUSDT", "ETH/USDT", "eth_usdt"])
def test_of_equal_names_the_spot_market_is_meant(name: str) -> None:
    assert listing_named({"ETH-USDT": SPOT}, "okx", name) is SPOT
    if name != "ETH/USDT":
        assert listing_named(LISTINGS, "okx", name) is SPOT


@pytest.mark.parametrize("name", ["ETH-USDT-SWAP", "ETHUSDTSWAP", "ETH/USDT:USDT"])
def test_a_perpetual_is_found_by_its_own(name: str) -> None:
    assert listing_named(LISTINGS, "okx", name) is SWAP


def test_where_ids_say_nothing_the_unified_name_counts() -> None:
    kraken = Listing("XETHZUSD", "ETH/USD", "spot", None, None, None)
    assert listing_named({"XETHZUSD": kraken}, "kraken", "ETHUSD") is kraken
    with pytest.raises(ApexError, match="lists no symbol 'ETHUSDT'"):
        listing_named({"XETHZUSD": kraken}, "kraken", "ETHUSDT")
