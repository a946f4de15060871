"""Distributed Ape-X training of trading agents on ETH/BTC market data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from apex_trader.kernels import use_kernel_cache
from apex_trader.version import VERSION

if TYPE_CHECKING:
    from apex_trader.run import Run

__version__ = VERSION
__all__ = ["__version__", "load_run"]

use_kernel_cache()


def load_run(path: str | Path, **overrides: Any) -> Run:
    """A run's folder as an object for notebooks: see ``apex_trader.run.Run``.

    overrides: settings that differ here, such as ``**{"market.store": "/data/market"}``.
    """
    from apex_trader.run import Run  # the package itself stays light

    return Run(path, **overrides)
