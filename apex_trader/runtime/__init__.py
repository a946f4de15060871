"""What the commands share: configuration, run folders, metrics, and the loops."""
