"""The local page of a trading run: what its journal says, read while it is written."""
