"""Distributed Ape-X training of trading agents on ETH/BTC market data."""

from apex_trader.kernels import use_kernel_cache
from apex_trader.version import VERSION

__version__ = VERSION

use_kernel_cache()
