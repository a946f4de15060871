"""The live feed: an exchange's trades, exactly once and in order, as closed seconds."""
