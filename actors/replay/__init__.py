"""The sharded prioritized replay."""
