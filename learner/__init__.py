"""The learner: torch and numpy only."""
