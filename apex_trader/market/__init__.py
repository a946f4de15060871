"""Market data: the store, importers, synthetic markets, and the order of time."""
