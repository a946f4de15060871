"""Talking to an exchange: its configuration, its clients, and its answers as market data."""
