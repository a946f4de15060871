"""The state: schema, tables, pivots, regime, gather and mirror."""
