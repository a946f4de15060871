"""What runs as CPU actors: rollout, replay, pretraining, evaluation. No Ray in here."""
