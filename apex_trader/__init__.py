"""Distributed Ape-X training of trading agents on ETH/BTC market data."""

__version__ = "0.1.0"
